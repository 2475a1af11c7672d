"""Several processes train one model, each on its own examples; the readings are of the loss over all of them.

Run: torchrun --standalone --nproc-per-node 2 examples/ddp.py [--epochs 5]
"""

import argparse
import os

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

import lyapunov


def images(n: int) -> TensorDataset:
    """Noisy pictures of ten random patterns, the same on every rank."""
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (n,), generator=g)
    return TensorDataset(
        torch.randn(10, 3, 16, 16, generator=g)[labels] + torch.randn(n, 3, 16, 16, generator=g), labels
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    epochs = parser.parse_args().epochs
    cuda = torch.cuda.is_available()
    dist.init_process_group("nccl" if cuda else "gloo")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 10),
    ).to(device)
    parallel = DistributedDataParallel(model, device_ids=[device.index] if cuda else None)
    data = images(1024)
    sampler = DistributedSampler(data)
    loader = DataLoader(data, batch_size=64, sampler=sampler)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.02, momentum=0.9)

    def log(row: lyapunov.Row) -> None:
        print(
            f"step {row.step:3d}  loss {row.loss:.3f}  {row['lambda_max']}  {100 * row.shares['lambda_max']:.0f} % of "
            "the edge",
            flush=True,
        )

    # The wrapped model: its ranks are those of the measurement. Only rank 0 calls log.
    monitor = lyapunov.Monitor(parallel, F.cross_entropy, optimizer, every=10, log=log)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            optimizer.zero_grad()
            F.cross_entropy(parallel(x), y).backward()
            monitor.step((x, y))  # on every rank, at the same steps
            optimizer.step()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
