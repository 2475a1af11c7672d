"""A learning rate that nobody has to tune: as long as the curvature along the step allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from . import _core
from ._optimizer import TorchOptimizer
from ._products import Kind, Problem

__all__ = ["EdgeStep"]


class EdgeStep:
    """Sets the learning rate of ``optimizer`` before every step: ``rate.step(batch, loss)`` between ``backward()`` and ``optimizer.step()``.

    η = s (1 − β)/L̄ with L̄ the mean of ‖Hu‖ along the momentum u; the rate that the optimizer was made with does not matter. All groups get the same rate. For
    torch.optim.SGD (momentum, Nesterov), Adam and AdamW.

    ``strength`` is σ of the rule. **Cost**: one product every five steps in the first 40, then every ``every``; each measurement also costs the gradient it records.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        strength: float = 2.0,
        every: int = 20,
        forward: Callable[[nn.Module, Any], Any] | None = None,
        params: Iterable[Tensor] | None = None,
        kind: Kind = "auto",
        micro_batch: int | None = None,
    ) -> None:
        self._problem = Problem(model, loss_fn, forward, params, kind, micro_batch)
        self._optimizer = TorchOptimizer(optimizer)
        o = self._optimizer
        self._rule = _core.Rule("edge-step", strength=strength, momentum=o.beta, damped=o.adaptive, edge=o.edge_constant(), every=every)
        self._step, self._checked = 0, False

    def step(self, batch: Any, loss: Tensor | float) -> float:
        """Sets and returns the learning rate of the coming step. ``loss`` is that of the batch, as it was computed.

        **Raises** Unsuitable, NotDeterministic, RuntimeError where a probe that is needed is not finite.
        """
        step, along, norm = self._step, None, 1.0
        if self._rule.wants(step):
            with self._problem.measure([batch], check=not self._checked) as m:
                norm = float(m.gradient_vector.norm())
                if m.finite and norm > 0.0:
                    m.choose("largest")
                    self._checked = True
                    o = self._optimizer
                    heading, root = o.momentum(m.weights, m.gradient_vector), o.root(m.weights, m.gradient_vector)
                    along = _core.along(m, heading, m.gradient_vector, root)
                elif not math.isfinite(norm):
                    norm = 1.0
        value = float(loss.detach()) if isinstance(loss, Tensor) else float(loss)
        rate = self._rule.next(step, value, norm, along=along)
        self._step += 1
        for group in self._optimizer.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        return rate

    def state_dict(self) -> dict[str, Any]:
        """All that the rule remembers."""
        return {"step": self._step, "rule": self._rule.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave."""
        self._rule.set_state(state["rule"])
        self._step = int(state["step"])
