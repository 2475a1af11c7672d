"""Run folders: every row once, whatever ends the run."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch
import torch.nn.functional as F
from models import build, data, mlp
from test_quiet import same

import lyapunov

BATCH = data()


class Loop:
    """A training loop whose model, optimizer and monitor are saved and loaded together."""

    def __init__(self, out, every=5, make=lambda p: torch.optim.SGD(p, lr=0.1), **k):
        self.model = build(mlp)
        self.optimizer = make(self.model.parameters())
        self.monitor = lyapunov.Monitor(self.model, F.cross_entropy, self.optimizer, every=every, out=out, **k)

    def train(self, steps, pass_loss=True, batch=BATCH):
        losses = []
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(batch[0]), batch[1])
            loss.backward()
            self.monitor.step(batch, loss=loss if pass_loss else None)
            self.optimizer.step()
            losses.append(loss.item())
        return losses

    def save(self):
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "monitor": self.monitor.state_dict(),
        }

    def load(self, state):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.monitor.load_state_dict(state["monitor"])


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


READ = "import json, sqlite3, sys; print(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))"


def query(folder, sql):
    """Rows of a run, read in a process of their own: two libraries of SQLite in one process take each other's locks."""
    command = [sys.executable, "-c", READ, str(folder / "run.sqlite"), sql]
    return [
        tuple(row) for row in json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    ]


def steps(folder):
    return [step for (step,) in query(folder, "SELECT step FROM rows ORDER BY step")]


def test_a_run_has_its_losses_rates_readings_and_costs(tmp_path):
    with (loop := Loop(tmp_path / "mine", settings={"batch_size": 24, "note": 'a "quoted" one'})).monitor as monitor:
        losses = loop.train(11)
        assert monitor.folder == tmp_path / "mine"
    rows = query(monitor.folder, "SELECT step, loss, learning_rate, edge FROM rows ORDER BY step")
    assert [row[:3] for row in rows] == [(i, loss, 0.1) for i, loss in enumerate(losses)]
    assert [row[3] for row in rows] == [pytest.approx(20.0) if i % 5 == 0 else None for i in range(11)]
    found = query(
        monitor.folder,
        'SELECT step, quantity, "on", product, value, residual, edge, cost FROM sharpness ORDER BY step, quantity',
    )
    assert [row[:4] for row in found] == [
        (step, q, "batch", "exact") for step in (0, 5, 10) for q in ("batch_sharpness", "lambda_max")
    ]
    assert all(
        value / 20 == pytest.approx(share)
        and cost > 0
        and (residual is None if quantity == "batch_sharpness" else residual >= 0)
        for _, quantity, _, _, value, residual, share, cost in found
    )
    recorded = manifest(monitor.folder)
    assert (
        recorded["outcome"] == "completed"
        and recorded["steps"] == 11
        and recorded["engine"] == f"PyTorch {torch.__version__}"
        and recorded["device"] == "cpu"
    )
    assert (
        recorded["parameters"] == sum(p.numel() for p in loop.model.parameters())
        and recorded["measuring_cost"] > 0
        and recorded["seed"] == 0
    )
    assert "run.sqlite" in (monitor.folder / "SHA256SUMS").read_text()
    tomllib = pytest.importorskip("tomllib")
    keys = tomllib.loads((monitor.folder / "config.toml").read_text())
    assert keys["model"] == {"name": "Sequential", "class": "torch.nn.modules.container.Sequential"}
    assert keys["loss"]["name"] == "cross-entropy" and keys["run"] == {"batch_size": 24, "note": 'a "quoted" one'}
    assert keys["optimizer"] == {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.0}


def test_without_losses_there_is_a_row_per_measurement(tmp_path):
    with (loop := Loop(tmp_path / "mine")).monitor as monitor:
        loop.train(11, pass_loss=False)
    assert steps(monitor.folder) == [0, 5, 10] and manifest(monitor.folder)["steps"] == 11


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), "heavy-ball"),
        (lambda p: torch.optim.AdamW(p, lr=1e-3), "adamw"),
    ],
)
def test_the_edge_is_that_of_the_optimizer(tmp_path, make, name):
    with (loop := Loop(tmp_path / "mine", make=make)).monitor as monitor:
        loop.train(6)
    (edge,) = query(monitor.folder, "SELECT edge FROM rows WHERE step = 5")
    assert edge[0] == pytest.approx(38 if name == "heavy-ball" else 38 / 1e-3, rel=1e-2)
    assert f'name = "{name}"' in (monitor.folder / "config.toml").read_text()
    shares = query(monitor.folder, "SELECT value, edge FROM sharpness WHERE edge IS NOT NULL")
    assert all(share == pytest.approx(value / edge[0]) for value, share in shares) and len(shares) == 2


