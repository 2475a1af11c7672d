"""Weights along PyTorch's own optimizers and their authors' implementations of DoG, Prodigy and Schedule-Free, for the
test `every_optimizer_steps_as_pytorch_does`.

    pip install torch dog-optimizer prodigyopt schedulefree
    python bench/optimizers_torch.py > crates/lyapunov/tests/fixtures/optimizers.csv

The loss is ½(ab − 2)² from (a, b) = (0.7, 1.9) in double precision, η = 0.05, 25 steps; one line per step: the name,
the step, a and b after it.
"""

import torch
from dog import DoG
from prodigyopt import Prodigy
from schedulefree import SGDScheduleFree

RATE = 0.05
OPTIMIZERS = {
    "sgd": lambda w: torch.optim.SGD([w], lr=RATE),
    "sgd-decay": lambda w: torch.optim.SGD([w], lr=RATE, weight_decay=0.1),
    "heavy-ball": lambda w: torch.optim.SGD([w], lr=RATE, momentum=0.9),
    "heavy-ball-decay": lambda w: torch.optim.SGD([w], lr=RATE, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda w: torch.optim.SGD([w], lr=RATE, momentum=0.9, nesterov=True),
    "nesterov-decay": lambda w: torch.optim.SGD([w], lr=RATE, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda w: torch.optim.Adam([w], lr=RATE),
    "adam-betas": lambda w: torch.optim.Adam([w], lr=RATE, betas=(0.8, 0.9), eps=1e-3),
    "adam-decay": lambda w: torch.optim.Adam([w], lr=RATE, weight_decay=0.1),
    "adamw-decay": lambda w: torch.optim.AdamW([w], lr=RATE, weight_decay=0.1),
    "dog": lambda w: DoG([w], lr=1.0, reps_rel=1e-2),
    "prodigy": lambda w: Prodigy([w], lr=1.0, d0=1e-2, eps=1e-14),
    "schedule-free": lambda w: SGDScheduleFree([w], lr=RATE, momentum=0.9),
}


def main():
    print(f"# PyTorch {torch.__version__.split('+')[0]}")
    for name, make in OPTIMIZERS.items():
        weights = torch.tensor([0.7, 1.9], dtype=torch.float64, requires_grad=True)
        optimizer = make(weights)
        if hasattr(optimizer, "train"):
            optimizer.train()
        for step in range(1, 26):
            optimizer.zero_grad()
            (0.5 * (weights[0] * weights[1] - 2.0) ** 2).backward()
            optimizer.step()
            a, b = weights.tolist()
            print(f"{name},{step},{a!r},{b!r}")


if __name__ == "__main__":
    main()
