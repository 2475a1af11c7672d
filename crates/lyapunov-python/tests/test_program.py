"""``python -m lyapunov`` on a run folder of a monitor, and the picture of a run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_recording import BATCH, Loop

import lyapunov

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    with (loop := Loop(place / "sgd")).monitor:
        loop.train(11)
    with (loop := Loop(place / "adam", make=lambda p: torch.optim.Adam(p, lr=1e-3))).monitor:
        loop.train(11)
        loop.monitor.log("test_accuracy", 0.5)
    with pytest.raises(RuntimeError), (loop := Loop(place / "broken")).monitor:
        loop.train(3)
        raise RuntimeError("the disk is full")
    with (loop := Loop(place / "blown", make=lambda p: torch.optim.SGD(p, lr=0.1))).monitor:
        loop.train(6)
        loop.train(1, batch=(BATCH[0] * float("inf"), BATCH[1]))
    return place


def program(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "lyapunov", *map(str, words)], capture_output=True, text=True, timeout=120, **options
    )


def test_list_has_a_line_per_run(runs):
    result = program("list", runs)
    assert result.returncode == 0 and not result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["adam", "completed", "Sequential"],
        ["blown", "diverged", "Sequential"],
        ["broken", "failed", "Sequential"],
        ["sgd", "completed", "Sequential"],
    ]
    assert "cross-entropy" in lines[1] and " adam " in lines[1] and " sgd " in lines[4]
    chosen = json.loads(
        program(
            "list",
            runs,
            "--where",
            "model.class ~ container",
            "--where",
            "edge_share > 0",
            "--where",
            "state = completed",
            "--columns",
            "engine,edge_share",
            "--json",
        ).stdout
    )
    assert len(chosen["runs"]) == 2 and all(run["engine"].startswith("PyTorch") for run in chosen["runs"])


def test_show_and_report_say_what_the_run_was(runs, tmp_path):
    result = program("show", runs / "sgd")
    assert (
        result.returncode == 0
        and "PyTorch" in result.stdout
        and "torch.nn.modules.container.Sequential" in result.stdout
    ), result
    for absent in ("another version", "default", "training_images", "classes", "steps_per_epoch"):
        assert absent not in result.stdout, result.stdout
    assert json.loads(program("show", runs / "sgd", "--json").stdout)["manifest"]["parameters"] > 0
    result = program("report", runs, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert result.returncode == 0 and result.stdout.startswith("4 runs: "), result
    assert (
        "lyapunov train" not in page
        and " 0 images" not in page
        and "PyTorch" in page
        and "RuntimeError: the disk is full" in page
    )


def test_export_and_watch(runs, tmp_path):
    lines = program("export", runs / "sgd").stdout.splitlines()
    assert len(lines) == 12 and "lambda_max[batch]" in lines[0]
    assert program("export", runs / "sgd", "--format", "parquet", "--out", tmp_path / "sgd.parquet").returncode == 0
    assert "completed" in program("watch", runs, "--once").stdout


def test_a_network_is_not_there(runs):
    result = program("train")
    assert result.returncode == 2 and "needs networks" in result.stderr
    assert program("lsit").stderr.strip().endswith("did you mean `list`?")
    result = program("--help")
    assert (
        result.returncode == 0
        and "Usage: python -m lyapunov" in result.stdout
        and "report" in result.stdout
        and "twin" not in result.stdout
    )
    assert program().returncode == 2


def test_exponents_of_a_classical_system():
    found = json.loads(program("exponents", "henon", "--steps", "20000", "--json").stdout)
    assert "0.4" in json.dumps(found)


def test_a_broken_pipe_is_silent(runs):
    writer = subprocess.Popen(
        [sys.executable, "-m", "lyapunov", "export", str(runs / "sgd")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    writer.stdout.close()
    assert writer.stderr.read() == b"" and writer.wait(300) == 0


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_it_at_once():
    process = subprocess.Popen(
        [sys.executable, "-m", "lyapunov", "exponents", "lorenz63", "--steps", "100000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == -signal.SIGINT


def test_a_run_is_drawn(runs, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("sgd", "adam", "broken", "blown"):
        figure = lyapunov.plot(runs / name, tmp_path / f"{name}.svg")
        assert (tmp_path / f"{name}.svg").stat().st_size > 5000 and len(figure.axes) == 3
    loss, sharpness, rate = lyapunov.plot(runs / "sgd").axes
    assert len(loss.lines[0].get_xdata()) == 11
    labels = [text.get_text() for text in sharpness.get_legend().get_texts()]
    assert sorted(labels) == ["batch sharpness", "edge of stability", "λ_max"]
    edge = next(line for line in sharpness.lines if line.get_label() == "edge of stability")
    assert list(edge.get_ydata()) == pytest.approx([20.0] * 3) and list(edge.get_xdata()) == [0, 5, 10]
    with pytest.raises(FileNotFoundError, match="no run"):
        lyapunov.plot(tmp_path)


def test_a_run_is_drawn_while_it_goes_on(tmp_path):
    pytest.importorskip("matplotlib")
    loop = Loop(tmp_path / "mine")
    with pytest.raises(FileNotFoundError, match="once it has a row"):
        lyapunov.plot(loop.monitor)
    loop.train(6)
    assert len(lyapunov.plot(loop.monitor).axes[0].lines[0].get_xdata()) >= 6
    loop.monitor.close()


def test_without_matplotlib_the_way_is_said(runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        lyapunov.plot(runs / "sgd")


def test_the_example_of_gpt2_comes_up_to_the_edge(tmp_path):
    pytest.importorskip("transformers"), pytest.importorskip("accelerate")
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / "gpt2_small.py"), "--steps", "41", "--examples", "16"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert result.returncode == 0, result.stderr
    shares = [float(line.split("%")[0].split()[-1]) for line in result.stdout.splitlines() if line.startswith("step")]
    # Before the first step Adam has seen one gradient, and its preconditioner speaks of that alone.
    assert len(shares) == 3 and shares[0] > 0 and all(30 < share < 300 for share in shares[1:]), result.stdout
    assert "recorded in runs/gpt2" in result.stdout
