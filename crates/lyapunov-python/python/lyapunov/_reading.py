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
    is no such vector.
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
        return self.readings[quantity]
