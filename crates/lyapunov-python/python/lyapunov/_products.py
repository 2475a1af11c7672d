"""Loss, gradient, and the products with its second derivative that torch can give."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from . import _core
from ._graph import Graph
from ._processes import Processes
from ._shards import Shards, is_sharded, sharded_gradient, sharded_outputs_product
from ._weights import Generators, Quiet, Weights, unwrap
from .errors import Unsuitable, translation

Kind = Literal["auto", "exact", "gauss-newton", "difference"]
Wanted = Literal["largest", "smallest", "spectrum"]
KINDS = ("auto", "exact", "gauss-newton", "difference")
Operator = Callable[[Tensor], Tensor]


def _detached(batch: Any) -> Any:
    return tree_map(lambda t: t.detach() if isinstance(t, Tensor) and t.requires_grad else t, batch)


def _size(batch: Any) -> int:
    sizes = [t.shape[0] for t in tree_leaves(batch) if isinstance(t, Tensor) and t.dim() > 0]
    if not sizes:
        raise TypeError("a batch must hold at least one tensor with examples along its first dimension")
    return int(sizes[0])


def _pair(batch: Any) -> bool:
    return isinstance(batch, (tuple, list)) and len(batch) == 2


def default_forward(model: nn.Module, batch: Any) -> Any:
    """The outputs for a pair (inputs, targets), a mapping of keyword arguments, or a single tensor of inputs."""
    inputs = batch[0] if _pair(batch) else batch
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, Tensor):
        return model(inputs)
    if isinstance(inputs, (tuple, list)) and _pair(batch):
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
        loss = self.loss_fn(outputs, batch[1] if _pair(batch) else batch)
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

    @contextlib.contextmanager
    def measure(self, batches: list[Any], check: bool = True) -> Iterator[Measurement]:
        """A quiet span with the batches at hand; graphs do not outlive it, since weights may move unseen after it."""
        captured, self.captured = self.captured, None
        with Quiet(self.model, captured) as quiet:
            measurement = Measurement(self, quiet, batches)
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
        self.source: _Source | None = None
        self.kind = "exact"
        self.graph: Graph | None = None
        self.products = 0
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
                _core.check_determinism(_Again(self), self.live, *plain)
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
        source = _Exact(self)
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
            share * float(source.loss), _scaled(self._flat(g if g is None else g.detach() for g in gradients), share)
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
        if isinstance(self.source, _Exact) and self.source.graph is not None:
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
                    values.append(float(self.problem.loss_fn(out, data[1] if _pair(data) else data)))
                drawn = not torch.equal(state, torch.get_rng_state())
            n = sum(s for _, s in chunks)
            mean = sum(v * s / n for v, (_, s) in zip(values[1:], chunks))
            if not drawn and abs(values[0] - mean) > 1e-3 * max(abs(mean), 1e-12):
                raise Unsuitable(
                    f"the loss of the batch, {values[0]:.6g}, is not the mean over its micro-batches, {mean:.6g}: "
                    "batch normalisation in train mode and "
                    "losses that are sums cannot be split. Leave micro_batch out"
                )

    # What the core asks for.
    # --------------------------------------------------------------------------------------------------------

    def gradient(self, at: Tensor | None, batch: int | None) -> tuple[float, Tensor]:
        """Mean loss and gradient over a batch, or over all; at ``at``, or where the weights are."""
        start = self._clock()
        if isinstance(self.weights, Shards):
            found = sharded_gradient(self, at, batch)
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
                part = self._flat(torch.autograd.grad(loss, leaves, allow_unused=True))
            total = _scaled(part, share) if total is None else total.add_(part, alpha=share)
        assert total is not None, "there is a batch"
        value, total = self.problem.over_ranks(value, total)
        if batch is None:
            self.problem.gradient_seconds = min(self.problem.gradient_seconds, self._clock() - start)
        return value, total

    def product(self, batch: int | None, v: Tensor) -> Tensor:
        """The product with the matrix of the kind in use."""
        assert self.source is not None, "the kind is chosen first"
        self.products += 1
        return self.source.product(batch, v)

    def __call__(self, v: Tensor) -> Tensor:
        return self.product(None, v)

    def _flat(self, tensors: Any) -> Tensor:
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

    # The choice of a kind.
    # ------------------------------------------------------------------------------------------------------------

    def choose(self, wanted: Wanted, central: bool = False) -> Measurement:
        """Opens the best kind of product for what is wanted, or the one that was asked for.

        Raises Unsuitable, with every obstacle, where none can give it.
        """
        asked = self.problem.kind
        obstacles: list[str] = []
        ways: list[tuple[str, type[_Source]]] = {
            "exact": [("exact", _Exact)],
            "gauss-newton": [("gauss-newton", _GaussNewton), ("gauss-newton", _OutputDifference)],
            "difference": [("difference", _GradientDifference)],
            "auto": [
                ("exact", _Exact),
                ("gauss-newton", _GaussNewton),
                ("gauss-newton", _OutputDifference),
                ("difference", _GradientDifference),
            ],
        }[asked]  # type: ignore[assignment]
        if isinstance(self.weights, Shards):
            if asked in ("auto", "exact"):
                obstacles.append(
                    "exact: torch.autograd.grad gives no gradient for parameters that fully_shard has cut (FSDP)"
                )
            ways = [
                (kind, _ShardedOutputDifference if way is _OutputDifference else way)
                for kind, way in ways
                if way not in (_Exact, _GaussNewton)
            ]
        for kind, way in ways:
            if kind == "gauss-newton" and wanted == "smallest":
                obstacles.append("gauss-newton: its matrix has no negative eigenvalues")
                continue
            if kind == "gauss-newton" and wanted == "spectrum" and asked == "auto":
                obstacles.append('gauss-newton: its spectrum is another one; ask for it by kind="gauss-newton"')
                continue
            if type(self.source) is way and self.source.first is not None:
                self.kind = kind
                return self
            try:
                if type(self.source) is not way:
                    self.source = way(self)
                self.source.try_out()
            except Unsuitable as refusal:
                obstacles.append(f"{kind}: {refusal}")
            except (RuntimeError, NotImplementedError) as error:
                meaning = translation(error)
                if meaning is None:
                    raise
                obstacles.append(f"{kind}: {meaning}")
                cause: BaseException = error
                self._cause = cause
            else:
                self.kind = kind
                return self
        self.source = None
        raise Unsuitable(f"the {wanted} eigenvalues cannot be had: " + "; ".join(obstacles)) from getattr(
            self, "_cause", None
        )


class _Again:
    """The measurement, as the check of determinism asks for it."""

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement

    def gradient(self, at: Tensor, batch: int | None) -> tuple[float, Tensor]:
        return self.measurement.gradient(at, batch)


class _Source:
    """One way to products. Graphs are kept where all data are one chunk, and made afresh for every product else."""

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
            return self.m.problem.processes.add(_scaled(self.apply(self.kept[batch], v, True), chunks[0][1]))
        total = torch.zeros_like(v)
        self.m.quiet.rewind()
        for chunk, share in chunks:
            total.add_(self.apply(self.record(chunk), v, False), alpha=share)
        return self.m.problem.processes.add(total)


def _scaled(image: Tensor, share: float) -> Tensor:
    return image if share == 1.0 else image.mul_(share)


class _Exact(_Source):
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
        return self.m._flat(image)

    def try_out(self) -> None:
        super().try_out()
        if self.graph is not None and self.graph.python:
            check_curvature(self.m, self, self.graph.python)


def check_curvature(m: Measurement, source: _Source, functions: set[str]) -> None:
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


class _GaussNewton(_Source):
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
        return self.m._flat(image)


class _OutputDifference(_Source):
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
        return self.m._flat(image)


class _ShardedOutputDifference(_Source):
    """The same where parameters are cut into shards. **Cost**: two passes forward and a gradient; nothing is kept."""

    def product(self, batch: int | None, v: Tensor) -> Tensor:
        if batch is None and self.first is not None and torch.equal(self.first[0], v):
            return self.first[1].clone()
        total = torch.zeros_like(v)
        for chunk, share in self.m.on(batch):

            def curved(z: Tensor, moved: Tensor, chunk: Any = chunk) -> Tensor:
                return _curved(_loss_gradient(self.m, z, chunk), moved)

            def outputs(chunk: Any = chunk) -> Tensor:
                return _outputs(self.m, chunk)

            total.add_(sharded_outputs_product(self.m, chunk, share, v, outputs, curved))
        return total


class _GradientDifference(_Source):
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
            _Again(self.m),
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
    loss = m.problem.loss_fn(outputs, chunk[1] if _pair(chunk) else chunk)
    (gradient,) = torch.autograd.grad(loss, [outputs], create_graph=True)
    return outputs, gradient


def _curved(at_outputs: tuple[Tensor, Tensor], moved: Tensor) -> Tensor:
    outputs, gradient = at_outputs
    if not gradient.requires_grad:
        return torch.zeros_like(moved)
    (image,) = torch.autograd.grad([gradient], [outputs], [moved.detach()], retain_graph=True, allow_unused=True)
    return torch.zeros_like(moved) if image is None else image
