"""The same weights and images in the program's own network on Burn and in PyTorch: one spectrum."""

import csv
import importlib.util
import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import lyapunov

ROOT = Path(__file__).resolve().parents[3]
# Built by the tests of the workspace, which run before these.
PROGRAM = Path(os.environ.get("LYAPUNOV_PROGRAM", ROOT / "target" / "debug" / "lyapunov"))
if not PROGRAM.is_file():
    pytest.skip(f"there is no program at {PROGRAM} (LYAPUNOV_PROGRAM)", allow_module_level=True)
place = importlib.util.spec_from_file_location("networks", ROOT / "bench" / "models.py")
networks = importlib.util.module_from_spec(place)
place.loader.exec_module(networks)
safetensors = pytest.importorskip("safetensors.torch")


def call(*arguments):
    done = subprocess.run([str(part) for part in (PROGRAM, *arguments)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("burn") / "images"
    call("data", "synthesize", folder, "--train", 40, "--test", 8)
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {"model.name": "mlp", "model.activation": "tanh"},
        {"model.name": "cnn"},
        {"model.name": "resnet20", "model.normalization": "batch"},
    ],
    ids=lambda settings: settings["model.name"],
)
def test_the_spectrum_is_that_of_the_network_on_burn(settings, images, tmp_path):
    common = {"run.batch_size": 8, "run.steps": 2, "measure.every": 0, "optimizer.learning_rate": 0.01, **settings}
    call(
        "train",
        "--quiet",
        "--data",
        images,
        "--out",
        tmp_path / "runs",
        *[part for key, value in common.items() for part in ("--set", f"{key}={value}")],
    )
    (run,) = (tmp_path / "runs").iterdir()
    examples = tmp_path / "examples.safetensors"
    measured = json.loads(
        call(
            "measure",
            "--run",
            run,
            "--on",
            "batch=2",
            "--what",
            "lambda_max,lambda_min",
            "--tolerance",
            "1e-3",
            "--json",
            "--export",
            examples,
        )
    )
    model = networks.build(tomllib.loads((run / "config.toml").read_text())["model"])
    model.load_state_dict(safetensors.load_file(run / "weights.safetensors"))
    batch = safetensors.load_file(examples)
    h = lyapunov.hessian(model.train(), F.cross_entropy, (batch["inputs"], batch["labels"].long()))
    top = h.lambda_max(1e-3)
    assert top.value == pytest.approx(measured["lambda_max"]["value"], rel=1e-5)
    assert h.lambda_min(1e-3).value == pytest.approx(measured["lambda_min"]["value"], abs=1e-5 * top.value)


# With a strength of 2 plain descent crosses the edge here at step 16, and five steps enlarge its rounding a
# thousandfold.
@pytest.mark.parametrize(("optimizer", "strength"), [("sgd", 1.0), ("heavy-ball", 2.0)])
def test_a_rule_gives_the_rates_of_the_program(optimizer, strength, images, tmp_path):
    """Full batches, so that both see the same images at every step, in another order."""
    steps, common = 100, {"model.name": "mlp", "model.activation": "tanh", "run.batch_size": 40, "measure.every": 0}

    def train(folder, **settings):
        keys = common | {key.replace("__", "."): value for key, value in settings.items()}
        chosen = [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]
        call("train", "--quiet", "--data", images, "--out", tmp_path / folder, *chosen)
        (run,) = (tmp_path / folder).iterdir()
        return run

    # A step so small that no weight moves leaves the initial weights.
    start = train("start", run__steps=1, optimizer__learning_rate=1e-30)
    examples = tmp_path / "examples.safetensors"
    call("measure", "--run", start, "--on", "full", "--what", "lambda_max", "--max-products", 1, "--export", examples)
    run = train(
        "rule",
        run__steps=steps,
        optimizer__name=optimizer,
        control__rule="edge-step",
        control__sigma=strength,
        schedule__cooldown=0.0,
    )
    call("export", run, "--out", tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open() as file:
        wanted = [float(row["learning_rate"]) for row in csv.DictReader(file) if row["learning_rate"]]

    model = networks.build(tomllib.loads((start / "config.toml").read_text())["model"])
    model.load_state_dict(safetensors.load_file(start / "weights.safetensors"))
    loaded = safetensors.load_file(examples)
    batch = (loaded["inputs"], loaded["labels"].long())
    descent = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9 if optimizer == "heavy-ball" else 0.0)
    rule, found = lyapunov.EdgeStep(model, F.cross_entropy, descent, strength=strength), []
    for _ in range(steps):
        descent.zero_grad()
        loss = F.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        found.append(rule.step(batch, loss))
        descent.step()
    assert found == pytest.approx(wanted[:steps], rel=1e-5) and len(set(wanted)) > 20
