"""The run folder of a training loop in Python: what ``lyapunov list``, ``show``, ``report``, ``watch`` and ``export``
read.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import _core
from ._problem import Problem
from ._reading import Row

__all__ = ["Recording", "described"]

EVALUATIONS = ("train_loss", "test_loss", "test_accuracy")
WAITING = 50
"""Losses of steps without a measurement that wait on their device at most: each transfer is a synchronisation."""
PATIENCE = 1.0
"""And seconds for which they do, if there is another step."""


def described(
    problem: Problem,
    optimizer: torch.optim.Optimizer | None,
    every: int,
    what: Sequence[str],
    products: int,
    settings: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the manifest says of a run, and its configuration by sections."""
    model, weights = problem.model, problem.weights
    everything = sum(p.numel() for p in model.parameters())
    device = str(weights.device)
    if weights.device.type == "cuda":
        device += f", {torch.cuda.get_device_name(weights.device)}"
    facts = {
        "engine": f"PyTorch {torch.__version__}",
        "device": device,
        "seed": torch.initial_seed() % 2**64,
        "parameters": everything,
    }
    measured = sum(weights.sizes)
    sections = {
        "model": {
            "name": type(model).__name__,
            "class": _path(type(model)),
            "measured_parameters": measured if measured != everything else None,
        },
        "loss": {"name": getattr(problem.loss_fn, "__name__", type(problem.loss_fn).__name__).replace("_", "-")},
        "optimizer": {} if optimizer is None else _optimizer_keys(optimizer),
        "measure": {
            "every": every,
            "what": list(what),
            "product": problem.kind,
            "products": products,
            "micro_batch": problem.micro_batch,
        },
        "run": dict(settings),
    }
    return facts, {name: entries for name, entries in sections.items() if entries}


