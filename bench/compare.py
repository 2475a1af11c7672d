"""Eigenvalues of one mini-batch's Hessian by lyapunov, by PyHessian and by curvlinops with scipy's eigsh, side by side.

    pip install torch scipy safetensors pyhessian curvlinops-for-pytorch
    cargo build --release
    python bench/compare.py --data DIR RUN...

DIR holds the binary files of CIFAR-10; every RUN is a folder that `lyapunov train` has made. Nothing is trained here.
The network of the run is built in PyTorch, takes the run's weights by `load_state_dict`, and must give the same outputs
and the same loss on the same images. Every tool then works on one thread and in a process of its own:

- lyapunov: `measure` at its default settings;
- PyHessian: `eigenvalues()` at its default settings, by power iteration: it finds the eigenvalue of largest magnitude;
- curvlinops: `HessianLinearOperator` under `eigsh(k=1, which="LA" or "SA", tol=1e-3)`.

Costs in gradient-equivalents (g-eq) are, for lyapunov, those that it counts, the gradient of its start vector included,
and for the others their wall time over that of one gradient in PyTorch in the same process. Every search is made three
times, and the fastest is shown. Memory is the largest that the process ever held.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import warnings
from pathlib import Path

THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")}
TOLERANCE = 1e-3
# Enough for λ_max to half a percent: the error of an eigenvalue goes with the square of its residual.
LOOSE = 0.05
REPETITIONS = 3
IMAGE_BYTES = 3 * 32 * 32


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the CIFAR-10 files")
    parser.add_argument(
        "--batch", type=int, help="the training step whose mini-batch is used; the one after the last by default"
    )
    parser.add_argument("--program", default="target/release/lyapunov", help="the lyapunov to compare")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--examples", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(arguments.worker, arguments.runs[0], arguments.examples, arguments.data)))
    elif not all([compare(run, arguments) for run in arguments.runs]):
        sys.exit("the eigenvalues do not agree")


# The comparison of one run.


def compare(run, arguments):
    """Prints the table of a run; says whether lyapunov and eigsh agree."""
    step = arguments.batch if arguments.batch is not None else json.loads((run / "manifest.json").read_text())["steps"]
    with tempfile.TemporaryDirectory() as folder:
        examples = Path(folder) / "examples.safetensors"
        call = [arguments.program, "measure", "--run", run, "--data", arguments.data, "--on", f"batch={step}", "--json"]
        ours = []
        for name, tolerance in (("lambda_max", LOOSE), ("lambda_max", TOLERANCE), ("lambda_min", TOLERANCE)):
            flags = ["--what", name, "--tolerance", str(tolerance), "--export", examples]
            repeated = [timed(call + flags) for _ in range(REPETITIONS)]
            found, memory = min(repeated, key=lambda found: found[0]["wall_seconds"])
            ours.append((name, tolerance, found, memory))
        tools = ("images", "network", "pyhessian", "eigsh-LA", "eigsh-SA")
        theirs = {tool: worker(tool, run, examples, arguments) for tool in tools}
    network = theirs["network"]
    assert network["outputs_differ_by"] < 1e-4, f"the outputs differ by {network['outputs_differ_by']}"
    assert abs(network["loss"] - found["loss"]) < 1e-5 * abs(found["loss"]), f"{network['loss']} is not {found['loss']}"
    return table(run, step, ours, theirs, found)


def table(run, step, ours, theirs, found):
    model = tomllib.loads((run / "config.toml").read_text())["model"]
    print(
        f"\n{model['name']} {model['widths']}, {model['activation']}: {found['parameters']} weights, "
        f"the {found['images']} images of step {step}, loss {found['loss']:.4f}; "
        f"outputs agree to {theirs['network']['outputs_differ_by']:.0e}\n"
    )
    print("| eigenvalue | tool | value | beside eigsh | products | g-eq | seconds | memory, MB |")
    print("|---|---|---|---|---|---|---|---|")
    agree = True
    for name, reference in (("lambda_max", "eigsh-LA"), ("lambda_min", "eigsh-SA")):
        truth = theirs[reference]["value"]
        for own_name, tolerance, own, memory in ours:
            if own_name == name:
                line = own[name]
                # Its check that two gradients agree belongs to no search, as that of curvlinops.
                cost = line["cost"] + 1
                row(name, f"lyapunov, tolerance {tolerance}", truth, line, cost, own["wall_seconds"], memory)
                within = TOLERANCE if tolerance == TOLERANCE else 5 * TOLERANCE
                agree &= line["converged"] and abs(line["value"] / truth - 1) < within
        for tool, label in (("pyhessian", "PyHessian"), (reference, "curvlinops, eigsh")):
            if tool == reference or name == "lambda_max":
                line = theirs[tool]
                row(name, label, truth, line, line["seconds"] / line["gradient"], line["seconds"], line["memory"])
    return agree


def row(name, tool, truth, found, cost, seconds, memory):
    value, products = found["value"], found["products"]
    print(
        f"| {name} | {tool} | {value:.5f} | {value / truth - 1:+.0e} | {products} | {cost:.1f} | {seconds:.2f} "
        f"| {memory:.0f} |"
    )


def timed(command):
    """The JSON object that a command prints, and the largest memory of its process in MB."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, env=os.environ | THREADS)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed")
    return json.loads(text), usage.ru_maxrss / 1024


