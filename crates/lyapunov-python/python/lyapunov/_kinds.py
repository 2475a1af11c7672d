"""The kinds of products with the second derivative that torch can give, and which of them serves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import _core
from ._graph import Graph
from ._measurement import Again, Exact, Measurement, Products
from ._problem import Wanted, is_pair
from ._shards import Shards
from ._weights import Generators
from .errors import Unsuitable, translation

__all__ = ["choose"]


def choose(m: Measurement, wanted: Wanted) -> Measurement:
    """Opens the best kind of product for what is wanted, or the one that was asked for.

    Raises Unsuitable, with every obstacle, where none can give it.
    """
    asked = m.problem.kind
    obstacles: list[str] = []
    ways = [(kind, way) for kind, way in _WAYS if asked in ("auto", kind)]
    cause: BaseException | None = None
    if isinstance(m.weights, Shards):
        if asked in ("auto", "exact"):
            obstacles.append(
                "exact: torch.autograd.grad gives no gradient for parameters that fully_shard has cut (FSDP)"
            )
        ways = [
            (kind, _ShardedOutputDifference if way is _OutputDifference else way)
            for kind, way in ways
            if way not in (Exact, _GaussNewton)
        ]
    for kind, way in ways:
        if kind == "gauss-newton" and wanted == "smallest":
            obstacles.append("gauss-newton: its matrix has no negative eigenvalues")
            continue
        if kind == "gauss-newton" and wanted == "spectrum" and asked == "auto":
            obstacles.append('gauss-newton: its spectrum is another one; ask for it by kind="gauss-newton"')
            continue
        if type(m.source) is way and m.source.first is not None:
            m.kind = kind
            return m
        try:
            if type(m.source) is not way:
                m.source = way(m)
            m.source.try_out()
        except Unsuitable as refusal:
            obstacles.append(f"{kind}: {refusal}")
        except (RuntimeError, NotImplementedError) as error:
            meaning = translation(error)
            if meaning is None:
                raise
            obstacles.append(f"{kind}: {meaning}")
            cause = error
        else:
            m.kind = kind
            if kind == "gauss-newton" and asked == "auto":
                m.problem.notice(
                    "exact products cannot be had, and the Gauss–Newton matrix is measured instead, which leaves the "
                    f"second derivative of the network out ({'; '.join(obstacles)}). kind= chooses"
                )
            return m
    m.source = None
    raise Unsuitable(f"the {wanted} eigenvalues cannot be had: " + "; ".join(obstacles)) from cause


class _GaussNewton(Products):
    """Jᵀ(∂²ℓ/∂z²)J v by two reverse passes for J v and one for Jᵀ."""

    def record(self, chunk: Any) -> Any:
        w = self.m.weights
        leaves = w.leaves()
        with w.standing_in(leaves):
            z = _outputs(self.m, chunk)
            graph = Graph(z.sum())
            if graph.python:
                raise Unsuitable(
                    f"the graph has functions written in Python ({', '.join(sorted(graph.python))}), whose reverse "
                    "pass need not be differentiable"
                )
            u = torch.zeros_like(z, requires_grad=True)
            pulled = torch.autograd.grad(z, leaves, u, create_graph=True, allow_unused=True)
        return leaves, z, u, pulled, _loss_gradient(self.m, z, chunk)

    def apply(self, recorded: Any, v: Tensor, keep: bool) -> Tensor:
        leaves, z, u, pulled, at_outputs = recorded
        w = self.m.weights
        moving = [(g, x) for g, x in zip(pulled, w.parts(v)) if g is not None and g.requires_grad]
        with w.standing_in(leaves):
            (moved,) = torch.autograd.grad([g for g, _ in moving], [u], [x for _, x in moving], retain_graph=True)
            image = torch.autograd.grad(z, leaves, _curved(at_outputs, moved), retain_graph=keep, allow_unused=True)
        return self.m.flat(image)


class _OutputDifference(Products):
    """The same with J v by a central difference of outputs: first-order autodiff suffices."""

    def record(self, chunk: Any) -> Any:
        w = self.m.weights
        leaves = w.leaves()
        state = Generators(set(self.m.quiet.generators.devices))
        with w.standing_in(leaves):
            z = _outputs(self.m, chunk)
        return leaves, z, _loss_gradient(self.m, z, chunk), chunk, state

    def apply(self, recorded: Any, v: Tensor, keep: bool) -> Tensor:
        leaves, z, at_outputs, chunk, state = recorded
        w = self.m.weights
        after = Generators(set(state.devices))
        step = 1e-3 * float(self.m.live.norm()) / max(float(v.norm()), 1e-30)

        def outputs(offset: float) -> Tensor:
            state.rewind()
            with torch.no_grad(), w.standing_in(w.leaves(self.m.live + offset * v)):
                return _outputs(self.m, chunk)

        moved = (outputs(step) - outputs(-step)) / (2 * step)
        after.rewind()
        with w.standing_in(leaves):
            image = torch.autograd.grad(z, leaves, _curved(at_outputs, moved), retain_graph=keep, allow_unused=True)
        return self.m.flat(image)


class _ShardedOutputDifference(Products):
    """The same where parameters are cut into shards. **Cost**: two passes forward and a gradient; nothing is kept."""

    def product(self, batch: int | None, v: Tensor) -> Tensor:
        if batch is None and self.first is not None and torch.equal(self.first[0], v):
            return self.first[1].clone()
        total = torch.zeros_like(v)
        for chunk, share in self.m.on(batch):
            total.add_(self._part(chunk, share, v))
        return total

    def _part(self, chunk: Any, share: float, v: Tensor) -> Tensor:
        m, w = self.m, self.m.weights
        assert isinstance(w, Shards), "it is for shards"
        step = 1e-3 * float(m.live.norm()) / max(float(v.norm()), 1e-30)

        def at(offset: float) -> Tensor:
            with w.moved(m.live + offset * v, m.live), torch.no_grad():
                m.quiet.rewind()
                return _outputs(m, chunk)

        moved = (at(step) - at(-step)) / (2 * step)
        with w.moved(None, m.live):
            m.quiet.rewind()
            z = _outputs(m, chunk)
            # fully_shard averages over ranks, whatever their examples.
            torch.autograd.backward(z, share * w.processes.size * _curved(_loss_gradient(m, z, chunk), moved))
            return w.gradients()


class _GradientDifference(Products):
    """A difference of gradients: for smooth losses only."""

    def try_out(self) -> None:
        kinks = self._graph().kinks
        if kinks:
            raise Unsuitable(
                "differences of gradients take kinks for curvature, and the graph has some "
                f"({', '.join(sorted(kinks))})"
            )
        super().try_out()

    def _graph(self) -> Graph:
        w, chunk = self.m.weights, self.m.on(None)[0][0]
        leaves: list[Tensor] = []
        with w.moved(None, self.m.live) if isinstance(w, Shards) else w.standing_in(leaves := w.leaves()):
            self.m.quiet.rewind()
            return Graph(self.m.problem.value(leaves, chunk)[1])

    def product(self, batch: int | None, v: Tensor) -> Tensor:
        return _core.difference(
            Again(self.m),
            self.m.live,
            v,
            batch=batch,
            central=True,
            relative_step=1e-4 if v.dtype == torch.float32 else 1e-6,
        )


def _outputs(m: Measurement, chunk: Any) -> Tensor:
    z = m.problem.forward(m.problem.model, chunk)
    if not isinstance(z, Tensor):
        raise Unsuitable(
            f"the outputs are {type(z).__name__}, not one tensor: pass forward= that returns the tensor which the loss "
            "takes"
        )
    return z


def _loss_gradient(m: Measurement, z: Tensor, chunk: Any) -> tuple[Tensor, Tensor]:
    """The outputs apart from the model, and the recorded gradient of the loss there."""
    outputs = z.detach().requires_grad_(True)
    loss = m.problem.loss_fn(outputs, chunk[1] if is_pair(chunk) else chunk)
    (gradient,) = torch.autograd.grad(loss, [outputs], create_graph=True)
    return outputs, gradient


def _curved(at_outputs: tuple[Tensor, Tensor], moved: Tensor) -> Tensor:
    outputs, gradient = at_outputs
    if not gradient.requires_grad:
        return torch.zeros_like(moved)
    (image,) = torch.autograd.grad([gradient], [outputs], [moved.detach()], retain_graph=True, allow_unused=True)
    return torch.zeros_like(moved) if image is None else image


_WAYS: list[tuple[str, type[Products]]] = [
    ("exact", Exact),
    ("gauss-newton", _GaussNewton),
    ("gauss-newton", _OutputDifference),
    ("difference", _GradientDifference),
]
"""In the order in which they are tried."""
