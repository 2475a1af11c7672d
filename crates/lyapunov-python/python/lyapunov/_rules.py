"""Rules that set the learning rate of a loop that somebody else owns, by what is measured there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from . import _core
from ._optimizer import TorchOptimizer
from ._kinds import choose
from ._measurement import Measurement, measure
from ._problem import Kind, Problem, at_least_one, one_number

__all__ = ["Adgd", "BatchSharpness", "EdgeStep", "OnEdge", "QuasiNewton"]


class Rule:
    """What all rules share: ``rate.step(batch, loss)`` between ``backward()`` and ``optimizer.step()`` sets the
    learning rate of all groups; the one that the optimizer was made with does not matter.

    ``strength`` is the σ of the rule, ``every`` the steps between two measurements. ``bounds`` are the least and the
    largest learning rate that it may choose. With ``schedule=(steps, warm_up, cooldown)`` the rate rises on a line over
    the first share of the steps and falls to zero over the last one, after the bounds.

    Gradient accumulation: call ``step`` once per step of the optimizer; the measurement speaks of the batch that is
    given, so give the whole one (``micro_batch=`` bounds the memory).
    """

    _name: ClassVar[str]
    _plain_only: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        strength: float,
        every: int,
        bounds: tuple[float, float] = (0.0, math.inf),
        schedule: tuple[int, float, float] | None = None,
        forward: Callable[[nn.Module, Any], Any] | None = None,
        params: Iterable[Tensor] | None = None,
        kind: Kind = "auto",
        micro_batch: int | None = None,
    ) -> None:
        every = at_least_one("every", every)
        self._problem = Problem(model, loss_fn, forward, params, kind, micro_batch)
        self._problem.refuse_shards("rules for the learning rate are not offered")
        self._optimizer = o = TorchOptimizer(optimizer)
        o.check(self._problem.weights, self._problem.notice)
        if self._plain_only and (o.adaptive or o.beta):
            raise ValueError(
                f"{type(self).__name__} has a theory for torch.optim.SGD without momentum only: EdgeStep, OnEdge and "
                "QuasiNewton know the others"
            )
        self._rule = _core.Rule(
            self._name,
            strength=strength,
            momentum=o.beta,
            damped=o.adaptive,
            edge=o.edge_constant(),
            every=every,
            bounds=(float(bounds[0]), float(bounds[1])),
            schedule=schedule,
        )
        self._every, self._step, self._checked = every, 0, False
        self._before: Tensor | None = None
        self.products = 0
        """Products with the Hessian so far."""
        self.cost = 0.0
        """Wall time of all measurements so far, in gradients."""

    def step(self, batch: Any, loss: Tensor | float) -> float:
        """Sets and returns the learning rate of the coming step. ``loss`` is that of the batch, as it was computed.

        **Raises** Unsuitable, NotDeterministic; RuntimeError where the rule lacks what it decides by, because it was
        not finite; ValueError for a rate that is not finite.
        """
        one_number(loss, "rate.step((inputs, targets), loss)")
        step = self._step
        along, secant = self._rule.wants(step)
        found: dict[str, Any] = {}
        norm = 1.0
        if along or secant or self._due(step):
            with measure(self._problem, [batch], check=not self._checked) as m:
                norm = float(m.gradient_vector.norm())
                if m.finite and norm > 0.0:
                    found = self._measured(m, along, secant, step)
                    self._checked = True
                self.products += m.products
                self.cost += m.cost()
        value = float(loss.detach()) if isinstance(loss, Tensor) else float(loss)
        rate = self._rule.next(
            step, value, norm if math.isfinite(norm) else 1.0, preconditioned=self._optimizer.adaptive, **found
        )
        self._step += 1
        weights = self._problem.weights
        self._before = weights.flat(weights.params) if self._rule.wants(self._step)[1] else None
        for group in self._optimizer.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        return rate

    def capture(self) -> None:
        """Call it before the forward pass, and the dropout masks of a measurement are those of the step."""
        if any(self._rule.wants(self._step)) or self._due(self._step):
            self._problem.capture()

    def _due(self, step: int) -> bool:
        """Whether the sharpness that the rule decides by is measured now."""
        return False

    def _sharpness(self, m: Measurement, root: Tensor | None) -> tuple[float, float] | None:
        """That sharpness with its residual."""
        return None

    def _measured(self, m: Measurement, along: bool, secant: bool, step: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        o, gradient = self._optimizer, m.gradient_vector
        if along or self._due(step):
            choose(m, "largest")
            root = o.root(m.weights, gradient)
            if along:
                found["along"] = _core.along(m, o.momentum(m.weights, gradient), gradient, root)
            if self._due(step):
                found["sharpness"] = self._sharpness(m, root)
        if secant and self._before is not None:
            change = gradient - m.gradient(self._before, None)[1]
            found["secant"] = (float((m.live - self._before).norm()), float(change.norm()))
        return found

    def state_dict(self) -> dict[str, Any]:
        """All that the rule remembers."""
        return {
            "step": self._step,
            "rule": self._rule.state(),
            "before": self._before,
            "cost": self.cost,
            "products": self.products,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave, of the same rule and model."""
        before = state.get("before")
        if before is not None and before.numel() != sum(self._problem.weights.sizes):
            raise ValueError(
                f"the saved weights are {before.numel()} numbers, and this model has {sum(self._problem.weights.sizes)}"
            )
        self._rule.set_state(state["rule"])
        self._step, self.cost, self.products = (
            int(state["step"]),
            float(state.get("cost", 0.0)),
            int(state.get("products", 0)),
        )
        self._before = None if before is None else before.to(self._problem.weights.device, self._problem.weights.dtype)


