"""What the callbacks for Lightning and Hugging Face share."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import torch
from torch import Tensor, nn

from ._monitor import Monitor
from ._problem import Kind
from ._reading import Row

if TYPE_CHECKING:
    import os

    from typing_extensions import Unpack

__all__ = ["Measuring", "MonitorOptions"]

OnError = Literal["raise", "warn"]

_logger = logging.getLogger("lyapunov")


class MonitorOptions(TypedDict, total=False):
    """The options of :class:`lyapunov.Monitor`."""

    every: int
    what: Sequence[str] | None
    log: Callable[[Row], object] | None
    out: str | os.PathLike[str] | None
    settings: Mapping[str, Any] | None
    products: int
    params: Iterable[Tensor] | None
    kind: Kind
    micro_batch: int | None


class Measuring:
    """A monitor of a loop that a trainer owns: it is made when training begins, and given what each step saw."""

    def __init__(
        self,
        loss_fn: Callable[[Any, Any], Tensor] | None,
        forward: Callable[[nn.Module, Any], Any] | None,
        on_error: OnError,
        options: MonitorOptions,
    ) -> None:
        if on_error not in ("raise", "warn"):
            raise ValueError(f'on_error = {on_error!r} must be "raise" or "warn"')
        self.loss_fn, self.forward, self.on_error, self.options = loss_fn, forward, on_error, options
        self.monitor: Monitor | None = None
        self.saved: dict[str, Any] | None = None
        self.batch: Any = None
        self.losses: list[Tensor] = []
        """Of the micro-batches of the coming step, each with its share."""
        self.busy = False
        self.announced = False

    def begin(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        forward: Callable[[nn.Module, Any], Any],
        optimizers: Sequence[Any],
    ) -> None:
        """Makes the monitor; the one that was saved goes on."""
        if len(optimizers) != 1:
            raise ValueError(
                f"there are {len(optimizers)} optimizers, and an edge of stability belongs to one: call "
                "lyapunov.Monitor yourself, one for each"
            )
        optimizer = optimizers[0]
        while not isinstance(optimizer, torch.optim.Optimizer) or hasattr(optimizer, "optimizer"):
            optimizer = optimizer.optimizer
        self.monitor = Monitor(model, loss_fn, optimizer, forward=forward, **self.options)
        if self.saved is not None:
            self.monitor.load_state_dict(self.saved)
            self.saved = None
        self.monitor.expect_close()

    def sees(self, batch: Any) -> None:
        """Before the forward pass over a batch: the dropout masks of a measurement are to be those of this pass."""
        self.batch = batch
        if self.monitor is not None:
            self.monitor.capture()

    def step(self, accumulated: int) -> Row | None:
        """Before a step of the optimizer, which saw ``accumulated`` batches, the last of which is measured."""
        assert self.monitor is not None
        loss = torch.stack([loss.detach().reshape(()).float() for loss in self.losses]).sum() if self.losses else None
        batch, self.batch = self.batch, None
        self.losses.clear()
        if batch is None:
            return None
        if accumulated > 1 and not self.announced:
            _logger.info(
                "gradients are accumulated over %d batches; readings speak of the last one, losses of all", accumulated
            )
            self.announced = True
        if accumulated > 1:
            self.monitor.compares_losses = False
        self.busy = True
        try:
            return self.monitor.step(batch, loss=loss)
        except Exception as error:
            if self.on_error == "raise":
                raise
            _logger.warning(
                "the measurement before step %d failed: %s: %s", self.monitor.steps - 1, type(error).__name__, error
            )
            return None
        finally:
            self.busy = False

    def state(self) -> dict[str, Any]:
        """That of the monitor."""
        return self.saved or {} if self.monitor is None else self.monitor.state_dict()

    def end(self, error: BaseException | None = None) -> None:
        """Closes the monitor."""
        if self.monitor is not None:
            self.monitor.__exit__(None if error is None else type(error), error, None)


def several(devices: int) -> str:
    """What is said to a trainer of several processes or devices."""
    return (
        f"the trainer runs on {devices} devices, and the callback does not know how it divides the loss among them: "
        "write the loop with lyapunov.Monitor on the model in its "
        "DistributedDataParallel wrapper (docs/distributed.md), or train on one device"
    )


@contextlib.contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """What a pass may change of a module in Python (counts, lists, the states of metrics within it) is as before
    afterwards.
    """
    kept = [
        (held, {name: _kept(value) for name, value in held.__dict__.items() if name not in _OF_TORCH})
        for held in module.modules()
        if held is module or _is_metric(held)
    ]
    try:
        yield
    finally:
        for held, attributes in kept:
            for name in [name for name in held.__dict__ if name not in attributes and name not in _OF_TORCH]:
                del held.__dict__[name]
            for name, (value, copied) in attributes.items():
                if isinstance(value, list):
                    value[:] = copied
                elif isinstance(value, (dict, set)):
                    value.clear()
                    value.update(copied)
                elif isinstance(value, Tensor) and not torch.equal(value, copied):
                    value.data.copy_(copied)
                held.__dict__[name] = value


# What torch keeps there, and a measurement restores by itself.
_OF_TORCH = ("_parameters", "_buffers", "_modules", "_backward_hooks", "_backward_pre_hooks", "training")


def _is_metric(module: nn.Module) -> bool:
    """Those of torchmetrics keep their states as attributes."""
    return hasattr(module, "_update_count")


def _kept(value: Any) -> tuple[Any, Any]:
    if isinstance(value, Tensor):
        return value, value.detach().clone()
    return value, copy.copy(value) if isinstance(value, (list, dict, set)) else None