def test_a_run_is_never_written_over(tmp_path):
    for _ in range(2):
        with (loop := Loop(tmp_path / "mine")).monitor:
            loop.train(1)
    assert loop.monitor.folder == tmp_path / "mine-2" and steps(tmp_path / "mine") == [0]


def test_two_monitors_have_two_folders_and_each_is_held(tmp_path):
    first, second = Loop(tmp_path / "mine"), Loop(tmp_path / "mine")
    first.train(1), second.train(1)
    assert first.monitor.folder != second.monitor.folder
    other = Loop(tmp_path / "mine")
    with pytest.raises(OSError, match="in use by process"):
        other.monitor.load_state_dict(first.monitor.state_dict())
    first.monitor.close(), second.monitor.close()


class Mine(Exception):
    pass


@pytest.mark.parametrize(
    "error, outcome",
    [
        (None, "completed"),
        (Mine("what I did\nsecond line"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(0), "completed"),
        (SystemExit(3), "interrupted"),
    ],
)
def test_the_manifest_says_how_it_ended(tmp_path, error, outcome):
    try:
        with (loop := Loop(tmp_path / "mine")).monitor:
            loop.train(3)
            if error is not None:
                raise error
    except BaseException as raised:
        assert raised is error
    recorded = manifest(tmp_path / "mine")
    assert recorded["outcome"] == outcome and recorded["steps"] == 3
    assert recorded["fault"] == ("Mine: what I did" if outcome == "failed" else None)
    assert steps(tmp_path / "mine") == [0, 1, 2]


def test_a_run_whose_last_loss_is_not_finite_has_diverged(tmp_path):
    with (loop := Loop(tmp_path / "mine")).monitor:
        loop.train(7)
        loop.train(1, batch=(BATCH[0] * math.inf, BATCH[1]))
    recorded = manifest(tmp_path / "mine")
    assert recorded["outcome"] == "diverged" and recorded["diverged_at"] == 7


def test_a_measurement_that_fails_leaves_the_row_of_its_step(tmp_path):
    loop = Loop(tmp_path / "mine")
    loop.train(5)
    loop.monitor._problem.loss_fn = lambda z, y: (_ for _ in ()).throw(Mine())
    with pytest.raises(Mine):
        loop.train(1)
    loop.monitor._problem.loss_fn = F.cross_entropy
    loop.optimizer.step()
    loop.train(5)
    loop.monitor.close()
    assert steps(tmp_path / "mine") == list(range(11))
    assert {step for (step,) in query(tmp_path / "mine", "SELECT step FROM sharpness")} == {0, 10}


@pytest.mark.parametrize("end", ["closed", "killed", "failed"])
def test_a_resumed_run_has_every_row_once_and_the_numbers_of_one_that_did_not_stop(tmp_path, end):
    with (whole := Loop(tmp_path / "whole")).monitor:
        whole.train(17)
    first = Loop(tmp_path / "mine")
    first.train(8)
    torch.save(first.save(), tmp_path / "saved.pt")
    first.train(4)
    if end == "killed":
        first.monitor._recording._finalizer.detach()
        first.monitor._recording._state.recorder.forget()
    elif end == "failed":
        first.monitor.__exit__(Mine, Mine("x"), None)
    else:
        first.monitor.close()
    second = Loop(tmp_path / "mine")
    second.load(torch.load(tmp_path / "saved.pt"))
    second.train(9)
    second.monitor.close()
    assert second.monitor.folder == tmp_path / "mine" and not (tmp_path / "mine-2").exists()
    recorded = manifest(tmp_path / "mine")
    assert recorded["outcome"] == "completed" and recorded["steps"] == 17 and recorded["fault"] is None
    for question in (
        "SELECT step, loss, learning_rate, edge FROM rows",
        "SELECT step, quantity, value, residual FROM sharpness",
    ):
        assert query(tmp_path / "mine", question) == query(tmp_path / "whole", question)


def test_a_resumed_run_under_another_name_is_another_run(tmp_path):
    first = Loop(tmp_path / "mine")
    first.train(3)
    state = first.monitor.state_dict()
    first.monitor.close()
    other = Loop(tmp_path / "other")
    other.monitor.load_state_dict(state)
    other.train(3)
    other.monitor.close()
    assert steps(tmp_path / "other") == [3, 4, 5] and steps(tmp_path / "mine") == [0, 1, 2]
    lost = Loop(tmp_path / "elsewhere" / "mine")
    with pytest.raises(FileNotFoundError, match="bring it back"):
        lost.monitor.load_state_dict(state)


def test_evaluations_stand_in_the_row_of_their_weights_and_at_the_end(tmp_path):
    with (loop := Loop(tmp_path / "mine", every=100)).monitor as monitor:
        loop.train(3)
        monitor.log("test_accuracy", 0.5)
        monitor.log("test_loss", 1.5)
        loop.train(2)
        monitor.log("train_loss", torch.tensor(0.25).item())
        monitor.log("test_accuracy", 0.75)
        with pytest.raises(ValueError, match="known are train_loss"):
            monitor.log("tset_loss", 1.0)
    rows = query(
        monitor.folder, "SELECT step, test_loss, test_accuracy, train_loss FROM rows WHERE test_accuracy IS NOT NULL"
    )
    assert rows == [(3, 1.5, 0.5, None), (5, None, 0.75, 0.25)]
    recorded = manifest(monitor.folder)
    assert (recorded["train_loss"], recorded["test_loss"], recorded["test_accuracy"]) == (0.25, None, 0.75)


def test_a_folder_that_cannot_be_made_is_said_before_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot make the output folder"):
        Loop(tmp_path / "file" / "mine")
    with pytest.raises(ValueError, match="must name the folder"):
        Loop("/")
    with pytest.raises(ValueError, match="by out="):
        Loop(None, settings={"a": 1})


SCRIPT = """
    import sys, time, torch, lyapunov
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    monitor = lyapunov.Monitor(model, torch.nn.functional.mse_loss, optimizer, every=2, out=sys.argv[1])
    for step in range(6):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        monitor.step((x, y), loss=loss)
        optimizer.step()
    {end}
"""


@pytest.mark.parametrize(
    "end, outcome",
    [
        ("", "completed"),
        ("raise ValueError('mine')", "failed"),
        ("raise KeyboardInterrupt", "interrupted"),
        ("print('ready', flush=True); time.sleep(60)", "running"),
    ],
)
def test_the_end_of_a_script_seals_the_run_and_a_kill_does_not(tmp_path, end, outcome):
    script = textwrap.dedent(SCRIPT).format(end=end)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "mine")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if outcome == "running":
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=600)
    recorded = manifest(tmp_path / "mine")
    assert recorded["outcome"] == outcome, errors
    assert recorded["fault"] == ("ValueError: mine" if outcome == "failed" else None)
    # What came after the last measurement, of step 4, may wait in a process that is killed.
    assert steps(tmp_path / "mine")[: 5 if outcome == "running" else 6] == list(range(5 if outcome == "running" else 6))


