"""A convolutional network on images made up on the spot, with a monitor: three lines more than without.

Run: python examples/cifar_loop.py
"""

import torch
import torch.nn.functional as F
from torch import nn

import lyapunov


def images(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy pictures of ten random patterns, as large as CIFAR's."""
    labels = torch.randint(0, 10, (n,))
    return torch.randn(10, 3, 32, 32)[labels] + torch.randn(n, 3, 32, 32), labels


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = images(512)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    monitor = lyapunov.Monitor(model, F.cross_entropy, optimizer, every=10)
    for _ in range(61):
        i = torch.randint(0, len(x), (64,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[i]), y[i])
        loss.backward()
        row = monitor.step((x[i], y[i]))
        optimizer.step()
        if row is not None:
            print(
                f"step {row.step:3d}  loss {row.loss:.3f}  {row['lambda_max']}  {100 * row.shares['lambda_max']:.0f} % "
                "of the edge"
            )


if __name__ == "__main__":
    main()
