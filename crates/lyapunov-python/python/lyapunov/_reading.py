"""A number as it was measured: never without its error, its kind of product and its cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._optimizer import Edge

__all__ = ["Reading", "Row"]


@dataclass(frozen=True)
class Reading:
    """One measured number.

    ``value`` is in units of loss per weight², for eigenvalues and curvatures.
    """

    quantity: str
    """What it is: ``lambda_max``, ``trace``, …"""
    value: float
    residual: float | None
    """‖Av − value·v‖ for the unit vector v it belongs to: some eigenvalue lies within this distance. None where there
    is no such vector; without a standard error either, the number is exact but for rounding.
    """
    std_error: float | None
    """The standard error of a random estimate or of a mean over batches; None where nothing is random."""
    kind: str
    """``exact``, ``gauss-newton`` or ``difference``: which matrix was measured, and how."""
    products: int
    """Products with that matrix; of the whole search where several readings came out of one."""
    cost: float
    """Wall time of the measurement over that of one gradient of the same data, measured in the same process."""
    converged: bool
    """Whether the residual is within the tolerance. Not having converged is a finding, not an error."""

    def __float__(self) -> float:
        return self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self)

    def __repr__(self) -> str:
        error = ""
        if self.residual is not None:
            error = f" (residual {self.residual:.1e})"
        elif self.std_error is not None:
            error = f" ± {self.std_error:.1e}"
        state = "" if self.converged else ", not converged"
        cost = f"{self.products} products, {self.cost:.1f} gradients"
        return f"<{self.quantity} {self.value:.6g}{error}, {self.kind}, {cost}{state}>"


@dataclass(frozen=True)
class Row:
    """What is known of the weights before one step, on the batch of that step."""

    step: int
    loss: float
    """Of the batch that was given."""
    gradient_norm: float
    learning_rate: float | None
    edge: Edge | None
    readings: dict[str, Reading] = field(default_factory=dict)
    """By quantity; empty where the loss or the gradient is not finite."""
    shares: dict[str, float] = field(default_factory=dict)
    """value / edge of the quantities that the edge speaks of: 1 is on the edge."""
    cost: float = 0.0
    """Of this row, in gradients."""
    measuring_cost: float = 0.0
    """Of all rows so far, in gradients per step."""

    def __getitem__(self, quantity: str) -> Reading:
        if quantity not in self.readings:
            there = ", ".join(self.readings) or "none: the loss or the gradient is zero or not finite"
            raise KeyError(f"{quantity} was not measured at step {self.step}; readings are {there}")
        return self.readings[quantity]

    def __str__(self) -> str:
        """One line: step, loss, every reading with its share of the edge."""
        parts = [f"step {self.step}", f"loss {self.loss:.4g}"]
        for name, reading in self.readings.items():
            error = "" if reading.residual is None else f" ± {reading.residual:.1g}"
            share = f" ({100 * self.shares[name]:.0f} % of the edge)" if name in self.shares else ""
            parts.append(f"{name} {reading.value:.5g}{error}{share}")
        return ", ".join(parts)
