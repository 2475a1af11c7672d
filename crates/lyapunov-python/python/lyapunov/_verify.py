"""Whether second derivatives tell the truth on this model: PyTorch gives some wrong ones without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ._graph import Graph
from ._kinds import choose
from ._measurement import Exact, Measurement, check_slope, measure
from ._problem import Kind, Problem

__all__ = ["Verified", "verify"]


@dataclass(frozen=True)
class Verified:
    """What :func:`verify` found on a model that passed."""

    kind: str
    """The kind of product that is used for the largest eigenvalues."""
    kinks: tuple[str, ...]
    """Operations in the graph whose derivative jumps: differences of gradients are refused where there are some."""
    python_functions: tuple[str, ...]
    """Autograd functions written in Python; their second derivatives were compared with differences."""
    cost: float
    """In gradients."""


def verify(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    batch: Any,
    *,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    params: Iterable[Tensor] | None = None,
    kind: Kind = "auto",
    micro_batch: int | None = None,
) -> Verified:
    """Checks that what will be measured on this model is right, and raises :class:`Unsuitable` or
    :class:`NotDeterministic` where it is not.

    - The loss and its gradient are the same twice.
    - ``autograd.grad`` gives every parameter the gradient that ``backward()`` gives: under reentrant checkpointing it
      does not.
    - No weight is reached past its module, where a measurement would not see it.
    - Where functions written in Python stand in the graph, uᵀHu along the gradient is that of a difference of
      gradients.

    **Cost**: about seven gradients, reported. Run once by every :class:`Monitor`.
    """
    problem = Problem(model, loss_fn, forward, params, kind, micro_batch)
    with measure(problem, [batch]) as m:
        return verify_measurement(m)


def verify_measurement(m: Measurement) -> Verified:
    """The checks of :func:`verify` within a measurement."""
    if not m.finite:
        raise ValueError(
            f"the loss is {m.loss} or its gradient is not finite: there is nothing to verify at these weights"
        )
    assert m.graph is not None, "the checks of a first measurement have run"
    graph = m.graph
    choose(m, "largest")
    if graph.python and not isinstance(m.source, Exact):
        check_slope(m, f"the functions {', '.join(sorted(graph.python))} give")
    return Verified(m.kind, tuple(sorted(graph.kinks)), tuple(sorted(graph.python)), m.cost())
