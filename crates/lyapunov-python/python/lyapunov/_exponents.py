"""Lyapunov exponents as they were found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from . import _core

__all__ = ["Estimate", "Exponents"]


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error, infinite where it is unknown."""

    value: float
    std_error: float

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"{self.value:.6g} ± {self.std_error:.1e}"


@dataclass(frozen=True)
class Exponents:
    """Lyapunov exponents: how fast two almost equal trajectories drift apart.

    **Units**: nats per step, or per unit of time where ``unit`` says so.
    """

    values: list[float]
    """Λ_1 … Λ_k, largest first once the deviations are aligned; −∞ for a direction that is contracted to nothing."""
    std_errors: list[float]
    """The standard error of each; infinite where there is too little data."""
    settled: bool
    """Whether the averages have settled. If not, the errors are not to be trusted: take more steps, or a longer
    warm-up.
    """
    steps: int
    """The steps that were measured, after the warm-up."""
    time: float
    """The time that these steps took: the learning rate times the steps, for an optimizer."""
    sum: Estimate
    """Λ_1 + … + Λ_k. Of all n it is the mean of ln|det Df|."""
    entropy: Estimate
    """The sum of the positive ones, as complete as the exponents that were asked for."""
    kaplan_yorke: Estimate | None
    """j + (Λ_1 + … + Λ_j)/|Λ_{j+1}|, j the last index with a non-negative partial sum; None where it lies beyond the
    exponents that were asked for.
    """
    diverged: int | None
    """The step before which numbers were not finite, the warm-up counted; the other fields speak of the steps up to it.
    None where all were taken.
    """
    unit: str = "step"
    """``step`` or ``time``: what the values are per."""
    kind: str = "exact"
    """How deviations were moved: ``exact``, or ``difference``."""
    products: int | None = None
    """Products with the Hessian, for an optimizer."""
    cost: float | None = None
    """Wall time over that of one gradient of a batch, for an optimizer; the trajectory itself is part of it."""

    def per_time(self) -> Exponents:
        """The same per unit of time: for plain descent at a small learning rate, minus curvatures. The dimension has no
        unit and stays.
        """
        if self.unit == "time":
            return self
        if not self.time > 0.0 or not math.isfinite(self.time):
            raise ValueError(
                "the steps have no common unit of time: groups of the optimizer have learning rates of their own"
            )
        f = self.steps / self.time
        return replace(
            self,
            values=[f * x for x in self.values],
            std_errors=[f * x for x in self.std_errors],
            sum=Estimate(f * self.sum.value, f * self.sum.std_error),
            entropy=Estimate(f * self.entropy.value, f * self.entropy.std_error),
            unit="time",
        )

    def __repr__(self) -> str:
        shown = ", ".join(f"{v:.5g} ± {e:.1g}" for v, e in zip(self.values, self.std_errors))
        state = "" if self.settled else ", not settled"
        if self.diverged is not None:
            state += f", diverged before step {self.diverged}"
        return f"<exponents {shown} per {self.unit}, {self.steps} steps{state}>"


def exponents_of(
    found: _core.Exponents,
    unit: str = "step",
    kind: str = "exact",
    products: int | None = None,
    cost: float | None = None,
    timeless: bool = False,
) -> Exponents:
    """What the core found, for a user; ``timeless`` where steps have no common length."""
    return Exponents(
        found.values,
        found.std_errors,
        found.settled,
        found.steps,
        math.nan if timeless else found.time,
        Estimate(*found.sum),
        Estimate(*found.entropy),
        None if found.kaplan_yorke is None else Estimate(*found.kaplan_yorke),
        found.diverged,
        unit,
        kind,
        products,
        cost,
    )
