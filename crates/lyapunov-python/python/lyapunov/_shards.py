"""Parameters that ``fully_shard`` has cut: a rank holds its part of every vector, and inner products are sums over
ranks.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ._processes import Processes
from ._weights import COARSE, Weights
from .errors import Unsuitable

__all__ = ["Shards", "is_sharded"]


def is_sharded(model: nn.Module) -> bool:
    """Whether ``fully_shard`` was applied to a part of the model."""
    units = _units(model)
    for unit in units:
        # After a pass without a gradient the parameters are still gathered.
        unit.reshard()
    return bool(units)


def _units(model: nn.Module) -> list[Any]:
    """The modules whose parameters are gathered together."""
    # Who has sharded a model has imported it.
    unit = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    return (
        [] if unit is None or not isinstance(model, nn.Module) else [m for m in model.modules() if isinstance(m, unit)]
    )


class Part(Tensor):
    """What one rank holds of a vector: inner products, norms, sums and comparisons are of the whole vector, and so the
    same on every rank to the bit.
    """

    processes: Processes
    whole = 0
    """The entries of the whole vector."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        over_ranks = _OVER_RANKS.get(func)
        if over_ranks is None:
            return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]
        with torch._C.DisableTorchFunctionSubclass():
            return over_ranks(cls, func, *args, **kwargs)


def _summed(part: type[Part], func: Any, *args: Any, **kwargs: Any) -> Tensor:
    found: Tensor = func(*args, **kwargs)
    return part.processes.add(found.detach().clone())


def _norm(part: type[Part], func: Any, v: Tensor, **_: Any) -> Tensor:
    return part.processes.add(torch.dot(v, v)).sqrt()


def _equal(part: type[Part], func: Any, a: Tensor, b: Tensor) -> bool:
    return part.processes.total(int(torch.equal(a, b)), a.device) == part.processes.size


def _numel(part: type[Part], func: Any, v: Tensor) -> int:
    return part.whole


def _normal(part: type[Part], func: Any, v: Tensor, *args: Any, generator: torch.Generator, **kwargs: Any) -> Tensor:
    """Each rank draws other numbers."""
    generator.manual_seed((generator.initial_seed() + 0x9E3779B97F4A7C15 * (part.processes.rank + 1)) % 2**63)
    return v.normal_(*args, generator=generator, **kwargs)


_OVER_RANKS: dict[Any, Callable[..., Any]] = {
    torch.dot: _summed,
    Tensor.dot: _summed,
    torch.matmul: _summed,
    Tensor.matmul: _summed,
    Tensor.__matmul__: _summed,
    Tensor.sum: _summed,
    Tensor.norm: _norm,
    torch.equal: _equal,
    Tensor.numel: _numel,
    Tensor.normal_: _normal,
}


class Shards(Weights):
    """The parameters of a model after ``fully_shard``, of which this rank holds its parts.

    ``torch.autograd.grad`` gives no gradient for them, ``backward()`` does: it is run with the parameters moved to
    where the gradient is wanted, and their values and ``.grad`` are put back.
    """

    def __init__(self, model: nn.Module, params: Iterable[Tensor] | None = None) -> None:
        self.units = _units(model)
        super().__init__(model, params)
        names = dict(zip(map(id, self.params), self.names))
        held: list[Any] = list(self.params)
        for p in held:
            if type(p).__name__ != "DTensor" or not all(placement.is_shard() for placement in p.placements):
                raise Unsuitable(
                    f"{names[id(p)]} is not cut into shards by fully_shard as other parameters are: measure a model "
                    "that is sharded whole, in one dimension, or not at all"
                )
        meshes = {p.device_mesh for p in held}
        if len(meshes) > 1 or next(iter(meshes)).ndim > 1:
            raise Unsuitable(
                "the parameters are sharded over several dimensions of a device mesh (hybrid or tensor parallel): only "
                "one is covered"
            )
        for unit in self.units:
            kept = unit._get_fsdp_state()._mp_policy
            if kept.param_dtype in COARSE or kept.reduce_dtype in COARSE:
                raise Unsuitable(
                    f"fully_shard computes in {kept.param_dtype or kept.reduce_dtype}, in whose rounding differences "
                    "are lost, and nothing else can be had of sharded parameters: "
                    "measure a model that is sharded without such a MixedPrecisionPolicy"
                )
        for p in held:
            if getattr(p, "_post_accumulate_grad_hooks", None):
                raise Unsuitable(
                    f"{names[id(p)]} has a hook after its gradient is accumulated (an optimizer within backward()?), "
                    "which a measurement would run: take it away"
                )
        self.processes = Processes(next(iter(meshes)).get_group())
        self.sizes = [p.to_local().numel() for p in held]
        self._part: type[Part] = type("Part", (Part,), {"processes": self.processes, "whole": self.length})

    @property
    def length(self) -> int:
        return sum(p.numel() for p in self.params)

    def _refuse_shards(self, sharded: list[str]) -> None:
        """They are what this is for."""

    def flat(self, tensors: Iterable[Tensor]) -> Tensor:
        held: list[Any] = [t.detach() for t in tensors]
        local = [t.to_local() if hasattr(t, "to_local") else t.as_subclass(Tensor) for t in held]
        return torch.cat([t.reshape(-1).to(self.dtype) for t in local]).as_subclass(self._part)

    def vector(self, plain: Tensor) -> Tensor:
        return super().vector(plain).as_subclass(self._part)

    @contextlib.contextmanager
    def moved(self, at: Tensor | None, home: Tensor) -> Iterator[None]:
        """The parameters at ``at`` instead of ``home``, where they are; gathered afresh on both ways, with no gradients
        of their own.
        """
        held: list[Any] = list(self.params)
        gradients = [p.grad for p in held]
        try:
            self._place(home if at is None else at)
            for p in held:
                p.grad = None
            yield
        finally:
            self._place(home)
            for p, gradient in zip(held, gradients):
                p.grad = gradient

    def _place(self, at: Tensor) -> None:
        for unit in self.units:
            unit.reshard()
        held: list[Any] = list(self.params)
        with torch.no_grad():
            for p, x in zip(held, torch.split(at.as_subclass(Tensor), self.sizes)):
                local = p.to_local()
                local.copy_(x.view(local.shape))

    def gradients(self) -> Tensor:
        """What ``backward()`` has left."""
        held: list[Any] = list(self.params)
        return self.flat([torch.zeros_like(p) if p.grad is None else p.grad for p in held])