def test_a_forked_child_does_not_close_the_run_of_its_parent(tmp_path):
    loop = Loop(tmp_path / "mine")
    loop.train(2)
    child = os.fork()
    if child == 0:
        loop.monitor.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert manifest(tmp_path / "mine")["outcome"] == "running"
    loop.train(2)
    loop.monitor.close()
    assert manifest(tmp_path / "mine")["outcome"] == "completed" and steps(tmp_path / "mine") == [0, 1, 2, 3]


def test_recording_does_not_change_the_run(tmp_path):
    recorded, plain = Loop(tmp_path / "mine"), Loop(None)
    assert recorded.train(12) == plain.train(12)
    assert same([*recorded.model.parameters()], [*plain.model.parameters()])
    recorded.monitor.close()


def test_a_row_is_on_the_disk_when_it_is_measured(tmp_path):
    loop = Loop(tmp_path / "mine")
    loop.train(6)
    assert steps(tmp_path / "mine") == list(range(6))
    loop.train(1)
    time.sleep(1.1)
    loop.train(1)
    loop.monitor._recording._state.recorder.flush()
    assert steps(tmp_path / "mine") == list(range(8)), "a second later at most, if there is another step"
    loop.monitor.close()


def test_a_run_that_ends_far_above_its_beginning_has_blown_up(tmp_path):
    with (loop := Loop(tmp_path / "mine", every=100)).monitor as monitor:
        for step in range(40):
            monitor.step(BATCH, loss=1.0 if step < 5 else torch.tensor(1e12))
    assert manifest(tmp_path / "mine")["outcome"] == "blown-up" and len(steps(tmp_path / "mine")) == 40
    assert loop is not None


def test_evaluations_of_the_end_survive_a_resume_of_the_ended_run(tmp_path):
    with (first := Loop(tmp_path / "mine")).monitor as monitor:
        first.train(3)
        monitor.log("test_accuracy", 0.75)
    ended = manifest(tmp_path / "mine")
    state = first.save()
    assert 0.0 < state["monitor"]["run"]["seconds"] <= ended["wall_seconds"]
    again = Loop(tmp_path / "mine")
    again.load(state)
    again.monitor.close()
    sealed = manifest(tmp_path / "mine")
    assert sealed["test_accuracy"] == 0.75 and sealed["wall_seconds"] > state["monitor"]["run"]["seconds"]
    # Where it goes on, they stand in the row of the weights that they speak of.
    with (longer := Loop(tmp_path / "mine")).monitor:
        longer.load(state)
        longer.train(2)
    assert query(tmp_path / "mine", "SELECT test_accuracy FROM rows WHERE step = 3") == [(0.75,)]
    assert steps(tmp_path / "mine") == [0, 1, 2, 3, 4]
