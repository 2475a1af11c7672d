"""Where a Lightning run stands against its edge of stability: one callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

try:
    import lightning.pytorch as pl
except ImportError:
    try:
        import pytorch_lightning as pl
    except ImportError as missing:
        raise ImportError("lyapunov.lightning needs Lightning: pip install lightning") from missing

import torch
from torch import Tensor, nn

from ._callback import Measuring, MonitorOptions, OnError, attributes_kept, several
from ._monitor import Monitor
from ._problem import default_forward
from .errors import Unsuitable

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Callback"]


class Callback(pl.Callback):  # type: ignore[misc]
    """Measures a Lightning run: ``Trainer(callbacks=[lyapunov.lightning.Callback(every=100, out="runs/mine")])``.

    The options are those of :class:`lyapunov.Monitor`. A measurement is made before a step of the optimizer, after the
    backward passes, on the batch of the step; with ``accumulate_grad_batches``, on the last of its batches. Readings
    are also logged by the trainer's loggers, as ``lyapunov/lambda_max`` and so on.

    What is measured is the loss that ``training_step`` returns. It is run for that, without logging anything, and
    attributes of the module and states of its metrics are restored. Where it does more (writes files, steps optimizers
    itself), give ``loss_fn(outputs, targets)``, and ``forward(module, batch)`` where ``module(inputs)`` does not give
    the outputs. In mixed precision the run computes as it does; the measurement computes in the precision of the
    weights.

    The state is saved in the trainer's checkpoints, so that a run that is resumed by ``ckpt_path`` goes on in its
    folder. The folder is sealed when training ends, also by an exception.

    ``on_error``: what becomes of a measurement that fails: it is raised, or with ``"warn"`` logged by ``logging``, and
    the run goes on.
    """

    def __init__(
        self,
        loss_fn: Callable[[Any, Any], Tensor] | None = None,
        *,
        forward: Callable[[nn.Module, Any], Any] | None = None,
        on_error: OnError = "raise",
        **options: Unpack[MonitorOptions],
    ) -> None:
        self._measuring = Measuring(loss_fn, forward, on_error, options)
        self._index = 0

    @property
    def monitor(self) -> Monitor | None:
        """The monitor, once training has begun."""
        return self._measuring.monitor

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Makes the monitor: the optimizers are there."""
        m = self._measuring
        if trainer.world_size > 1:
            raise Unsuitable(several(trainer.world_size))
        if m.loss_fn is None and not pl_module.automatic_optimization:
            raise Unsuitable(
                "training_step steps the optimizer itself (automatic_optimization = False), so it cannot be run for a "
                "measurement: give loss_fn= and forward="
            )
        if m.loss_fn is None:
            m.begin(pl_module, _returned, self._training_step, trainer.optimizers)
        else:
            m.begin(pl_module, m.loss_fn, m.forward or default_forward, trainer.optimizers)
        monitor = m.monitor
        assert monitor is not None
        clip, by = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
        if clip and "value" not in str(by).lower():
            monitor.clip_by_norm = float(clip)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the batch of the coming pass."""
        self._measuring.sees(batch)
        self._index = batch_idx

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Keeps the loss, which is divided by the number of batches whose gradients are accumulated."""
        if not self._measuring.busy:
            self._measuring.losses.append(loss.detach().clone())

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Measures where a row is due."""
        if self._measuring.busy:
            return
        row = self._measuring.step(len(self._measuring.losses))
        if row is not None and row.readings:
            values = {f"lyapunov/{name}": reading.value for name, reading in row.readings.items()}
            values |= {f"lyapunov/{name}_of_edge": share for name, share in row.shares.items()}
            for logger in trainer.loggers:
                logger.log_metrics(values, step=trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seals the run folder."""
        self._measuring.end()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Seals the run folder, with what happened."""
        self._measuring.end(exception)

    def state_dict(self) -> dict[str, Any]:
        """That of the monitor."""
        return self._measuring.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until the optimizers are there."""
        self._measuring.saved = state_dict or None

    def _training_step(self, module: nn.Module, batch: Any) -> Tensor:
        assert isinstance(module, pl.LightningModule)
        with attributes_kept(module), _without_logging(module):
            # Its arguments are the batch, and the index where it wants one.
            step: Callable[..., Any] = module.training_step
            returned = step(batch, self._index) if step.__code__.co_argcount > 2 else step(batch)
        loss = returned["loss"] if isinstance(returned, dict) else returned
        if not isinstance(loss, Tensor):
            raise ValueError(
                f"training_step returned {type(returned).__name__}, not a loss: there is nothing to measure"
            )
        return loss


def _returned(loss: Tensor, batch: Any) -> Tensor:
    return loss


@contextmanager
def _without_logging(module: pl.LightningModule) -> Iterator[None]:
    """What training_step logs, it logs once."""
    held = module.__dict__
    kept = {name: held[name] for name in ("log", "log_dict") if name in held}
    held["log"] = held["log_dict"] = lambda *_, **__: None
    try:
        yield
    finally:
        for name in ("log", "log_dict"):
            del held[name]
        held.update(kept)