def worker(tool, run, examples, arguments):
    command = [sys.executable, __file__, run, "--data", arguments.data, "--worker", tool, "--examples", examples]
    found, memory = timed(command)
    return found | {"memory": memory}


def check_images(run, examples, data):
    """The exported images are records of the files, standardised by the mean and deviation of the training set: of all
    of the
    files, unless the run was trained on a part of them, whose choice only lyapunov knows."""
    import numpy
    from safetensors.numpy import load_file

    files = [numpy.fromfile(data / f"data_batch_{i}.bin", dtype=numpy.uint8) for i in range(1, 6)]
    records = numpy.concatenate(files).reshape(-1, 1 + IMAGE_BYTES)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).astype(numpy.float64)
    labels = {record[1:].tobytes(): record[0] for record in records}
    exported = load_file(examples)
    mean, deviation = (exported["colours"][:, i].reshape(1, 3, 1, 1) for i in (0, 1))
    if tomllib.loads((run / "config.toml").read_text())["data"]["subset"] == 0:
        assert numpy.allclose(mean, pixels.mean(axis=(0, 2, 3), keepdims=True), rtol=1e-9), "another mean"
        assert numpy.allclose(deviation, pixels.std(axis=(0, 2, 3), keepdims=True), rtol=1e-9), "another deviation"
    raw = exported["inputs"] * deviation + mean
    assert abs(raw - raw.round()).max() < 1e-3, "the images are not standardised as they should be"
    for image, label in zip(raw.round().astype(numpy.uint8), exported["labels"]):
        assert labels[image.tobytes()] == label, "an image is not in the files, or has another label"
    return {"images": len(exported["labels"])}


# The work of one tool, in a process of its own.


def work(tool, run, examples, data):
    if tool == "images":
        return check_images(run, examples, data)
    import torch
    from models import build

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    exported = load(examples)
    images, labels = exported["inputs"], exported["labels"]
    network = build(tomllib.loads((run / "config.toml").read_text())["model"])
    network.load_state_dict(load(run / "weights.safetensors"))
    for layer in network.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            # In training a batch is normalised by itself; curvlinops bears no running averages that move.
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
    loss = torch.nn.CrossEntropyLoss()
    if tool == "network":
        outputs = network(images).detach()
        differ = (outputs - exported["outputs"]).abs().max().item()
        return {"loss": loss(outputs, labels).item(), "outputs_differ_by": differ}
    search = (
        pyhessian(network, loss, images, labels)
        if tool == "pyhessian"
        else eigsh(tool[-2:], network, loss, images, labels)
    )
    # What is loaded at the first product is not the search's work: one search goes before those that count.
    search()
    gradient = gradient_seconds(network, loss, images, labels)
    return min((search_seconds(search) for _ in range(REPETITIONS)), key=lambda found: found["seconds"]) | {
        "gradient": gradient
    }


def search_seconds(search):
    import torch

    torch.manual_seed(0)
    start = time.perf_counter()
    value, products = search()
    return {"value": value, "products": products, "seconds": time.perf_counter() - start}


def load(path):
    from safetensors.torch import load_file

    return load_file(path)


def gradient_seconds(network, loss, images, labels):
    """The median time of one gradient."""
    import torch

    times = []
    for _ in range(15):
        start = time.perf_counter()
        torch.autograd.grad(loss(network(images), labels), list(network.parameters()))
        times.append(time.perf_counter() - start)
    return statistics.median(times[5:])


def pyhessian(network, loss, images, labels):
    """The search, ready to start: imports are not its work."""
    from pyhessian import hessian as package

    count = 0
    module = sys.modules["pyhessian.hessian"]
    original = module.hessian_vector_product

    def counted(*arguments):
        nonlocal count
        count += 1
        return original(*arguments)

    def search():
        nonlocal count
        count = 0
        values, _ = package(network, loss, data=(images, labels), cuda=False).eigenvalues()
        return values[0], count

    module.hessian_vector_product = counted
    return search


def eigsh(which, network, loss, images, labels):
    """The search, ready to start."""
    import numpy
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import LinearOperator
    from scipy.sparse.linalg import eigsh as solve

    count = 0
    parameters = [p for p in network.parameters()]
    # Its check that two products agree costs time that belongs to no search.
    hessian = HessianLinearOperator(network, loss, parameters, [(images, labels)], check_deterministic=False).to_scipy()

    def counted(v):
        nonlocal count
        count += 1
        return hessian @ v

    operator = LinearOperator(hessian.shape, matvec=counted, dtype=hessian.dtype)
    start = numpy.random.default_rng(0).standard_normal(hessian.shape[0]).astype(hessian.dtype)

    def search():
        nonlocal count
        count = 0
        values = solve(operator, k=1, which=which, tol=TOLERANCE, v0=start, return_eigenvectors=False)
        return float(values[0]), count

    return search


if __name__ == "__main__":
    main()
