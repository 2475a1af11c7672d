"""What is known of the optimizers of torch: their edge of stability, their momentum, their preconditioner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import _core
from ._weights import Weights

KNOWN = "torch.optim.SGD (with momentum, Nesterov), Adam, AdamW"


@dataclass(frozen=True)
class Edge:
    """The curvature above which a step of a full-batch run grows."""

    threshold: float
    """2/η for gradient descent, less weight decay."""
    quantity: str
    """What it speaks of: ``lambda_max`` or ``preconditioned_sharpness``."""
    holds_batch_sharpness: bool
    """Whether mini-batch runs hold the batch sharpness at it: known of plain descent only."""


class TorchOptimizer:
    """An optimizer of torch by the rule of the core that it follows."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer, self.adaptive = optimizer, isinstance(optimizer, torch.optim.Adam)
        if type(optimizer) not in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
            raise TypeError(
                f"no edge of stability is known for {type(optimizer).__name__}; known are {KNOWN}. A Monitor "
                "without optimizer= measures all the same"
            )
        for group in optimizer.param_groups:
            for option in ("maximize", "amsgrad", "dampening"):
                if group.get(option):
                    raise ValueError(
                        f"{option} = {group[option]} is not covered: the edge of stability of that step is not known "
                        "here"
                    )
        for option in ("betas", "eps") if self.adaptive else ("momentum", "nesterov"):
            if len({group[option] for group in optimizer.param_groups}) > 1:
                raise ValueError(f"the groups of the optimizer differ in {option}: there is no one edge of stability")
        group = optimizer.param_groups[0]
        if self.adaptive:
            self.beta = float(group["betas"][0])
            self.rule = _core.Optimizer.adam(self.beta, float(group["betas"][1]), float(group["eps"]))
        else:
            self.beta = float(group["momentum"])
            self.rule = _core.Optimizer.sgd(self.beta, bool(group["nesterov"]) if self.beta else False)

    def check(self, weights: Weights, notice: Callable[[str], None]) -> None:
        """Raises ValueError where the optimizer moves none of the measured parameters, and says so where not all."""
        moved = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        still = [name for name, p in zip(weights.names, weights.params) if id(p) not in moved]
        if len(still) == len(weights.params):
            raise ValueError("the optimizer moves no parameter that is measured: is it that of another model?")
        if still:
            notice(
                f"the optimizer does not move {still[0]}{' and others' if len(still) > 1 else ''}, which is measured: "
                "its edge speaks of what it moves. params= chooses, and requires_grad_(False) leaves out"
            )

    @property
    def learning_rate(self) -> float | None:
        """The learning rate that all groups share; None where they differ."""
        rates = {float(group["lr"]) for group in self.optimizer.param_groups}
        return rates.pop() if len(rates) == 1 else None

    @property
    def largest_rate(self) -> float:
        """The largest learning rate of the groups."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    def _decay(self) -> tuple[float, bool]:
        group = self.optimizer.param_groups[0]
        return float(group["weight_decay"]), bool(
            group.get("decoupled_weight_decay", isinstance(self.optimizer, torch.optim.AdamW))
        )

    def edge(self) -> Edge | None:
        """The edge at the present learning rate; None where groups differ in it, or it is 0."""
        rate = self.learning_rate
        if not rate:
            return None
        decays = {float(group["weight_decay"]) for group in self.optimizer.param_groups}
        decay, decoupled = self._decay()
        # Groups without decay (biases, norms) shift little; the smaller edge is not certain then, so the plain one is
        # given.
        threshold, preconditioned, holds = self.rule.edge(rate, decay if len(decays) == 1 else 0.0, decoupled)
        return Edge(threshold, "preconditioned_sharpness" if preconditioned else "lambda_max", holds)

    def edge_constant(self) -> float:
        """c, where the edge without weight decay is at c/η."""
        return self.rule.edge(1.0)[0]

    def _memory(self, weights: Weights, name: str) -> Tensor:
        held = [self.optimizer.state.get(p, {}).get(name) for p in weights.params]
        return weights.flat([torch.zeros_like(p) if h is None else h for h, p in zip(held, weights.params)])

    def _effective(self, weights: Weights, gradient: Tensor) -> Tensor:
        decay, decoupled = self._decay()
        return gradient if decoupled or not decay else gradient + decay * weights.flat(weights.params)

    def momentum(self, weights: Weights, gradient: Tensor) -> Tensor:
        """m, where the coming step is w' = w − η P⁻¹ m."""
        memory = self._memory(weights, "exp_avg" if self.adaptive else "momentum_buffer")
        return self.rule.momentum(memory, self._effective(weights, gradient))

    def root(self, weights: Weights, gradient: Tensor) -> Tensor | None:
        """The diagonal of P^-½ at the coming step; None where there is no preconditioner."""
        if not self.adaptive:
            return None
        steps = [self.optimizer.state.get(p, {}).get("step", 0) for p in weights.params]
        count = int(max((int(s) for s in steps), default=0)) + 1
        return self.rule.root(self._memory(weights, "exp_avg_sq"), self._effective(weights, gradient), count)
