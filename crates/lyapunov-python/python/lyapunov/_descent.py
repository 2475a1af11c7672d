"""Lyapunov exponents of an optimizer of torch, on the model, the loss and the batches of its user."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from . import _core
from ._exponents import Exponents, exponents_of
from ._kinds import choose
from ._measurement import measure
from ._optimizer import KNOWN
from ._problem import Kind, Problem, is_pair
from ._verify import verify_measurement
from ._weights import Generators, Quiet
from .errors import Unsuitable

__all__ = ["exponents"]

Group = tuple[int, float, float, bool, float, bool, float, float]
"""(length, learning rate, decay, decoupled, momentum or β₁, Nesterov, β₂, ε)."""


def exponents(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    loader: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    count: int = 2,
    *,
    steps: int = 1000,
    warm_up: int | None = None,
    every: int = 1,
    seed: int = 0,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    kind: Kind = "auto",
    micro_batch: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Exponents:
    """The ``count`` largest Lyapunov exponents of training with this optimizer, from the weights and the state that it
    has now.

    A mirror of the optimizer trains beside it: its weights and what it remembers of each (the velocity; Adam's moments
    and count of steps) are copied, and the copy takes one step per batch of ``loader``, again and again, as the
    optimizer would with the learning rates, decays and momenta that its groups have now. ``count`` deviations of the
    whole state move along by the derivative of the update, on the same batch with the same dropout masks, and are
    re-orthonormalised every ``every`` steps. After ``warm_up`` steps (a tenth of ``steps`` unless given) ``steps``
    steps are measured.

    For torch.optim.SGD (momentum, Nesterov), Adam and AdamW. Schedules, clipping and accumulation of gradients are not
    part of the mirror. ``progress`` is called with (step, of).

    Model, optimizer, generators and the loader's generator are as before afterwards, also when an exception or Ctrl-C
    comes out. An iterator in place of a loader is refused: what it gave could not be given back.

    **Units**: nats per step; ``per_time()`` is per learning rate times steps. **Cost**: per step a recorded gradient
    and ``count`` products, each 1 to 3 gradients; the state is held
    ``count`` + 2 times. Deviations in f32 are good to about 1e-5 per step: where exponents are that close to zero,
    measure ``model.double()``.

    **Raises** Unsuitable, NotDeterministic, TypeError for another optimizer or loader, ValueError for numbers out of
    range and a loss that is not finite.

    **Source**: Benettin, Galgani, Giorgilli & Strelcyn 1980.
    """
    for name, value, least in (
        ("count", count, 1),
        ("steps", steps, 1),
        ("every", every, 1),
        ("warm_up", 0 if warm_up is None else warm_up, 0),
    ):
        if value < least:
            raise ValueError(f"{name} = {value} must be at least {least}")
    warm_up = max(1, steps // 10) if warm_up is None else warm_up
    with mirror(
        model, loss_fn, loader, optimizer, count, seed=seed, forward=forward, kind=kind, micro_batch=micro_batch
    ) as run:
        if progress is not None:
            run.progress = lambda step: progress(step, warm_up + steps)
        diverged = run.descent.advance(warm_up, every) if warm_up else None
        if diverged is None:
            run.descent.forget()
            run.descent.advance(steps, every)
        found = run.descent.exponents()
        assert found is not None, "there are deviations"
        return exponents_of(
            found,
            kind=run.kind,
            products=run.products,
            cost=run.cost(),
            timeless=len({group[1] for group in run.groups}) > 1,
        )


@contextlib.contextmanager
def mirror(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    loader: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    count: int,
    *,
    seed: int = 0,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    kind: Kind = "auto",
    micro_batch: int | None = None,
) -> Iterator[Mirror]:
    """A quiet span with a mirror of the optimizer that carries ``count`` deviations."""
    rule, groups, params = _groups(optimizer)
    if kind == "gauss-newton":
        raise ValueError(
            'kind = "gauss-newton" is not the derivative of a step, which has the Hessian itself in it: '
            'use "auto", "exact" or "difference"'
        )
    if isinstance(loader, Iterator) or not hasattr(loader, "__iter__"):
        raise TypeError(
            "loader must be a DataLoader or a list of batches, which can be gone through again, not "
            f"{type(loader).__name__}"
        )
    if is_pair(loader) and all(isinstance(part, Tensor) for part in loader):
        raise TypeError("loader must give batches, and this is one: [(inputs, targets)] is a list of one batch")
    if getattr(loader, "persistent_workers", False) and getattr(loader, "_iterator", None) is not None:
        raise ValueError(
            "the workers of this loader are in use by the loop that goes through it: use another DataLoader, or "
            "persistent_workers=False"
        )
    problem = Problem(model, loss_fn, forward, params, kind, micro_batch)
    problem.refuse_shards("exponents are not offered")
    memory, taken = _memory(optimizer, problem, rule)
    with Quiet(problem.model) as quiet, _kept(loader):
        run = Mirror(problem, quiet, loader, taken)
        run.look()
        run.groups = groups
        run.descent = _core.Descent(
            rule,
            run,
            groups,
            [problem.weights.flat(problem.weights.params), *memory],
            taken=taken,
            count=count,
            seed=seed,
        )
        try:
            yield run
        finally:
            run.recorded = None


def _groups(optimizer: torch.optim.Optimizer) -> tuple[str, list[Group], list[Tensor]]:
    """The rule of the core, the groups, and the parameters in their order."""
    kind = type(optimizer)
    if kind not in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        raise TypeError(f"no derivative of the step is known for {kind.__name__}; known are {KNOWN}")
    groups: list[Group] = []
    params: list[Tensor] = []
    for group in optimizer.param_groups:
        for option in ("maximize", "amsgrad", "dampening"):
            if group.get(option):
                raise ValueError(
                    f"{option} = {group[option]} is not covered: the derivative of that step is not known here"
                )
        moving = [p for p in group["params"] if p.requires_grad]
        if not moving:
            continue
        params += moving
        beta, beta2 = (float(group["momentum"]), 0.0) if kind is torch.optim.SGD else map(float, group["betas"])
        decoupled = bool(group.get("decoupled_weight_decay", kind is torch.optim.AdamW))
        length, rate, decay = sum(p.numel() for p in moving), float(group["lr"]), float(group["weight_decay"])
        groups.append(
            (
                length,
                rate,
                decay,
                decoupled,
                beta,
                bool(group.get("nesterov", False)),
                beta2,
                float(group.get("eps", 1.0)),
            )
        )
    if not params:
        raise ValueError("the optimizer has no parameter that requires a gradient")
    rule = "adam" if kind is not torch.optim.SGD else "momentum" if any(group[4] for group in groups) else "sgd"
    return rule, groups, params


def _memory(optimizer: torch.optim.Optimizer, problem: Problem, rule: str) -> tuple[list[Tensor], int]:
    """What the optimizer remembers of each weight, flat, and how many steps it has taken."""
    names = {"sgd": (), "momentum": ("momentum_buffer",), "adam": ("exp_avg", "exp_avg_sq")}[rule]
    states = [optimizer.state.get(p, {}) for p in problem.weights.params]
    held = [
        [torch.zeros_like(p) if s.get(name) is None else s[name] for s, p in zip(states, problem.weights.params)]
        for name in names
    ]
    counts = {int(state.get("step", 0)) for state in states} if rule == "adam" else {0}
    if len(counts) > 1:
        raise Unsuitable(
            f"parameters have taken different numbers of steps ({', '.join(map(str, sorted(counts)))}): Adam corrects "
            "the bias of each by its own, and one is covered"
        )
    return [problem.weights.flat(tensors) for tensors in held], counts.pop()


@contextlib.contextmanager
def _kept(loader: Any) -> Iterator[None]:
    """Gives the generators that a DataLoader owns their states back."""
    owners = (
        loader,
        getattr(loader, "sampler", None),
        getattr(getattr(loader, "batch_sampler", None), "sampler", None),
    )
    generators = {
        id(g): g for g in (getattr(owner, "generator", None) for owner in owners) if isinstance(g, torch.Generator)
    }
    states = [(g, g.get_state()) for g in generators.values()]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)


class Mirror:
    """An optimizer that trains beside the user's: its batches, and the loss on each with two derivatives, as the core
    asks for them.
    """

    descent: _core.Descent
    groups: list[Group]

    def __init__(self, problem: Problem, quiet: Quiet, loader: Iterable[Any], taken: int) -> None:
        self.problem, self.quiet, self.loader, self.taken = problem, quiet, loader, taken
        self.batches = iter(loader)
        self.first: Any = None
        self.step, self.kind, self.products = taken - 1, "exact", 0
        self.progress: Callable[[int], object] | None = None
        self.started = time.perf_counter()
        self.recorded: tuple[list[Tensor], tuple[Tensor, ...]] | None = None

    def look(self) -> None:
        """Takes the first batch, and checks there that what is about to be computed is right."""
        self.first = self._take()
        with measure(self.problem, [self.first]) as m:
            if not m.finite:
                raise ValueError(
                    f"the loss is {m.loss} or its gradient is not finite: there is no step to differentiate at these "
                    "weights"
                )
            verify_measurement(m)
            self.kind = choose(m, "spectrum").kind

    def cost(self) -> float:
        """Wall time so far, in gradients."""
        return (time.perf_counter() - self.started) / self.problem.gradient_seconds

    # What the core asks for.
    # --------------------------------------------------------------------------------------------------------

    def gradient(self, at: Tensor, step: int) -> tuple[float, Tensor]:
        """Loss and gradient on the batch of the coming step, or on the present one once more."""
        if step == self.step:
            self._rewind()
        else:
            assert step == self.step + 1, "batches come one after another"
            self._enter(step)
        self.recorded = None
        return self._evaluate(at, record=self.kind == "exact" and len(self.chunks) == 1)

    def product(self, at: Tensor, step: int, v: Tensor) -> Tensor:
        """The product with the Hessian of the batch of the present step."""
        assert step == self.step, "a product is of the batch whose gradient was asked for"
        self.products += 1
        if self.recorded is not None:
            return self.problem.processes.add(self._along(self.recorded, v, True).mul_(self.chunks[0][1]))
        after, buffers = Generators(set(self.quiet.generators.devices)), self._buffers()
        try:
            if self.kind == "difference":
                return _core.difference(
                    _Still(self), at, v, central=True, relative_step=1e-4 if v.dtype == torch.float32 else 1e-6
                )
            self._rewind()
            image, leaves = torch.zeros_like(v), self.problem.weights.leaves(at)
            for chunk, share in self.chunks:
                image.add_(self._along((leaves, self._differentiate(leaves, chunk, True)[1]), v, False), alpha=share)
            return self.problem.processes.add(image)
        finally:
            after.rewind()
            self._put(buffers)

    def still(self, at: Tensor) -> tuple[float, Tensor]:
        """Loss and gradient on the present batch once more."""
        self._rewind()
        return self._evaluate(at, record=False)

    # Batches, and where the generators and buffers stood before each.
    # ------------------------------------------------------------------

    def _take(self) -> Any:
        for _ in range(2):
            for batch in self.batches:
                device = self.problem.weights.device
                return tree_map(lambda t: t.to(device) if isinstance(t, Tensor) else t, batch)
            self.batches = iter(self.loader)
        raise ValueError("the loader has no batches")

    def _enter(self, step: int) -> None:
        batch, self.first = (self._take(), None) if self.first is None else (self.first, None)
        chunks = self.problem.chunks(batch)
        total = self.problem.total(chunks)
        self.chunks = [(chunk, size / total) for chunk, size in chunks]
        self.step = step
        self.before, self.lent = Generators(set(self.quiet.generators.devices)), self._buffers()
        if self.progress is not None:
            self.progress(step - self.taken)

    def _buffers(self) -> list[Tensor]:
        return [lent.detach().clone() for lent, _ in self.quiet.buffers]

    def _put(self, saved: list[Tensor]) -> None:
        for (lent, _), value in zip(self.quiet.buffers, saved):
            lent.data.copy_(value)

    def _rewind(self) -> None:
        self.before.rewind()
        self._put(self.lent)

    # Derivatives.
    # --------------------------------------------------------------------------------------------------------------

    def _evaluate(self, at: Tensor, record: bool) -> tuple[float, Tensor]:
        w = self.problem.weights
        leaves, value = w.leaves(at), 0.0
        total = torch.zeros(sum(w.sizes), dtype=w.dtype, device=w.device)
        for chunk, share in self.chunks:
            loss, gradients = self._differentiate(leaves, chunk, record)
            self.recorded = (leaves, gradients) if record else None
            value += share * loss
            total.add_(w.flat(gradients), alpha=share)
        return self.problem.over_ranks(value, total)

    def _differentiate(self, leaves: list[Tensor], chunk: Any, record: bool) -> tuple[float, tuple[Tensor, ...]]:
        w = self.problem.weights
        with w.standing_in(leaves):
            _, loss = self.problem.value(leaves, chunk)
            gradients = torch.autograd.grad(loss, leaves, create_graph=record, allow_unused=True)
        for name, gradient in zip(w.names, gradients):
            if gradient is None:
                raise Unsuitable(
                    f"{name} gets no gradient, and the optimizer would leave it as it is: freeze it, or take it out of "
                    "the optimizer"
                )
        return float(loss.detach()), gradients

    def _along(self, recorded: tuple[list[Tensor], tuple[Tensor, ...]], v: Tensor, keep: bool) -> Tensor:
        """The derivative of recorded gradients along v, transposed: H is symmetric."""
        leaves, gradients = recorded
        w = self.problem.weights
        moving = [(g, x) for g, x in zip(gradients, w.parts(v)) if g.requires_grad]
        if not moving:
            return torch.zeros_like(v)
        with w.standing_in(leaves):
            image = torch.autograd.grad(
                [g for g, _ in moving], leaves, [x for _, x in moving], retain_graph=keep, allow_unused=True
            )
        return w.flat([torch.zeros_like(p) if t is None else t for t, p in zip(image, w.params)])


class _Still:
    """A mirror, as differences ask it for gradients."""

    def __init__(self, run: Mirror) -> None:
        self.run = run

    def gradient(self, at: Tensor, batch: int | None) -> tuple[float, Tensor]:
        return self.run.still(at)
