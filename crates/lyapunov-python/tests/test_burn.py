"""The same weights and images in the program's own network on Burn and in PyTorch: one spectrum."""

import importlib.util
import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
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
    told = json.loads(
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
    assert top.value == pytest.approx(told["lambda_max"]["value"], rel=1e-5)
    assert h.lambda_min(1e-3).value == pytest.approx(told["lambda_min"]["value"], abs=1e-5 * top.value)
