"""What the border between Rust and torch costs: microseconds a verb, and a Lanczos beside its products.

    pip install crates/lyapunov-python
    python bench/torch_border.py [--products 10] [--rounds 7]

A verb is one operation of the core on a vector: a scalar product, a sum, a scaling, a copy. Verbs are counted on a
tensor that notes what is called on it, and timed on plain ones of 500 numbers, where nothing but the calls costs: the
whole time of a Lanczos of 30 products less that of the products. The same calls from Python stand beside it. Then the
multilayer perceptron 3072-200-200-10 (656,810 weights) with 128 images: seconds of the processor that a search takes
beside its products, in gradients per product. One thread; the least of a few rounds.
"""

import argparse
import collections
import time

import torch
import torch.nn.functional as F
from torch import nn

from lyapunov import _core

torch.set_num_threads(1)


class Counted(torch.Tensor):
    """A tensor that notes the methods which are called on it."""

    calls: collections.Counter = collections.Counter()

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name not in ("__get__", "numel", "item", "tolist"):
            cls.calls[name] += 1
        return super().__torch_function__(func, types, args, kwargs or {})


def least(rounds, measure):
    return min(measure() for _ in range(rounds))


def search(operator, start, products):
    """Seconds of a search of so many products, and of these alone."""
    inside = 0.0

    def product(v):
        nonlocal inside
        begun = time.process_time()
        image = operator(v)
        inside += time.process_time() - begun
        return image

    begun = time.process_time()
    found = _core.lanczos(product, start, largest=1, tolerance=1e-12, max_products=products)
    return time.process_time() - begun, inside, found.products


def verbs(rounds):
    n, products = 500, 30
    entries = torch.linspace(0.0, 1.0, n).pow(3)
    start = torch.randn(n, generator=torch.Generator().manual_seed(0))
    Counted.calls.clear()
    search(lambda v: (entries * v.as_subclass(torch.Tensor)).as_subclass(Counted), start.as_subclass(Counted), products)
    count = Counted.calls.total()

    def border():
        whole, inside, _ = search(lambda v: entries * v, start, products)
        return (whole - inside) / count

    def plain():
        x, y = start.clone(), start.clone()
        begun = time.process_time()
        for _ in range(1000):
            x.dot(y).item()
            x.add_(y, alpha=1e-9)
        return (time.process_time() - begun) / 2000

    print(
        f"{count} verbs in a search of {products} products: " + ", ".join(f"{k} {v}" for k, v in Counted.calls.items())
    )
    print(
        f"{1e6 * least(rounds, border):.2f} µs a verb; {1e6 * least(rounds, plain):.2f} µs for dot and add_ from Python"
    )


def beside_products(products, rounds):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(3072, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)
    )
    x, y = torch.randn(128, 3, 32, 32), torch.randint(0, 10, (128,))
    params = list(model.parameters())

    def gradient():
        begun = time.process_time()
        torch.autograd.grad(F.cross_entropy(model(x), y), params)
        return time.process_time() - begun

    recorded = torch.autograd.grad(F.cross_entropy(model(x), y), params, create_graph=True)
    flat = torch.cat([g.reshape(-1) for g in recorded])

    def product(v):
        image = torch.autograd.grad(flat, params, v, retain_graph=True)
        return torch.cat([h.reshape(-1) for h in image])

    def beside():
        whole, inside, made = search(product, flat.detach(), products)
        return (whole - inside) / made

    unit, over = least(rounds, gradient), least(rounds, beside)
    print(
        f"{over / unit:.3f} gradients per product beside a Lanczos of {products} products on {flat.numel():,} weights"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    verbs(arguments.rounds)
    beside_products(arguments.products, arguments.rounds)
