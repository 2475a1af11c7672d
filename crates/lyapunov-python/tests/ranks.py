"""One rank of a test of several: python ranks.py SCENE FOLDER, launched by torchrun."""

import datetime
import json
import os
import pathlib
import signal
import sys
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from models import build, cnn, data, dense, mlp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

import lyapunov

MODELS = {"mlp": lambda: mlp(nn.Tanh), "cnn": cnn}


def shares(rank, size):
    """The examples of a rank: ragged, and all of them together the 24."""
    x, y = data()
    edges = [0, *(24 * (i + 1) * (i + 2) // (size * (size + 1)) for i in range(size))]
    return x[edges[rank] : edges[rank + 1]].double(), y[edges[rank] : edges[rank + 1]]


def measured(model, batch):
    """Everything that is measured of fixed weights, and along a run."""
    h = lyapunov.hessian(model, F.cross_entropy, batch)
    v = torch.randn(h.shape[0], generator=torch.Generator().manual_seed(3)).double()
    found = {
        "lambda_max": [h.lambda_max(1e-4).value],
        "lambda_min": [h.lambda_min(1e-4, max_products=300).value],
        "top": [r.value for r in h.top(3, 1e-4)],
        "trace": [h.trace(30).value],
        "sharpness": [h.batch_sharpness().value],
        "product": (h @ v).tolist(),
        "micro": [lyapunov.hessian(model, F.cross_entropy, batch, micro_batch=3).lambda_max(1e-4).value],
        "gauss-newton": [lyapunov.hessian(model, F.cross_entropy, batch, kind="gauss-newton").lambda_max(1e-4).value],
        "several": [lyapunov.hessian(model, F.cross_entropy, batches=[batch, batch]).lambda_max(1e-4).value],
    }
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found["exponents"] = lyapunov.exponents(model, F.cross_entropy, [batch], sgd, 2, steps=8).values
    return found


def run(model, batch, monitored, averaged):
    """A run with a monitor and a rule, or with neither; losses are over all examples."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    rows, rates = [], []
    monitor = lyapunov.Monitor(model, F.cross_entropy, optimizer, every=2, log=rows.append) if monitored else None
    rule = lyapunov.OnEdge(model, F.cross_entropy, optimizer, strength=0.5) if monitored == "rule" else None
    returned = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        if monitor:
            returned.append(monitor.step(batch))
        if rule:
            rates.append(rule.step(batch, averaged(loss.detach())))
        optimizer.step()
    weights = [x for p in model.parameters() for x in p.detach().reshape(-1).tolist()]
    sharp = [row["preconditioned_sharpness"].value for row in returned if row is not None]
    return {"weights": weights, "readings": sharp, "rates": rates, "logged": [row.step for row in rows]}


def alike(rank, size):
    batch = shares(rank, size)
    found = {}

    def averaged(loss):
        both = torch.tensor([loss.item() * len(batch[1]), len(batch[1])], dtype=torch.float64)
        dist.all_reduce(both)
        return float(both[0] / both[1])

    for name, make in MODELS.items():
        model = DistributedDataParallel(build(make).double())
        found[name] = measured(model, batch)
    for how in ("", "plain", "rule"):
        found[f"run {how}"] = run(DistributedDataParallel(build(MODELS["mlp"]).double()), batch, how, averaged)
    # A refusal of one rank is one of all.
    uneven = DistributedDataParallel(build(MODELS["mlp"]).double())
    summed = (lambda z, y: F.cross_entropy(z, y, reduction="sum")) if rank == 0 else F.cross_entropy
    try:
        lyapunov.hessian(uneven, summed, batch, micro_batch=2).lambda_max()
    except lyapunov.Unsuitable as error:
        found["refused"] = str(error)
    return found


def sharded(rank, size):
    """What is measured of a model that fully_shard has cut, and what is refused."""
    batch = shares(rank, size)
    mesh = init_device_mesh("cpu", (size,))

    def cut(name, **policy):
        model = build(MODELS[name]).double()
        for layer in model:
            if any(True for _ in layer.parameters()):
                fully_shard(layer, mesh=mesh, **policy)
        return fully_shard(model, mesh=mesh, **policy)

    found = {}
    for name in MODELS:
        model = cut(name)
        before = [p.to_local().clone() for p in model.parameters()]
        h = lyapunov.hessian(model, F.cross_entropy, batch)
        top = h.lambda_max(1e-3)
        found[name] = {"shape": h.shape[0], "auto": top.value, "kind": top.kind, "residual": top.residual}
        if name == "mlp":
            smooth = lyapunov.hessian(model, F.cross_entropy, batch, kind="difference")
            found[name] |= {
                "lambda_max": smooth.lambda_max(1e-4).value,
                "lambda_min": smooth.lambda_min(1e-2).value,
                "trace": (found_trace := smooth.trace(24)).value,
                "trace_error": found_trace.std_error,
                "several": lyapunov.hessian(model, F.cross_entropy, batches=[batch, batch], kind="difference")
                .lambda_max(1e-4)
                .value,
                "sharpness": smooth.batch_sharpness().value,
                "layers": {layer: reading.value for layer, reading in smooth.layers(1e-2).items()},
            }
        found[name]["same"] = all(
            torch.equal(a, p.to_local()) and p.grad is None for a, p in zip(before, model.parameters())
        )
    # A run, with a monitor and without.
    for how in ("", "plain"):
        found[f"run {how}"] = sharded_run(cut("mlp"), batch, how)
    refused = {
        "exact": lambda: lyapunov.hessian(cut("mlp"), F.cross_entropy, batch, kind="exact").lambda_max(),
        "kinks": lambda: lyapunov.hessian(cut("cnn"), F.cross_entropy, batch).lambda_min(),
        "micro_batch": lambda: lyapunov.hessian(cut("mlp"), F.cross_entropy, batch, micro_batch=2),
        "product": lambda: lyapunov.hessian(model, F.cross_entropy, batch) @ torch.zeros(3),
        "rule": lambda: lyapunov.EdgeStep(model, F.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1)),
        "exponents": lambda: lyapunov.exponents(
            model, F.cross_entropy, [batch], torch.optim.SGD(model.parameters(), lr=0.1)
        ),
        "bfloat16": lambda: lyapunov.hessian(
            cut("mlp", mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16)), F.cross_entropy, batch
        ),
    }
    found["refused"] = {}
    for what, ask in refused.items():
        try:
            ask()
        except lyapunov.Unsuitable as error:
            found["refused"][what] = str(error)
    return found


def trace(model, batch):
    return dense(model, batch).trace().item()


def sharded_run(model, batch, monitored):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    monitor = (
        lyapunov.Monitor(model, F.cross_entropy, optimizer, every=2, products=6, kind="difference")
        if monitored
        else None
    )
    sharp = []
    for step in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        if monitor:
            row = monitor.step(batch)
            if row is not None:
                sharp.append(row["preconditioned_sharpness"].value)
            if step == 2:
                saved = monitor.state_dict()
                monitor = lyapunov.Monitor(model, F.cross_entropy, optimizer, every=2, products=6, kind="difference")
                monitor.load_state_dict(saved)
        optimizer.step()
    return {"weights": [x for p in model.parameters() for x in p.full_tensor().reshape(-1).tolist()], "readings": sharp}


def lost(rank, size, how):
    """The last rank goes while it measures; the others must not wait for ever."""
    # Ranks may start apart, and only then be in step.
    group, calls = dist.new_group(timeout=datetime.timedelta(seconds=8)), 0

    def loss_fn(z, y):
        nonlocal calls
        calls += 1
        if rank == size - 1 and calls == 2:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        return F.cross_entropy(z, y)

    model = DistributedDataParallel(build(MODELS["mlp"]).double(), process_group=group)
    h = lyapunov.hessian(model, loss_fn, shares(rank, size))
    begun = time.monotonic()
    try:
        h.lambda_max(1e-9)
    except lyapunov.RankLost as error:
        return {"message": str(error), "seconds": time.monotonic() - begun, "cause": type(error.__cause__).__name__}


def main():
    scene, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    torch.set_num_threads(1)
    scenes = {"alike": alike, "sharded": sharded}
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=120))
    rank, size = dist.get_rank(), dist.get_world_size()
    found = scenes[scene](rank, size) if scene in scenes else lost(rank, size, scene)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    if scene in scenes:
        # No rank goes while another still needs it.
        dist.barrier()
    # Threads of gloo outlive a model in DistributedDataParallel, and one that still holds a tensor while Python ends
    # aborts the process (pytorch/pytorch#190489).
    os._exit(0)


if __name__ == "__main__":
    main()
