"""A model, its loss and the weights that are measured: what stays the same from one measurement to the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from ._processes import Processes
from ._shards import Shards, is_sharded
from ._weights import Generators, Weights, unwrap
from .errors import Unsuitable

__all__ = ["KINDS", "Kind", "Problem", "Wanted", "default_forward", "is_pair"]

Kind = Literal["auto", "exact", "gauss-newton", "difference"]
Wanted = Literal["largest", "smallest", "spectrum"]
KINDS = ("auto", "exact", "gauss-newton", "difference")


def _detached(batch: Any) -> Any:
    return tree_map(lambda t: t.detach() if isinstance(t, Tensor) and t.requires_grad else t, batch)


def _size(batch: Any) -> int:
    sizes = [t.shape[0] for t in tree_leaves(batch) if isinstance(t, Tensor) and t.dim() > 0]
    if not sizes:
        raise TypeError("a batch must hold at least one tensor with examples along its first dimension")
    return int(sizes[0])


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
        self.captured: Generators | None = None
        """Where the generators stood before the forward pass of the step that the next measurement speaks of."""

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
            shape = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"the loss must be one number, not {shape}: reduce it to its mean over the batch")
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
