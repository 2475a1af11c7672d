"""Where a run stands against its edge of stability, measured while it goes on."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from . import _core
from ._kinds import choose
from ._measurement import Measurement, measure
from ._optimizer import TorchOptimizer
from ._problem import Kind, Problem, at_least_one, one_number
from ._reading import Reading, Row
from ._recording import Recording, described
from ._verify import Verified, verify_measurement

__all__ = ["Monitor"]

ALIKE = 0.05
"""Losses of one batch at one place differ by less, also under autocast."""

WHAT = ("lambda_max", "lambda_min", "batch_sharpness", "preconditioned_sharpness")


class Monitor:
    """Measures a training loop that somebody else owns: ``monitor.step(batch)`` between ``backward()`` and
    ``optimizer.step()``.

    ``what`` holds ``lambda_max``, ``lambda_min``, ``batch_sharpness`` (here gᵀHg/gᵀg of the one batch) and
    ``preconditioned_sharpness`` (Adam, AdamW); by default the one that the optimizer's edge speaks of, and the batch
    sharpness under SGD. ``log`` is called with every row. Without an optimizer there is no edge.

    The batch may be any: with gradient accumulation, readings speak of the batch that is given and no other.

    ``out`` names a run folder, which ``python -m lyapunov list``, ``show``, ``report``, ``watch`` and ``export`` read;
    where it is there already, the run gets ``out-2``, ``out-3``, … (:attr:`folder`). It has a row per measurement, and
    one per step where ``step`` is given the loss. ``settings`` are written down with it, to tell runs apart.
    :meth:`close`, the end of a ``with`` block or of the script seals it, and says whether the run was completed,
    diverged, blew up, failed or was interrupted. A saved monitor goes on in its folder: rows after the saved step are
    taken again.

    **Cost**: ``products`` products every ``every`` steps, .1 to .15 gradients per step at 5 and 100; reported in every
    row. The first measurement also runs :func:`verify`.
    The training run is the same to the bit with and without.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer | None = None,
        *,
        every: int = 100,
        what: Sequence[str] | None = None,
        log: Callable[[Row], object] | None = None,
        out: str | os.PathLike[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        products: int = 5,
        forward: Callable[[nn.Module, Any], Any] | None = None,
        params: Iterable[Tensor] | None = None,
        kind: Kind = "auto",
        micro_batch: int | None = None,
    ) -> None:
        every, products = at_least_one("every", every), at_least_one("products", products)
        self._problem = Problem(model, loss_fn, forward, params, kind, micro_batch)
        if self._problem.processes.rank > 0:
            # Rank 0 writes: every rank has the same values.
            log, out, settings = None, None, None
        self._optimizer = None if optimizer is None else TorchOptimizer(optimizer)
        adaptive = self._optimizer is not None and self._optimizer.adaptive
        if what is None:
            what = ("preconditioned_sharpness",) if adaptive else ("lambda_max", "batch_sharpness")
        what = (what,) if isinstance(what, str) else tuple(what)
        if not what:
            raise ValueError(f"what = [] measures nothing; known are {', '.join(WHAT)}")
        unknown = [name for name in what if name not in WHAT]
        if unknown:
            raise ValueError(f"unknown quantity {unknown[0]!r}; known are {', '.join(WHAT)}")
        if "preconditioned_sharpness" in what and not adaptive:
            raise ValueError("preconditioned_sharpness needs optimizer=, an Adam or AdamW")
        if self._optimizer is not None:
            self._notice_optimizer(self._optimizer)
        self.every, self.what, self._log = every, what, log
        self._trackers = {
            name: _core.Tracker(products, smallest=name == "lambda_min")
            for name in self.what
            if name != "batch_sharpness"
        }
        self._step, self._cost = 0, 0.0
        self.compares_losses = True
        """Whether the loss that is given is that of the batch that is given, so that the first row can compare."""
        self.clip_by_norm: float | None = None
        """Where gradients will be clipped to this norm between :meth:`step` and the step of the optimizer: Adam's
        preconditioner sees them clipped.
        """
        self.verified: Verified | None = None
        """What the first measurement found, with its cost."""
        if settings and out is None:
            raise ValueError("settings are written into the run folder: name it by out=")
        self._recording = (
            None
            if out is None
            else Recording(out, *described(self._problem, optimizer, every, self.what, products, settings or {}))
        )

    @property
    def steps(self) -> int:
        """How often :meth:`step` was called, in all."""
        return self._step

    @property
    def folder(self) -> Path | None:
        """The run folder, once it has a row."""
        return None if self._recording is None else self._recording.folder

    def step(self, batch: Any, loss: Tensor | float | None = None) -> Row | None:
        """The row of the coming step where one is due, else None. ``loss`` is that of the batch as it was computed, for
        the run folder: no step waits for it.

        **Raises** Unsuitable, NotDeterministic, TypeError, ValueError; OSError where the run folder cannot be written.
        """
        one_number(loss, "monitor.step((inputs, targets), loss=loss)")
        step, row = self._step, None
        self._step += 1
        try:
            if step % self.every == 0:
                with measure(self._problem, [batch], check=self.verified is None) as m:
                    row = self._row(step, m)
                    if loss is not None and self.compares_losses and not m.draws:
                        self._compare(loss, m.loss)
        finally:
            if self._recording is not None:
                self._recording.step(
                    step, loss, None if self._optimizer is None else self._optimizer.largest_rate, row, self._cost
                )
        if row is not None and self._log is not None:
            self._log(row)
        return row

    def capture(self) -> None:
        """Call it before the forward pass, and the dropout masks of a measurement are those of the step; without it
        they are others of the same kind.

        Under gradient accumulation: before the forward pass of the batch that is given to :meth:`step`. **Cost**: a
        copy of the generators' states, where a row is due.
        """
        if self._step % self.every == 0:
            self._problem.capture()

    def log(self, name: str, value: float) -> None:
        """Writes ``train_loss``, ``test_loss`` or ``test_accuracy`` of the present weights into the row of the coming
        step, or at the end of the run; ``train_loss`` there only.
        """
        if self._recording is not None:
            self._recording.note(name, value)
        elif self._problem.processes.rank == 0:
            raise RuntimeError("there is no run folder to write to: name it by out=")

    def close(self) -> None:
        """Seals the run folder: its run is completed, or diverged where the last row has no finite loss or gradient."""
        if self._recording is not None:
            self._recording.close()

    def expect_close(self) -> None:
        """From now on, a run that nobody closes was interrupted; without this call it counts as completed where the
        script ends without an exception.
        """
        if self._recording is not None:
            self._recording.expect_close()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._recording is not None:
            self._recording.close(error)

    def _notice_optimizer(self, optimizer: TorchOptimizer) -> None:
        optimizer.check(self._problem.weights, self._problem.notice)
        if optimizer.learning_rate is None:
            self._problem.notice(
                "the groups of the optimizer differ in their learning rate: there is no one edge of stability, and "
                "rows have none"
            )

    def _compare(self, loss: Tensor | float, measured: float) -> None:
        """Whether the run trains on the loss that is measured, at these weights. Once, since the loss that is given may
        be on a device.
        """
        self.compares_losses = False
        given = float(loss.detach()) if isinstance(loss, Tensor) else float(loss)
        if self._problem.processes.size == 1 and abs(given - measured) > ALIKE * abs(measured):
            self._problem.notice(
                f"the loss that was given is {given:.4g}, and that of the batch is {measured:.4g} at these weights: is "
                "loss_fn what the run trains on, the batch that of the loss, and step called before optimizer.step()?"
            )

    def _row(self, step: int, m: Measurement) -> Row:
        optimizer, readings, shares = self._optimizer, {}, {}
        rate, edge = (optimizer.learning_rate, optimizer.edge()) if optimizer else (None, None)
        norm = float(m.gradient_vector.norm())
        if m.finite and norm > 0.0:
            if self.verified is None:
                self.verified = verify_measurement(m)
            before = m.cost()
            choose(m, "smallest" if "lambda_min" in self.what else "largest")
            for name in self.what:
                reading = self._read(name, m, before)
                before = m.cost()
                if reading is None:
                    continue
                readings[name] = reading
                if edge and (name == edge.quantity or (name == "batch_sharpness" and edge.holds_batch_sharpness)):
                    shares[name] = reading.value / edge.threshold if edge.threshold > 0 else math.inf
        cost = m.cost()
        self._cost += cost
        return Row(step, m.loss, norm, rate, edge, readings, shares, cost, self._cost / (step + 1))

    def _read(self, name: str, m: Measurement, before: float) -> Reading | None:
        products, root = m.products, None
        if name == "batch_sharpness":
            quotient = _core.rayleigh(m, m.gradient_vector)
            return (
                None
                if quotient is None
                else Reading(name, quotient[0], None, None, m.kind, 1, m.cost() - before, True)
            )
        if name == "preconditioned_sharpness" and self._optimizer is not None:
            root = self._optimizer.root(m.weights, self._coming_gradient(m))
        found = self._trackers[name].update(m, m.gradient_vector, root)
        pairs = found.largest + found.smallest
        if not pairs:
            return None
        return Reading(
            name, pairs[0][0], pairs[0][1], None, m.kind, m.products - products, m.cost() - before, found.converged
        )

    def _coming_gradient(self, m: Measurement) -> Tensor:
        """What the optimizer is about to use: the accumulated, perhaps clipped, gradients."""
        held = [p.grad for p in m.weights.params]
        coming = (
            m.gradient_vector if any(g is None for g in held) else m.weights.flat([g for g in held if g is not None])
        )
        if self.clip_by_norm is None:
            return coming
        return (
            coming * (self.clip_by_norm / (float(coming.norm()) + 1e-6))
            if float(coming.norm()) > self.clip_by_norm
            else coming
        )

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to go on with the same readings; saved by ``torch.save``. Under ``fully_shard``
        each rank has its own.
        """
        like = self._problem.weights.flat(self._problem.weights.params)
        found = {name: tracker.vector(like) for name, tracker in self._trackers.items()}
        vectors = {name: None if vector is None else vector.as_subclass(Tensor) for name, vector in found.items()}
        state = {"step": self._step, "cost": self._cost, "vectors": vectors}
        return state if self._recording is None else {**state, "run": self._recording.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave, of a monitor of the same model and quantities."""
        like = self._problem.weights.flat(self._problem.weights.params)
        if set(state["vectors"]) != set(self._trackers):
            raise ValueError(
                f"the saved monitor measured {', '.join(sorted(state['vectors']))}, this one "
                f"{', '.join(sorted(self._trackers))}"
            )
        for name, vector in state["vectors"].items():
            self._trackers[name].set_vector(None if vector is None else self._problem.weights.vector(vector), like)
        self._step, self._cost = int(state["step"]), float(state["cost"])
        if self._recording is not None and "run" in state:
            self._recording.resume(state["run"], self._step, self._cost)
