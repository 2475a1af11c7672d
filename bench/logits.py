"""The outputs of every network of lyapunov beside those of the PyTorch module with the same weights.

    pip install torch safetensors
    cargo build --release
    python bench/logits.py [MODEL...]

Makes a few images, trains every model on them for two steps, at its own size, and loads `weights.safetensors` into the
module of `bench/models.py` by `load_state_dict`, which takes no tensor too many and none too few. Outputs in training,
where a batch is normalised by itself, and in evaluation, where it is by the buffers in the file, must agree to 1e-4,
relative to the largest.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import torch
from safetensors.torch import load_file

from models import build

TOLERANCE = 1e-4
PLAIN, BATCH = {}, {"normalization": "batch"}
RUNS = [
    ("linear", PLAIN),
    ("mlp", PLAIN),
    ("mlp", BATCH),
    ("deep-linear", PLAIN),
    ("cnn", PLAIN),
    ("cnn", {"normalization": "layer", "pooling": "average", "activation": "silu"}),
    ("vgg11", BATCH),
    ("vgg16", BATCH),
    ("resnet18", BATCH),
    ("resnet20", BATCH),
    ("resnet20", {"normalization": "group", "shortcut": "projected"}),
    ("resnet32", BATCH),
    ("resnet56", BATCH),
    ("wide-resnet-16-4", BATCH),
    ("wide-resnet-10-1", PLAIN),
    ("densenet40-12", BATCH),
    ("densenet22-8", {"normalization": "group"}),
    ("vit-tiny", PLAIN),
    ("mlp-mixer", PLAIN),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="only these")
    parser.add_argument("--program", default="target/release/lyapunov", help="the lyapunov to compare")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [run for run in RUNS if not arguments.models or run[0] in arguments.models]
    print("| model | options | weights | largest output | differs in training | differs in evaluation |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        call(arguments.program, "data", "synthesize", images, "--train", 40, "--test", 8)
        agree = [compare(arguments.program, images, Path(folder), name, options) for name, options in chosen]
    if not all(agree):
        sys.exit("the outputs do not agree")


def compare(program, images, folder, name, options):
    """Prints the line of a model; says whether it agrees."""
    out = folder / "-".join([name, *options.values()])
    settings = {
        "model.name": name,
        "run.batch_size": 8,
        "run.steps": 2,
        "measure.every": 0,
        "optimizer.learning_rate": 0.01,
    }
    settings |= {f"model.{key}": value for key, value in options.items()}
    flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    call(program, "train", "--quiet", "--data", images, "--out", out, *flags)
    (run,) = out.iterdir()
    file = folder / "examples.safetensors"
    call(
        program,
        "measure",
        "--run",
        run,
        "--on",
        "batch=2",
        "--what",
        "lambda_max",
        "--max-products",
        1,
        "--export",
        file,
    )
    network, examples = build(tomllib.loads((run / "config.toml").read_text())["model"]), load_file(file)
    network.load_state_dict(load_file(run / "weights.safetensors"))
    largest = examples["outputs"].abs().max().item()
    # Evaluation first: in training PyTorch moves its buffers.
    with torch.no_grad():
        differ = [distance(mode(network)(examples["inputs"]), examples[outputs], largest) for mode, outputs in MODES]
    weights = sum(parameter.numel() for parameter in network.parameters())
    given = ", ".join(options.values()) or "none"
    print(f"| {name} | {given} | {weights:,} | {largest:.2f} | {differ[1]:.0e} | {differ[0]:.0e} |", flush=True)
    return max(differ) < TOLERANCE


MODES = [(torch.nn.Module.eval, "evaluation_outputs"), (torch.nn.Module.train, "outputs")]


def distance(outputs, ours, largest):
    return (outputs - ours).abs().max().item() / max(largest, 1.0)


def call(program, *arguments):
    done = subprocess.run([str(part) for part in (program, *arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{program} {arguments[0]} failed: {done.stderr}")


if __name__ == "__main__":
    main()
