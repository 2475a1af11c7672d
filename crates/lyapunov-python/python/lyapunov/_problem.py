"""A model, its loss and the weights that are measured: what stays the same from one measurement to the next."""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from ._processes import Processes
from ._shards import Shards, is_sharded
from ._weights import Generators, Weights, unwrap
from .errors import Unsuitable

_logger = logging.getLogger("lyapunov")

__all__ = ["KINDS", "Kind", "Problem", "Wanted", "at_least_one", "default_forward", "is_pair", "one_number"]

Kind = Literal["auto", "exact", "gauss-newton", "difference"]
Wanted = Literal["largest", "smallest", "spectrum"]
KINDS = ("auto", "exact", "gauss-newton", "difference")


def _detached(batch: Any) -> Any:
    return tree_map(lambda t: t.detach() if isinstance(t, Tensor) and t.requires_grad else t, batch)


def _size(batch: Any) -> int:
    sizes = [t.shape[0] for t in tree_leaves(batch) if isinstance(t, Tensor) and t.dim() > 0]
    if not sizes:
        raise TypeError(
            "a batch must hold at least one tensor with examples along its first dimension, such as (inputs, targets); "
            f"this one is a {type(batch).__name__}"
        )
    if sizes[0] == 0:
        raise ValueError("the batch is empty: it holds no example")
    return int(sizes[0])


def at_least_one(name: str, value: Any) -> int:
    """A whole number from 1 on."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < 1:
        raise ValueError(f"{name} = {value!r} must be a whole number of at least 1")
    return operator.index(value)


def one_number(loss: Any, call: str) -> None:
    """Raises ValueError where a loss that is given is no single number."""
    if isinstance(loss, Tensor) and loss.numel() != 1:
        raise ValueError(
            f"loss must be one number, not a tensor of shape {tuple(loss.shape)}; inputs and targets are one argument: "
            f"{call}"
        )


def is_pair(batch: Any) -> bool:
    return isinstance(batch, (tuple, list)) and len(batch) == 2


def default_forward(model: nn.Module, batch: Any) -> Any:
    """The outputs for a pair (inputs, targets), a mapping of keyword arguments, or a single tensor of inputs."""
    inputs = batch[0] if is_pair(batch) else batch
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, Tensor):
        return model(inputs)
    if isinstance(inputs, (tuple, list)) and is_pair(batch):
        return model(*inputs)
    raise TypeError(
        f"a batch must be a pair (inputs, targets), a mapping or a tensor, not {type(batch).__name__} of length "
        f"{len(batch) if hasattr(batch, '__len__') else '?'}: pass forward=, a function of model and batch that "
        "returns the outputs"
    )


class Problem:
    """The mean loss of a model over batches, at the weights it has when it is measured."""

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        forward: Callable[[nn.Module, Any], Any] | None = None,
        params: Any = None,
        kind: Kind = "auto",
        micro_batch: int | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind = {kind!r} must be one of {', '.join(KINDS)}")
        if not callable(loss_fn):
            raise TypeError(f"loss_fn must be a function of outputs and targets, not {type(loss_fn).__name__}")
        if micro_batch is not None and micro_batch < 1:
            raise ValueError(f"micro_batch = {micro_batch} must be at least 1")
        self.model = unwrap(model)
        self.weights = Shards(self.model, params) if is_sharded(self.model) else Weights(self.model, params)
        self.processes = self.weights.processes if isinstance(self.weights, Shards) else Processes.of(model)
        if isinstance(self.weights, Shards) and micro_batch is not None:
            raise Unsuitable(
                "micro_batch= is not offered for parameters that fully_shard has cut: give smaller batches, as batches="
            )
        self.loss_fn, self.forward = loss_fn, forward or default_forward
        self.kind, self.micro_batch = kind, micro_batch
        self.gradient_seconds = math.inf
        """Wall time of one gradient of the data last measured."""
        self.noticed: set[str] = set()
        """What was said of this problem already: each notice comes once."""
        self._notice_ranks(model)
        self.captured: Generators | None = None
        """Where the generators stood before the forward pass of the step that the next measurement speaks of."""

    def notice(self, text: str) -> None:
        """Logs a warning, once."""
        if text not in self.noticed and self.processes.rank == 0:
            self.noticed.add(text)
            _logger.warning(text)

    def _notice_ranks(self, model: nn.Module) -> None:
        ranks = Processes.present()
        if ranks > 1 and self.processes.size == 1 and not isinstance(self.weights, Shards):
            self.notice(
                f"torch.distributed has {ranks} ranks, and {type(model).__name__} is not in DistributedDataParallel: "
                "each rank measures its own examples alone. Give the wrapped model"
            )

    def refuse_shards(self, what: str) -> None:
        """Raises Unsuitable where ``fully_shard`` has cut the parameters, for which ``what`` is not offered."""
        if isinstance(self.weights, Shards):
            raise Unsuitable(
                f"{what} for parameters that fully_shard has cut (FSDP): exact products are needed, and "
                "torch.autograd.grad gives no gradient for them. Use a model that "
                "is not sharded, or DistributedDataParallel where it fits"
            )

    def value(self, leaves: list[Tensor], batch: Any) -> tuple[Any, Tensor]:
        """Outputs and loss at the stand-ins; the caller holds them in place."""
        outputs = self.forward(self.model, batch)
        loss = self.loss_fn(outputs, batch[1] if is_pair(batch) else batch)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            if not isinstance(loss, Tensor):
                raise ValueError(
                    f"the loss must be a tensor of one number, not {type(loss).__name__}: loss_fn must return it as it "
                    "is computed, without .item() or float()"
                )
            raise ValueError(
                f"the loss must be one number, not a tensor of shape {tuple(loss.shape)}: reduce it to its mean over "
                "the batch"
            )
        if not loss.requires_grad:
            raise ValueError("the loss does not depend on the parameters: is it detached, or computed under no_grad?")
        return outputs, loss.reshape(())

    def capture(self) -> None:
        """Remembers where the generators stand, so that the next measurement draws the dropout masks that are drawn
        from here on.
        """
        self.captured = Generators({t.device for t in (*self.model.parameters(), *self.model.buffers())})

    def chunks(self, batch: Any) -> list[tuple[Any, int]]:
        """The micro-batches of a batch, with their sizes."""
        batch = _detached(batch)
        n, m = _size(batch), self.micro_batch
        if m is None or m >= n:
            return [(batch, n)]

        def part(start: int) -> Any:
            return tree_map(
                lambda t: t[start : start + m] if isinstance(t, Tensor) and t.dim() and t.shape[0] == n else t, batch
            )

        return [(part(start), min(m, n - start)) for start in range(0, n, m)]

    def total(self, chunks: list[tuple[Any, int]]) -> int:
        """How many examples all ranks have together."""
        return self.processes.total(sum(size for _, size in chunks), self.weights.device)

    def over_ranks(self, loss: float, gradient: Tensor) -> tuple[float, Tensor]:
        """Sums of loss and gradient over ranks, in one reduction."""
        if self.processes.size == 1:
            return loss, gradient
        both = self.processes.add(torch.cat([gradient, gradient.new_tensor([loss])]))
        return float(both[-1]), both[:-1]
