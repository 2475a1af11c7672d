"""Loss, gradient and exact products at fixed weights and data, in a span that disturbs nothing."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from . import _core
from ._graph import Graph
from ._problem import Problem, is_pair
from ._shards import Shards
from ._weights import Quiet
from .errors import Unsuitable

__all__ = ["Again", "Exact", "Measurement", "Products", "check_slope", "measure"]


SPLIT, SPLIT_ON_DEVICE = 1e-5, 1e-3
"""The loss of a batch and the mean over its micro-batches differ by their rounding alone, at most by this share; on a
GPU that may be the rounding of TF32.
"""


@contextlib.contextmanager
def measure(problem: Problem, batches: list[Any], check: bool = True) -> Iterator[Measurement]:
    """A quiet span with the batches at hand; graphs do not outlive it, since weights may move unseen after it."""
    captured, problem.captured = problem.captured, None
    with Quiet(problem.model, captured) as quiet:
        measurement = Measurement(problem, quiet, batches)
        try:
            measurement.begin(check)
            yield measurement
        finally:
            measurement.source = None


class Measurement:
    """What can be asked of fixed weights and data, in one quiet span."""

    def __init__(self, problem: Problem, quiet: Quiet, batches: list[Any]) -> None:
        self.problem, self.quiet, self.weights = problem, quiet, problem.weights
        self.batches = [problem.chunks(batch) for batch in batches]
        self.totals = [problem.total(chunks) for chunks in self.batches]
        self.started = time.perf_counter()
        self.source: Products | None = None
        self.kind = "exact"
        self.graph: Graph | None = None
        self.products = 0
        self.draws = False
        """Whether the loss draws random numbers, as dropout does."""
        self._live: Tensor | None = None

    @property
    def live(self) -> Tensor:
        """The weights, flat."""
        if self._live is None:
            self._live = self.weights.flat(self.weights.params)
        return self._live

    def on(self, batch: int | None) -> list[tuple[Any, float]]:
        """Micro-batches with their shares of the mean over all ranks: of one batch, or of all."""
        chosen = range(len(self.batches)) if batch is None else [batch]
        total = sum(self.totals[i] for i in chosen)
        return [(chunk, size / total) for i in chosen for chunk, size in self.batches[i]]

    def begin(self, check: bool) -> None:
        """Loss and gradient; and, where they are checked, whether they are the same twice. **Cost**: a gradient,
        recorded where exact products are likely; another one to check.
        """
        agree, device = self.problem.processes.agree, self.weights.device
        if any(len(chunks) > 1 for chunks in self.batches):
            agree(self._check_micro_batches, device)
        found = self._recorded() or self.gradient(None, None)
        self.draws = self.quiet.has_drawn()
        self.loss, self.gradient_vector = found
        self.finite = math.isfinite(self.loss) and math.isfinite(float(self.gradient_vector.sum(dtype=torch.float64)))
        if not self.finite:
            self.source = None
            return
        if check:
            self.problem.gradient_seconds = math.inf
            plain = self.gradient(None, None)
            if not (plain[0] == self.loss and torch.equal(plain[1], self.gradient_vector)):
                # Some operations round otherwise where a graph of their gradient is recorded: a third evaluation
                # decides.
                _core.check_determinism(Again(self), self.live, *plain)
                self.loss, self.gradient_vector = plain
            agree(self._check_gradient, device)

    def _recorded(self) -> tuple[float, Tensor] | None:
        """Loss and gradient out of the graph that exact products will use; None where there is no such graph."""
        if (
            self.problem.kind not in ("auto", "exact")
            or len(self.batches) > 1
            or len(self.batches[0]) > 1
            or isinstance(self.weights, Shards)
        ):
            return None
        source = Exact(self)
        chunk, share = self.on(None)[0]
        self.quiet.rewind()
        try:
            leaves, gradients = recorded = source.record(chunk)
        except (RuntimeError, NotImplementedError):
            if source.graph is None:
                raise
            # What the plain gradient then says is the user's to see, or the choice of another kind.
            return None
        source.kept, self.source = {None: recorded}, source
        return self.problem.over_ranks(
            share * float(source.loss), scaled(self.flat(g if g is None else g.detach() for g in gradients), share)
        )

    def _check_gradient(self) -> None:
        """Whether autograd.grad sees all weights, and gives what backward() gives. **Cost**: two gradients where
        functions written in Python are there.
        """
        w, chunk = self.weights, self.on(None)[0][0]
        if isinstance(w, Shards):
            with w.moved(None, self.live):
                self.quiet.rewind()
                self.graph = Graph(self.problem.value([], chunk)[1])
            # Its own, by which fully_shard gathers parameters, have no say in second derivatives here.
            self.graph.python.clear()
            check_slope(self, "backward() over sharded parameters gives")
            return
        leaves = w.leaves()
        if isinstance(self.source, Exact) and self.source.graph is not None:
            self.graph = self.source.graph
        else:
            self.quiet.rewind()
            with w.standing_in(leaves):
                _, loss = self.problem.value(leaves, chunk)
            self.graph = Graph(loss)
        own = {id(p): name for name, p in zip(w.names, w.params)}
        past = [own[i] for i in self.graph.leaves if i in own]
        if past:
            raise Unsuitable(
                f"{past[0]} is reached past its module, by a reference that was kept elsewhere: a measurement would "
                "not see it. Read it as an attribute "
                "of the module"
            )
        if not self.graph.python:
            return
        self.quiet.rewind()
        with w.standing_in(leaves):
            # Accumulates into the stand-ins: no parameter and no hook sees it.
            torch.autograd.backward(self.problem.value(leaves, chunk)[1])
        again = w.leaves()
        self.quiet.rewind()
        with w.standing_in(again):
            _, loss = self.problem.value(again, chunk)
            gradients = torch.autograd.grad(loss, again, allow_unused=True)
        for name, leaf, gradient in zip(w.names, leaves, gradients):
            expected = leaf.grad
            if expected is None:
                continue
            if gradient is None or float((gradient - expected).norm()) > 1e-3 * float(expected.norm()):
                raise Unsuitable(
                    f"{name} gets another gradient from autograd.grad than from backward(), as under reentrant "
                    "checkpointing: use "
                    "checkpoint(…, use_reentrant=False)"
                )

    def _check_micro_batches(self) -> None:
        for name, module in self.problem.model.named_modules():
            of_batch = isinstance(module, nn.modules.batchnorm._BatchNorm)
            if of_batch and (module.training or module.running_mean is None):
                raise Unsuitable(
                    f"{name or 'the model'} normalises by the statistics of the batch, which a micro-batch does not "
                    "have: leave micro_batch out, or measure under model.eval()"
                )
        for chunks in self.batches:
            self.quiet.rewind()
            whole = tree_map(
                lambda *parts: (
                    torch.cat(parts)
                    if isinstance(parts[0], Tensor)
                    and parts[0].dim()
                    and all(p.shape[0] == s for p, (_, s) in zip(parts, chunks))
                    else parts[0]
                ),
                *[c for c, _ in chunks],
            )
            with torch.no_grad(), self.weights.standing_in(self.weights.leaves()):
                values = []
                state = torch.get_rng_state()
                for data in [whole, *[c for c, _ in chunks]]:
                    out = self.problem.forward(self.problem.model, data)
                    values.append(float(self.problem.loss_fn(out, data[1] if is_pair(data) else data)))
                drawn = not torch.equal(state, torch.get_rng_state())
            n = sum(s for _, s in chunks)
            mean = sum(v * s / n for v, (_, s) in zip(values[1:], chunks))
            limit = SPLIT if self.weights.device.type == "cpu" else SPLIT_ON_DEVICE
            if not drawn and abs(values[0] - mean) > limit * max(abs(mean), 1e-12):
                raise Unsuitable(
                    f"the loss of the batch, {values[0]:.6g}, is not the mean over its micro-batches, {mean:.6g}: what "
                    "looks at the whole batch and losses that are sums cannot be split. Leave micro_batch out"
                )

    # What the core asks for.
    # --------------------------------------------------------------------------------------------------------

    def gradient(self, at: Tensor | None, batch: int | None) -> tuple[float, Tensor]:
        """Mean loss and gradient over a batch, or over all; at ``at``, or where the weights are."""
        start = self._clock()
        if isinstance(self.weights, Shards):
            found = self._sharded_gradient(self.weights, at, batch)
            if batch is None:
                self.problem.gradient_seconds = min(self.problem.gradient_seconds, self._clock() - start)
            return found
        leaves = self.weights.leaves(None if at is None or at is self._live else at)
        self.quiet.rewind()
        total: Tensor | None = None
        value = 0.0
        for chunk, share in self.on(batch):
            with self.weights.standing_in(leaves):
                _, loss = self.problem.value(leaves, chunk)
                value += share * float(loss.detach())
                part = self.flat(torch.autograd.grad(loss, leaves, allow_unused=True))
            total = scaled(part, share) if total is None else total.add_(part, alpha=share)
        assert total is not None, "there is a batch"
        value, total = self.problem.over_ranks(value, total)
        if batch is None:
            self.problem.gradient_seconds = min(self.problem.gradient_seconds, self._clock() - start)
        return value, total

    def _sharded_gradient(self, w: Shards, at: Tensor | None, batch: int | None) -> tuple[float, Tensor]:
        """The same by ``backward()``, over parameters that are cut into shards."""
        value = 0.0
        with w.moved(at, self.live):
            self.quiet.rewind()
            for chunk, share in self.on(batch):
                _, loss = self.problem.value([], chunk)
                value += share * float(loss.detach())
                # fully_shard averages over ranks, whatever their examples.
                torch.autograd.backward(share * w.processes.size * loss)
            found = w.gradients()
        return float(w.processes.add(torch.tensor([value], dtype=torch.float64, device=w.device))), found

    def product(self, batch: int | None, v: Tensor) -> Tensor:
        """The product with the matrix of the kind in use."""
        assert self.source is not None, "the kind is chosen first"
        self.products += 1
        return self.source.product(batch, v)

    def __call__(self, v: Tensor) -> Tensor:
        return self.product(None, v)

    def flat(self, tensors: Any) -> Tensor:
        filled = [torch.zeros_like(p) if t is None else t for t, p in zip(tensors, self.weights.params)]
        if any(t.layout != torch.strided for t in filled):
            raise Unsuitable("sparse gradients cannot be measured: build the embedding with sparse=False")
        return self.weights.flat(filled)

    def _clock(self) -> float:
        device = self.weights.device
        if device.type not in ("cpu", "meta"):
            torch.get_device_module(device).synchronize(device)
        return time.perf_counter()

    def cost(self) -> float:
        """Wall time since the beginning, in gradients."""
        return (self._clock() - self.started) / self.problem.gradient_seconds


class Again:
    """The measurement, as the check of determinism asks for it."""

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement

    def gradient(self, at: Tensor, batch: int | None) -> tuple[float, Tensor]:
        return self.measurement.gradient(at, batch)


class Products:
    """One way to the products of a measurement. Graphs are kept where all data are one chunk, and made afresh for
    every product else.
    """

    def __init__(self, measurement: Measurement) -> None:
        self.m = measurement
        self.kept: dict[int | None, Any] = {}
        self.first: tuple[Tensor, Tensor] | None = None

    def record(self, chunk: Any) -> Any:
        raise NotImplementedError

    def apply(self, recorded: Any, v: Tensor, keep: bool) -> Tensor:
        raise NotImplementedError

    def try_out(self) -> None:
        """One product along the gradient, from which a search starts: it is not computed twice."""
        g = self.m.gradient_vector
        norm = math.sqrt(float(torch.dot(g, g)))
        # The bits of the core's unit vector.
        unit = g * (1.0 / norm) if norm > 0.0 else g
        self.first = None
        self.first = (unit, self.product(None, unit))

    def product(self, batch: int | None, v: Tensor) -> Tensor:
        if (
            batch is None
            and self.first is not None
            and torch.equal(self.first[0][:64], v[:64])
            and torch.equal(self.first[0], v)
        ):
            return self.first[1].clone()
        chunks = self.m.on(batch)
        if len(chunks) == 1:
            if batch not in self.kept:
                self.m.quiet.rewind()
                self.kept = {batch: self.record(chunks[0][0])}
            return self.m.problem.processes.add(scaled(self.apply(self.kept[batch], v, True), chunks[0][1]))
        total = torch.zeros_like(v)
        self.m.quiet.rewind()
        for chunk, share in chunks:
            total.add_(self.apply(self.record(chunk), v, False), alpha=share)
        return self.m.problem.processes.add(total)


def scaled(image: Tensor, share: float) -> Tensor:
    return image if share == 1.0 else image.mul_(share)


class Exact(Products):
    """Double backward: the gradient is recorded, and differentiated along v."""

    graph: Graph | None = None

    def record(self, chunk: Any) -> Any:
        w = self.m.weights
        leaves = w.leaves()
        with w.standing_in(leaves):
            _, loss = self.m.problem.value(leaves, chunk)
            self.graph, self.loss = Graph(loss), loss.detach()
            gradients = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
        if any(g is not None and g.layout != torch.strided for g in gradients):
            raise Unsuitable("sparse gradients cannot be measured: build the embedding with sparse=False")
        return leaves, gradients

    def apply(self, recorded: Any, v: Tensor, keep: bool) -> Tensor:
        leaves, gradients = recorded
        w = self.m.weights
        moving = [(g, x) for g, x in zip(gradients, w.parts(v)) if g is not None and g.requires_grad]
        if not moving:
            return torch.zeros_like(v)
        with w.standing_in(leaves):
            image = torch.autograd.grad(
                [g for g, _ in moving], leaves, [x for _, x in moving], retain_graph=keep, allow_unused=True
            )
        return self.m.flat(image)

    def try_out(self) -> None:
        super().try_out()
        if self.graph is not None and self.graph.python:
            check_curvature(self.m, self, self.graph.python)


def check_curvature(m: Measurement, source: Products, functions: set[str]) -> None:
    """Compares uᵀHu with a difference of gradients along u = g/‖g‖. **Cost**: two gradients."""
    assert source.first is not None
    unit, image = source.first
    exact = float(unit @ image)
    step = 1e-3 * max(float(m.live.norm()), 1e-30)
    turned = m.gradient(m.live + step * unit, None)[1] - m.gradient(m.live - step * unit, None)[1]
    difference = float(unit @ turned) / (2 * step)
    if abs(exact - difference) > 0.1 * max(abs(exact), abs(difference)):
        raise Unsuitable(
            f"the graph has functions written in Python ({', '.join(sorted(functions))}), and along the gradient their "
            "double backward gives the curvature "
            f"{exact:.4g} where a difference of gradients gives {difference:.4g}: their backward pass cannot be "
            "differentiated again"
        )


def check_slope(m: Measurement, what: str) -> None:
    """Whether the gradient is that of the loss: along itself, by a central difference of losses. **Cost**: two
    gradients.
    """
    norm = float(m.gradient_vector.norm())
    if norm == 0.0:
        return
    unit = m.gradient_vector / norm
    step = 1e-3 * float(m.live.norm())
    rise = m.gradient(m.live + step * unit, None)[0] - m.gradient(m.live - step * unit, None)[0]
    slope = rise / (2 * step)
    if abs(slope - norm) > 0.2 * max(abs(slope), norm):
        raise Unsuitable(
            f"{what} a gradient of norm {norm:.4g} where the loss rises by {slope:.4g} along it: it is not the "
            "gradient of this loss"
        )
