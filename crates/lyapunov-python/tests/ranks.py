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
from models import build, cnn, data, mlp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
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
        "lambda_max": [h.lambda_max(1e-6).value],
        "lambda_min": [h.lambda_min(1e-6, max_products=300).value],
        "top": [r.value for r in h.top(3, 1e-6)],
        "trace": [h.trace(30).value],
        "sharpness": [h.batch_sharpness().value],
        "product": (h @ v).tolist(),
        "micro": [lyapunov.hessian(model, F.cross_entropy, batch, micro_batch=3).lambda_max(1e-6).value],
        "gauss-newton": [lyapunov.hessian(model, F.cross_entropy, batch, kind="gauss-newton").lambda_max(1e-6).value],
        "several": [lyapunov.hessian(model, F.cross_entropy, batches=[batch, batch]).lambda_max(1e-6).value],
    }
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found["exponents"] = lyapunov.exponents(model, F.cross_entropy, [batch], sgd, 2, steps=12).values
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
    sharded = fully_shard(build(MODELS["mlp"]).double(), mesh=init_device_mesh("cpu", (size,)))
    try:
        lyapunov.hessian(sharded, F.cross_entropy, batch)
    except lyapunov.Unsuitable as error:
        found["sharded"] = str(error)
    return found


def lost(rank, size, how):
    """The last rank goes while it measures; the others must not wait for ever."""
    calls = 0

    def loss_fn(z, y):
        nonlocal calls
        calls += 1
        if rank == size - 1 and calls == 2:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        return F.cross_entropy(z, y)

    h = lyapunov.hessian(DistributedDataParallel(build(MODELS["mlp"]).double()), loss_fn, shares(rank, size))
    begun = time.monotonic()
    try:
        h.lambda_max(1e-9)
    except lyapunov.RankLost as error:
        return {"message": str(error), "seconds": time.monotonic() - begun, "cause": type(error.__cause__).__name__}


def main():
    scene, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60 if scene == "alike" else 8))
    rank, size = dist.get_rank(), dist.get_world_size()
    found = alike(rank, size) if scene == "alike" else lost(rank, size, scene)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    if scene == "alike":
        dist.barrier()
        dist.destroy_process_group()
    else:
        os._exit(0)


if __name__ == "__main__":
    main()
