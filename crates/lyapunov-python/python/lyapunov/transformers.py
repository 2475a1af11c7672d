"""Where a Hugging Face run stands against its edge of stability: one callback."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import torch
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as missing:
    raise ImportError(
        "lyapunov.transformers needs PyTorch and Hugging Face's transformers: pip install torch transformers accelerate"
    ) from missing

from torch import Tensor, nn

from ._callback import Measuring, MonitorOptions, OnError, several
from ._monitor import Monitor
from ._weights import unwrap
from .errors import Unsuitable

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Callback"]

STATE = "lyapunov.pt"
"""The state of the monitor, in the trainer's checkpoint folders."""


class Callback(TrainerCallback):  # type: ignore[misc]
    """Measures a run of ``transformers.Trainer``: ``Trainer(…, callbacks=[lyapunov.transformers.Callback(every=100,
    out="runs/mine")])``.

    The options are those of :class:`lyapunov.Monitor`. A measurement is made before a step of the optimizer, after
    clipping, on the batch that the model has seen last: with ``gradient_accumulation_steps``, on the last micro-batch
    of the step, times the number of micro-batches where the trainer sums their losses. The loss of a row is that of all
    of them.

    What is measured is ``outputs.loss`` of the model. Where the loss is computed elsewhere (``compute_loss_func``,
    label smoothing), give ``loss_fn(outputs, inputs)``. Under ``bf16`` or ``fp16`` the run computes as it does; the
    measurement computes in the precision of the weights.

    The state is saved in the trainer's checkpoints, so that a run that is resumed goes on in its folder. The folder is
    sealed when training ends; a run that is left by an exception is interrupted, as the trainer does not say by which.

    ``on_error``: what becomes of a measurement that fails: it is raised, or with ``"warn"`` logged by ``logging``, and
    the run goes on.
    """

    def __init__(
        self,
        loss_fn: Callable[[Any, Any], Tensor] | None = None,
        *,
        on_error: OnError = "raise",
        **options: Unpack[MonitorOptions],
    ) -> None:
        self._measuring = Measuring(loss_fn, None, on_error, options)
        self._hooks: list[Any] = []
        self._sums, self._parts = False, 1

    @property
    def monitor(self) -> Monitor | None:
        """The monitor, once training has begun."""
        return self._measuring.monitor

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Makes the monitor, and hooks that see what the model is given."""
        if args.world_size > 1 or args.n_gpu > 1:
            raise Unsuitable(several(max(args.world_size, args.n_gpu)))
        saved = Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE
        if state.global_step and saved.is_file():
            self._measuring.saved = torch.load(saved, map_location="cpu")
        model = unwrap(given["model"])
        self._measuring.begin(model, self._measuring.loss_fn or self._of_outputs, _forward, [given["optimizer"]])
        self._hooks = [
            model.register_forward_pre_hook(self._see_inputs, with_kwargs=True),
            model.register_forward_hook(self._see_outputs),
        ]

    def _seen(self, module: nn.Module) -> bool:
        return module.training and torch.is_grad_enabled() and not self._measuring.busy

    def _see_inputs(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if self._seen(module):
            # Divided by this, losses are parts of a sum over the micro-batches of the step.
            self._sums = named.get("num_items_in_batch") is not None
            self._measuring.sees(dict(named))

    def _see_outputs(self, module: nn.Module, given: tuple[Any, ...], outputs: Any) -> None:
        if self._seen(module):
            loss = outputs.get("loss") if isinstance(outputs, dict) else None
            if isinstance(loss, Tensor):
                self._measuring.losses.append(loss.detach().clone())

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Measures where a row is due."""
        m = self._measuring
        accumulated = len(m.losses)
        self._parts = accumulated if self._sums else 1
        if not self._sums:
            m.losses[:] = [loss / accumulated for loss in m.losses]
        m.step(accumulated)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Saves the state of the monitor with the checkpoint."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self.monitor is not None and folder.is_dir():
            torch.save(self._measuring.state(), folder / STATE)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Seals the run folder and takes the hooks away."""
        for hook in self._hooks:
            hook.remove()
        self._measuring.end()

    def _of_outputs(self, outputs: Any, inputs: Any) -> Tensor:
        return self._parts * _loss_of(outputs)


def _loss_of(outputs: Any) -> Tensor:
    loss = outputs.get("loss") if isinstance(outputs, dict) else None
    if not isinstance(loss, Tensor):
        raise ValueError(
            "the outputs of the model have no loss (are there labels among its inputs?): give loss_fn=, a function of "
            "outputs and inputs"
        )
    return loss


def _forward(model: nn.Module, inputs: Any) -> Any:
    with _without_autocast(model):
        return model(**inputs)


@contextlib.contextmanager
def _without_autocast(model: nn.Module) -> Iterator[None]:
    """Accelerate puts autocast around ``forward``, where a measurement would not see it."""
    wrapped, original = model.__dict__.get("forward"), model.__dict__.get("_original_forward")
    if wrapped is None or original is None:
        yield
        return
    model.__dict__["forward"] = original
    try:
        yield
    finally:
        model.__dict__["forward"] = wrapped