class EdgeStep(Rule):
    """As long as the curvature along the step allows: η = s (1 − β)/L̄ with L̄ the mean of ‖Hu‖ along the momentum u.

    Starts at a quarter of that and rises by 4 % per step; a loss that jumps halves it. A cooldown over the last 30 %
    belongs to it: ``schedule=(steps, 0, 0.3)``. For torch.optim.SGD (momentum, Nesterov), Adam and AdamW; under Adam
    everything is in the metric of its preconditioner.

    **Cost**: one product every five steps in the first 40, then every ``every``; each measurement also costs the
    gradient that it records.

    **Source**: this project.
    """

    _name = "edge-step"

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        strength: float = 2.0,
        every: int = 20,
        **k: Any,
    ) -> None:
        super().__init__(model, loss_fn, optimizer, strength=strength, every=every, **k)


class OnEdge(Rule):
    """CDAT: where the loss, to second order, neither rises nor falls along the step. η = σ n̄/d̄ with n = max(gᵀd, 0),
    d = |dᵀHd|, averaged with a memory of 0.9.

    σ = 2 is on the edge. For torch.optim.SGD (momentum, Nesterov), Adam and AdamW. **Cost**: a product and a gradient
    every ``every`` steps.

    **Source**: Roulet and others, *Stepping on the edge* (2024).
    """

    _name = "on-edge"

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        strength: float = 2.0,
        every: int = 1,
        **k: Any,
    ) -> None:
        super().__init__(model, loss_fn, optimizer, strength=strength, every=every, **k)


class QuasiNewton(Rule):
    """A step of σ over the largest eigenvalue: η = σ (c/2)/λ_max, where c/η is the edge of the optimizer; under Adam
    over the preconditioned sharpness.

    λ_max of the batch in hand is followed by bursts of ``products`` products every ``every`` steps. For torch.optim.SGD
    (momentum, Nesterov), Adam and AdamW.
    **Cost**: ``products`` products and a gradient every ``every`` steps.

    **Source**: Sasdelli and others 2021.
    """

    _name = "quasi-newton"

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        strength: float = 1.0,
        every: int = 100,
        products: int = 5,
        **k: Any,
    ) -> None:
        super().__init__(model, loss_fn, optimizer, strength=strength, every=every, **k)
        if products < 1:
            raise ValueError(f"products = {products} must be at least 1")
        self._tracker = _core.Tracker(products)

    def _due(self, step: int) -> bool:
        return step % self._every == 0

    def _sharpness(self, m: Measurement, root: Tensor | None) -> tuple[float, float] | None:
        pairs = self._tracker.update(m, m.gradient_vector, root).largest
        return pairs[0] if pairs else None

    def state_dict(self) -> dict[str, Any]:
        """All that the rule remembers."""
        return super().state_dict() | {"vector": self._tracker.vector(self._like())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave, of the same rule and model."""
        vector, like = state.get("vector"), self._like()
        self._tracker.set_vector(None if vector is None else vector.to(like), like)
        super().load_state_dict(state)

    def _like(self) -> Tensor:
        return self._problem.weights.flat(self._problem.weights.params)


class BatchSharpness(Rule):
    """At the edge of mini-batch training: η = 2σ/BS, BS the geometric mean of gᵀHg/gᵀg over about five readings of
    single batches.

    For torch.optim.SGD without momentum. At initial weights a reading may be near zero, where the rule leaps: give
    ``bounds``. **Cost**: a product and a gradient every ``every`` steps.

    **Source**: Andreyev & Beneventano 2024.
    """

    _name, _plain_only = "batch-sharpness", True

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        strength: float = 1.0,
        every: int = 100,
        **k: Any,
    ) -> None:
        super().__init__(model, loss_fn, optimizer, strength=strength, every=every, **k)

    def _due(self, step: int) -> bool:
        return step % self._every == 0

    def _sharpness(self, m: Measurement, root: Tensor | None) -> tuple[float, float] | None:
        return _core.rayleigh(m, m.gradient_vector)


class Adgd(Rule):
    """Half the secant's step length: η_t = min(√(1 + θ) η_(t−1), ½σ ‖w_t − w_(t−1)‖/‖g(w_t) − g(w_(t−1))‖), θ =
    η_(t−1)/η_(t−2), both gradients on the batch of step t.

    For torch.optim.SGD without momentum. **Cost**: two gradients per step, and a product before the first; the weights
    are held once more.

    **Source**: Malitsky & Mishchenko 2020.
    """

    _name, _plain_only = "adgd", True

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        strength: float = 1.0,
        **k: Any,
    ) -> None:
        super().__init__(model, loss_fn, optimizer, strength=strength, every=1, **k)
