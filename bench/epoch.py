"""One epoch of every model on 5,000 images of CIFAR-10: what it learns, what a gradient costs, and the ends of its
spectrum.

    cargo build --release
    python bench/epoch.py --data DIR [MODEL...]

DIR holds the binary files of CIFAR-10. Slow models see 320 images, ten steps. Batches have 32 images. The milliseconds
of a gradient are those of the processor, from runs of one step and of 5 or 41 on a few images; memory is the largest
that the whole run ever held, evaluations included. Eigenvalues are those of the mini-batch behind the last step, with
their residuals, after at most eight products each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

RECORD, BATCH, IMAGES, PART, PRODUCTS = 3073, 32, 5000, 320, 8
BALL = {"optimizer.name": "heavy-ball", "optimizer.learning_rate": 0.02}
ADAM = {"optimizer.name": "adam", "optimizer.learning_rate": 0.0005}
NORM = {"model.normalization": "batch", "optimizer.name": "heavy-ball", "optimizer.learning_rate": 0.005}
# Model, images, options.
RUNS = [
    ("linear", IMAGES, {"optimizer.learning_rate": 0.002}),
    ("deep-linear", IMAGES, {"optimizer.learning_rate": 0.01}),
    ("mlp", IMAGES, {"optimizer.learning_rate": 0.05}),
    ("cnn", IMAGES, BALL),
    ("mlp-mixer", IMAGES, ADAM),
    ("resnet20", IMAGES, NORM),
    ("vgg11", IMAGES, NORM),
    ("resnet32", PART, NORM),
    ("wide-resnet-16-4", PART, NORM),
    ("vgg16", PART, NORM),
    ("resnet56", PART, NORM),
    ("vit-tiny", PART, ADAM),
    ("densenet40-12", PART, NORM),
    ("resnet18", PART, NORM),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="only these")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the CIFAR-10 files")
    parser.add_argument("--program", default="target/release/lyapunov", help="the lyapunov to use")
    arguments = parser.parse_args()
    print(
        "| model | weights | images | training loss | test accuracy | ms per gradient | peak memory, MB "
        "| λ_max | λ_min |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        few = cut(arguments.data, Path(folder) / "few")
        for name, images, options in RUNS:
            if not arguments.models or name in arguments.models:
                row(arguments, Path(folder) / name, few, (name, images, options))


def cut(data, few):
    """A folder with the first images of each file."""
    few.mkdir()
    for file in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        (few / file).write_bytes((data / file).read_bytes()[: BATCH * RECORD])
    return few


def row(arguments, out, few, run):
    name, images, options = run
    model = {"model.name": name, "run.batch_size": BATCH, "measure.every": 0} | options

    def train(data, folder, **more):
        settings = model | {key.replace("_", ".", 1): value for key, value in more.items()}
        flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        return call(arguments.program, "train", "--quiet", "--json", "--data", data, "--out", folder, *flags)

    steps = 40 if images == IMAGES else 4
    (_, one, _), (_, more, _) = train(few, out / "one", run_steps=1), train(few, out / "more", run_steps=steps + 1)
    found, _, memory = train(arguments.data, out / "epoch", data_subset=images, run_epochs=1)
    what = (
        "--what",
        "lambda_max,lambda_min",
        "--on",
        f"batch={found['steps']}",
        "--max-products",
        PRODUCTS,
        "--tolerance",
        0.01,
    )
    spectrum, _, _ = call(arguments.program, "measure", "--json", "--run", found["run"], *what)
    ends = [f"{spectrum[key]['value']:.3g} ± {spectrum[key]['residual']:.1g}" for key in ("lambda_max", "lambda_min")]
    figures = [
        name,
        f"{spectrum['parameters']:,}",
        f"{images:,}",
        f"{found['train_loss']:.3f}",
        f"{100 * found['test_accuracy']:.1f} %",
    ]
    print("|", " | ".join([*figures, f"{1000 * (more - one) / steps:.0f}", f"{memory:.0f}", *ends]), "|", flush=True)


def call(*command):
    """The JSON object that a command prints, its seconds on the processor and its largest memory in MB."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed")
    return json.loads(text), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
