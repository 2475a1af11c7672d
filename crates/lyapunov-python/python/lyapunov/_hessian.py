"""The second derivative of a loss at fixed weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from . import _core
from ._kinds import choose
from ._measurement import Measurement, measure
from ._problem import Kind, Problem, Wanted
from ._progress import progress
from ._reading import Reading

__all__ = ["Density", "Hessian", "hessian"]


class Density:
    """A spectral density as nodes and weights; see :meth:`Hessian.density`."""

    def __init__(self, core: _core.Density, kind: str, cost: float) -> None:
        self._core, self.kind, self.cost = core, kind, cost
        self.products = core.products
        self.quadratures: list[list[tuple[float, float]]] = core.quadratures
        """Per random vector, (eigenvalue, weight); the weights of a vector sum to 1."""

    def at(self, t: float, width: float) -> tuple[float, float]:
        """The density at ``t``, smoothed by a normal distribution of this width, and its standard error."""
        return self._core.at(t, width)

    def cumulative(self, t: float) -> tuple[float, float]:
        """The share of eigenvalues at most ``t``, and its standard error."""
        return self._core.cumulative(t)

    def range(self) -> tuple[float, float]:
        """The smallest and the largest node."""
        return self._core.range()

    def __repr__(self) -> str:
        low, high = self.range()
        return f"<density on [{low:.4g}, {high:.4g}], {self.kind}, {self.products} products, {self.cost:.1f} gradients>"


class Hessian:
    """The Hessian of the mean loss over the data at the weights that the model has *when it is asked*; made by
    :func:`hessian`.

    Every answer is measured afresh and no graph is kept, so weights may move between two questions. Nothing of the
    model changes: generators, buffers, ``.grad``, hooks and modes are restored to the bit, also when an exception or
    Ctrl-C comes out.
    """

    def __init__(self, problem: Problem, batches: list[Any]) -> None:
        self._problem, self._batches, self._checked = problem, batches, False

    @contextlib.contextmanager
    def _measure(self, wanted: Wanted) -> Iterator[Measurement]:
        with measure(self._problem, self._batches, check=not self._checked) as m:
            if not m.finite:
                raise ValueError(
                    f"the loss is {m.loss} or its gradient is not finite: there is nothing to measure at these weights"
                )
            self._checked = True
            choose(m, wanted)
            with progress(m):
                yield m

    def _ends(self, wanted: Wanted, largest: int, smallest: int, tolerance: float, max_products: int) -> list[Reading]:
        name = "lambda_max" if largest else "lambda_min"
        with self._measure(wanted) as m:
            start = m.gradient_vector
            if not float(start.norm()) > 0.0:
                start = torch.ones_like(start)
            n = start.numel()
            basis = max(min(100, n), 2 * (largest + smallest) + 2)
            found = _core.lanczos(
                m,
                start,
                largest=largest,
                smallest=smallest,
                tolerance=tolerance,
                max_products=max_products,
                max_basis=basis,
            )
            cost = m.cost()
        pairs = found.largest + found.smallest
        if not pairs:
            raise ValueError("a product with the Hessian is not finite at these weights")
        names = [name if i == 0 else f"lambda_{i + 1}" for i in range(len(pairs))]
        return [
            Reading(
                q,
                value,
                residual,
                None,
                m.kind,
                found.products,
                cost,
                residual <= max(tolerance * abs(value), 1e-12 * abs(pairs[0][0])),
            )
            for q, (value, residual) in zip(names, pairs)
        ]

    def lambda_max(self, tolerance: float = 1e-3, *, max_products: int = 100) -> Reading:
        """The algebraically largest eigenvalue, until its residual is ``tolerance`` times its size.

        **Units**: loss per weight². **Cost**: about 5 products at a tolerance of .05 and 8 at 1e-3, each 1.3 to 2.7
        gradients where double backward
        works (11 for an LSTM). **Raises** Unsuitable, NotDeterministic, ValueError.
        """
        return self._ends("largest", 1, 0, tolerance, max_products)[0]

    def lambda_min(self, tolerance: float = 1e-3, *, max_products: int = 200) -> Reading:
        """The algebraically smallest (most negative) eigenvalue; it wants more products than the largest. **Raises** as
        :meth:`lambda_max`.
        """
        return self._ends("smallest", 0, 1, tolerance, max_products)[0]

    def top(self, k: int, tolerance: float = 1e-3, *, max_products: int = 400) -> list[Reading]:
        """The k largest eigenvalues, largest first, out of one search: products and cost are those of all. **Raises**
        as :meth:`lambda_max`.
        """
        return self._ends("largest", k, 0, tolerance, max_products)

    def trace(self, products: int = 60, *, seed: int = 0) -> Reading:
        """The sum of all eigenvalues by Hutch++, with a standard error; exact where ``products`` is at least 3n.
        **Cost**: ``products`` products.
        """
        with self._measure("spectrum") as m:
            found = _core.trace(m, m.gradient_vector, products=products, seed=seed)
            return Reading("trace", found.value, None, found.std_error, m.kind, found.products, m.cost(), True)

    def density(self, probes: int = 10, steps: int = 40, *, seed: int = 0) -> Density:
        """The spectral density by stochastic Lanczos quadrature. **Cost**: ``probes`` × ``steps`` products, ``steps``
        vectors held.
        """
        with self._measure("spectrum") as m:
            found = _core.density(m, m.gradient_vector, probes=probes, steps=steps, seed=seed)
            return Density(found, m.kind, m.cost())

    def layers(self, tolerance: float = 0.05, *, max_products: int = 50) -> dict[str, Reading]:
        """λ_max of the diagonal block of each module that holds measured parameters, by the module's name.

        Each is at most λ_max of the whole. **Cost**: a search per module, each product as dear as one of the whole.
        """
        names = self._problem.weights.names
        found: dict[str, Reading] = {}
        with self._measure("largest") as m:
            spans: dict[str, list[tuple[int, int]]] = {}
            start = 0
            for name, size in zip(names, self._problem.weights.sizes):
                spans.setdefault(name.rpartition(".")[0] or name, []).append((start, start + size))
                start += size
            for layer, pieces in spans.items():
                before, costs = m.products, m.cost()

                def block(v: Tensor, pieces: list[tuple[int, int]] = pieces) -> Tensor:
                    whole = torch.zeros_like(m.gradient_vector)
                    for (a, b), part in zip(pieces, torch.split(v, [b - a for a, b in pieces])):
                        whole[a:b] = part
                    image = m(whole)
                    return torch.cat([image[a:b] for a, b in pieces])

                hint = torch.cat([m.gradient_vector[a:b] for a, b in pieces])
                if not float(hint.norm()) > 0.0:
                    hint = torch.ones_like(hint)
                ritz = _core.lanczos(block, hint, tolerance=tolerance, max_products=max_products)
                value, residual = ritz.largest[0]
                found[layer] = Reading(
                    "lambda_max", value, residual, None, m.kind, m.products - before, m.cost() - costs, ritz.converged
                )
        return found

    def batch_sharpness(self) -> Reading:
        """E_B[g_Bᵀ H_B g_B / g_Bᵀ g_B] over the batches (Andreyev & Beneventano 2024), with the standard error of that
        mean.

        Where there is one batch, its own quotient, without an error. **Cost**: a gradient and a product per batch.
        """
        with self._measure("largest") as m:
            if len(m.batches) == 1:
                quotient = _core.rayleigh(m, m.gradient_vector)
                if quotient is None:
                    raise ValueError("the gradient is zero: there is no direction to measure along")
                return Reading("batch_sharpness", quotient[0], quotient[1], None, m.kind, 1, m.cost(), True)
            mean = _core.batch_sharpness(m, m.live, len(m.batches))
            if mean is None:
                raise ValueError("fewer than two of the batches have a gradient")
            return Reading("batch_sharpness", mean[0], None, mean[1], m.kind, mean[3], m.cost(), True)

    def __matmul__(self, v: Tensor) -> Tensor:
        """H v for a flat vector of n entries, in the order of the parameters; f32, or f64 where a parameter is.
        **Cost**: two to three products.
        """
        self._problem.refuse_shards("products with a vector of one's own are not offered")
        n = self._problem.weights.length
        if not isinstance(v, Tensor) or v.shape != (n,):
            raise ValueError(f"the vector must be a flat tensor of {n} entries")
        w = self._problem.weights
        with self._measure("spectrum") as m:
            return m(v.detach().to(device=w.device, dtype=w.dtype))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n) for n measured weights."""
        n = self._problem.weights.length
        return n, n