def _optimizer_keys(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """By the names that the program has for them; lists where parameter groups differ."""
    groups = optimizer.param_groups
    name = type(optimizer).__name__.lower()
    if name == "sgd" and groups[0]["momentum"]:
        name = "nesterov" if groups[0]["nesterov"] else "heavy-ball"

    def shared(key: str) -> Any:
        values = [float(group[key]) for group in groups]
        return values[0] if len(set(values)) == 1 else values

    found = {"name": name, "learning_rate": shared("lr"), "weight_decay": shared("weight_decay")}
    if name in ("heavy-ball", "nesterov"):
        found["momentum"] = shared("momentum")
    elif name != "sgd":
        found |= {"betas": [float(beta) for beta in groups[0]["betas"]], "epsilon": shared("eps")}
    return found


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _State:
    """What the end of a run needs to know."""

    def __init__(self) -> None:
        self.recorder: _core.Recorder | None = None
        self.closed = False
        self.steps = 0
        self.cost = 0.0
        self.seconds = 0.0
        self.evaluated: dict[str, float] = {}
        """What was noted for the end, once it is written."""
        self.diverged_at: int | None = None
        self.written = time.monotonic()
        self.process = os.getpid()
        self.closes_itself = True


_Waiting = list[tuple[int, "float | Tensor | None", "float | None", dict[str, float]]]
"""Step, loss, learning rate and evaluations of rows that are not written yet."""


class Recording:
    """A run folder that is begun at the first row, and closed once: by :meth:`close`, by the garbage collector or when
    Python exits.
    """

    def __init__(
        self, out: str | os.PathLike[str], facts: Mapping[str, Any], configuration: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.out = Path(out)
        if not self.out.name:
            raise ValueError(f"out = {str(out)!r} must name the folder of the run, such as runs/mine")
        self.folder: Path | None = None
        """Where the run is, once it has begun: ``out``, or the first free one of ``out-2``, ``out-3``, …"""
        self._facts, self._configuration = facts, _toml(configuration)
        self._state = _State()
        self._waiting: _Waiting = []
        self._noted: dict[str, float] = {}
        # No reference to the recording itself: it may be collected.
        self._finalizer = weakref.finalize(self, _seal_unclosed, self._state, self._waiting, self._noted)
        _core.check_writable(self.out.parent)

    def _begin(self) -> _core.Recorder:
        if self._state.recorder is None:
            self._hold(_core.Recorder.create(self.out.parent, self.out.name, self._configuration, **self._facts))
        assert self._state.recorder is not None
        return self._state.recorder

    def _hold(self, recorder: _core.Recorder) -> None:
        self._state.recorder, self.folder = recorder, Path(recorder.folder)

    def note(self, name: str, value: float) -> None:
        """Keeps an evaluation for the row of the coming step, or for the end."""
        if name not in EVALUATIONS:
            raise ValueError(f"a run folder has no column {name!r}; known are {', '.join(EVALUATIONS)}")
        self._noted[name] = float(value)

    def step(
        self, step: int, loss: float | Tensor | None, learning_rate: float | None, row: Row | None, cost: float
    ) -> None:
        """Keeps what is known of the coming step; nothing where that is nothing."""
        noted = dict(self._noted)
        self._noted.clear()
        self._state.steps = step + 1
        if row is None and loss is None and not noted:
            return
        self._begin()
        held = loss.detach().clone() if isinstance(loss, Tensor) else loss
        self._state.cost = cost
        self._waiting.append((step, held if held is not None or row is None else row.loss, learning_rate, noted))
        if row is not None:
            _write(self._state, self._waiting, row)
        elif len(self._waiting) >= WAITING or time.monotonic() - self._state.written > PATIENCE:
            _write(self._state, self._waiting, None)

    def state(self) -> dict[str, Any]:
        """Where the run is, with everything up to here on the disk."""
        if self._state.recorder is not None and not self._state.closed:
            _write(self._state, self._waiting, None)
            self._state.recorder.flush()
            self._state.seconds = self._state.recorder.seconds()
        noted = {**self._state.evaluated, **self._noted}
        name = None if self.folder is None else self.folder.name
        return {"folder": name, "seconds": self._state.seconds, "noted": noted}

    def resume(self, state: Mapping[str, Any], steps: int, cost: float) -> None:
        """Goes on in the folder of the saved run where ``out`` names it, or else begins a new one at the first row."""
        if self._state.recorder is not None:
            raise RuntimeError(
                f"this monitor has begun to record in {self.folder} already: load its state before the first step"
            )
        self._state.steps, self._state.cost = steps, cost
        saved = state["folder"]
        if saved is None or not _is_of(saved, self.out.name):
            return
        folder = self.out.parent / saved
        if not folder.is_dir():
            raise FileNotFoundError(
                f"the run was recorded in {folder}, which is not there: bring it back, or name another out= to begin a "
                "new run"
            )
        self._noted.update(state.get("noted", {}))
        self._hold(_core.Recorder.resume(folder, steps, float(state["seconds"])))

    def expect_close(self) -> None:
        """Where nobody closes it, the run was interrupted."""
        self._state.closes_itself = False

    def close(self, error: BaseException | None = None) -> None:
        """Seals the run: completed, diverged, or as ``error`` says; the second time does nothing."""
        self._finalizer.detach()
        _seal(self._state, self._waiting, self._noted, error)


def _write(state: _State, waiting: _Waiting, measured: Row | None) -> None:
    """Writes the rows that wait; ``measured`` belongs to the last of them."""
    assert state.recorder is not None
    losses = [loss for _, loss, _, _ in waiting]
    on_device = [loss.reshape(()).double() for loss in losses if isinstance(loss, Tensor)]
    # One transfer for all of them.
    numbers = iter(torch.stack(on_device).tolist() if on_device else [])
    for i, (step, loss, rate, noted) in enumerate(waiting):
        value: float | None = next(numbers) if isinstance(loss, Tensor) else loss
        row = measured if i + 1 == len(waiting) else None
        if value is not None:
            state.diverged_at = None if _finite(value) else step
        record = functools.partial(
            state.recorder.record,
            step,
            loss=value,
            learning_rate=rate,
            measuring_cost=state.cost,
            test_loss=noted.get("test_loss"),
            test_accuracy=noted.get("test_accuracy"),
        )
        if row is None:
            record()
            continue
        if not _finite(row.gradient_norm):
            state.diverged_at = step
        edge = (
            None
            if row.edge is None
            else (row.edge.threshold, row.edge.quantity == "preconditioned_sharpness", row.edge.holds_batch_sharpness)
        )
        readings = [(r.quantity, r.value, r.residual, r.kind, r.cost) for r in row.readings.values()]
        record(gradient_norm=row.gradient_norm, edge=edge, readings=readings)
    waiting.clear()
    state.written = time.monotonic()
    state.recorder.flush()


def _seal(state: _State, waiting: _Waiting, noted: dict[str, float], error: BaseException | None) -> None:
    # A forked child has the recorder of its parent, but not its run.
    if state.recorder is None or state.closed or state.process != os.getpid():
        return
    state.closed = True
    _write(state, waiting, None)
    state.seconds, state.evaluated = state.recorder.seconds(), dict(noted)
    if error is None or (isinstance(error, SystemExit) and not error.code):
        evaluated = {name: noted.get(name) for name in EVALUATIONS}
        state.recorder.finish(state.steps, diverged_at=state.diverged_at, **evaluated)
    elif isinstance(error, Exception):
        state.recorder.leave(state.steps, _told(error))
    else:
        state.recorder.leave(state.steps)


def _seal_unclosed(state: _State, waiting: _Waiting, noted: dict[str, float]) -> None:
    """Where nobody has closed it: as the script has ended. In an interactive session the last exception says nothing of
    it.
    """
    error = None if hasattr(sys, "ps1") else getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    _seal(state, waiting, noted, error if error or state.closes_itself else KeyboardInterrupt())


def _told(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__


def _finite(value: float) -> bool:
    return value - value == 0.0


def _is_of(folder: str, name: str) -> bool:
    """Whether a run that was begun as ``name`` may have got this folder."""
    return folder == name or (folder.startswith(f"{name}-") and folder[len(name) + 1 :].isdigit())


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for section, entries in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {_value(value)}" for key, value in entries.items() if value is not None]
        lines.append("")
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
