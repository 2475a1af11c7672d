"""A picture of a run: its loss, its sharpness against the edge of stability, its learning rate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _core

if TYPE_CHECKING:
    from ._monitor import Monitor
    from matplotlib.figure import Figure

__all__ = ["plot"]

# What a curve is called, and how it is drawn where colours cannot be distinguished.
CURVES = {
    "lambda_max": ("λ_max", "#1f5fa8", "o"),
    "batch_sharpness": ("batch sharpness", "#b5541c", "s"),
    "preconditioned_sharpness": ("preconditioned sharpness", "#1f5fa8", "o"),
    "lambda_min": ("|λ_min|", "#5b7a2e", "^"),
}


def plot(run: str | os.PathLike[str] | Monitor, file: str | os.PathLike[str] | None = None) -> Figure:
    """Draws the run in this folder, or of this monitor, and returns the figure; ``file`` also writes it, in the format
    of its name.

    Three panels over the steps: the loss of the batches; every sharpness that was measured, in loss per weight², with
    its residual as a bar, and the edge of stability of the optimizer dashed; the learning rate. What was not finite
    leaves a gap.

    **Needs** matplotlib. **Raises** ImportError where it is not there, FileNotFoundError where there is no run.

    >>> figure = lyapunov.plot("runs/mine", "mine.svg")  # doctest: +SKIP
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise ImportError("lyapunov.plot draws by matplotlib: pip install matplotlib") from missing
    folder = _folder(run)
    rows, readings = _read(folder)
    figure = Figure(figsize=(8.0, 7.5), layout="constrained")
    loss, sharpness, rate = figure.subplots(3, 1, sharex=True, height_ratios=[1.0, 1.4, 0.7])
    figure.suptitle(folder.name)
    known = [(step, value) for step, value, _, _ in rows if value is not None]
    _line(loss, known, color="#444444", linewidth=1.0)
    loss.set_ylabel("loss of the batch")
    if (
        known
        and min(value for _, value in known) > 0
        and max(value for _, value in known) > 20 * min(value for _, value in known)
    ):
        loss.set_yscale("log")
    _sharpness(sharpness, rows, readings)
    _line(rate, [(step, value) for step, _, value, _ in rows if value is not None], color="#444444", linewidth=1.2)
    rate.set_ylim(bottom=0.0)
    rate.set_ylabel("learning rate η")
    rate.set_xlabel("step")
    for axes in (loss, sharpness, rate):
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.align_ylabels()
    if file is not None:
        figure.savefig(file, dpi=150)
    return figure


def _folder(run: str | os.PathLike[str] | Monitor) -> Path:
    # A monitor by what it has, since its class needs torch and a folder does not.
    folder = Path(run) if isinstance(run, (str, os.PathLike)) else run.folder
    if folder is None or not (folder / "run.sqlite").is_file():
        raise FileNotFoundError(
            f"there is no run in {folder}: name the folder that a Monitor made by out=, once it has a row"
        )
    return folder


_Rows = list[tuple[int, float | None, float | None, float | None]]


def _read(folder: Path) -> tuple[_Rows, dict[str, list[tuple[int, float, float | None]]]]:
    """Step, loss, learning rate and edge of every row; step, value and residual of every reading by its quantity."""
    rows, series = _core.history(folder)
    return rows, {quantity if on == "batch" else f"{quantity}[{on}]": points for quantity, on, points in series}


def _line(axes: Any, points: list[tuple[int, float]], **style: Any) -> None:
    axes.plot([step for step, _ in points], [value for _, value in points], **style)


def _sharpness(axes: Any, rows: _Rows, readings: dict[str, list[tuple[int, float, float | None]]]) -> None:
    for name, points in readings.items():
        label, colour, marker = CURVES.get(name, (name, "#7a4a8c", "d"))
        steps, values = [p[0] for p in points], [abs(p[1]) if name == "lambda_min" else p[1] for p in points]
        # A quotient along the gradient belongs to no eigenvalue: its residual is no error.
        errors = None if name == "batch_sharpness" else [p[2] or 0.0 for p in points]
        size = 4.0 if len(points) < 100 else 1.5
        axes.errorbar(
            steps,
            values,
            yerr=errors,
            color=colour,
            marker=marker,
            markersize=size,
            linewidth=1.2,
            elinewidth=0.8,
            capsize=2,
            label=label,
        )
    edge = [(step, value) for step, _, _, value in rows if value is not None]
    if edge:
        _line(axes, edge, color="#b00020", linestyle="--", linewidth=1.2, label="edge of stability")
    axes.set_ylabel("sharpness, loss per weight²")
    positive = [value for points in readings.values() for _, value, _ in points] + [value for _, value in edge]
    if positive and min(positive) > 0 and max(positive) > 30 * min(positive):
        axes.set_yscale("log")
    if readings or edge:
        axes.legend(frameon=False, fontsize="small")
    else:
        axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, ha="center", color="#666666")