def hessian(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    batch: Any = None,
    *,
    batches: Iterable[Any] | None = None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    params: Iterable[Tensor] | None = None,
    kind: Kind = "auto",
    micro_batch: int | None = None,
) -> Hessian:
    """The Hessian of ``loss_fn(model(inputs), targets)`` at the weights of ``model``.

    ``batch`` is what a DataLoader yields: a pair (inputs, targets), a mapping of keyword arguments, or a tensor; in the
    latter two ``loss_fn`` gets the outputs and the batch. ``batches`` are several such, and the loss their mean by
    examples. ``forward(model, batch)`` gives the outputs where that does not fit. ``loss_fn`` must be a mean over
    examples. ``params`` names parameters to measure instead of all that require a gradient. ``micro_batch`` bounds the
    memory to so many examples at a time, at about twice the time.

    ``kind``: ``exact`` is double backward; ``gauss-newton`` leaves the second derivative of the network out;
    ``difference`` is for smooth losses only; ``auto`` takes the first that is right here, and says which.

    **Raises** TypeError and ValueError for what cannot be measured as asked; the questions raise :class:`Unsuitable`.

    >>> import torch, lyapunov
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> h = lyapunov.hessian(model, torch.nn.functional.mse_loss, (x, 2 * x))
    >>> round(h.lambda_max().value, 4)  # 2 E[x²]
    10.0
    """
    if (batch is None) == (batches is None):
        raise TypeError("give either batch=, one mini-batch as a DataLoader yields it, or batches=, several of them")
    held = [batch] if batches is None else list(batches)
    if not held:
        raise ValueError("batches is empty")
    return Hessian(Problem(model, loss_fn, forward, params, kind, micro_batch), held)
