"""Larger models against double backward and ARPACK in double precision: ResNet-18 with batch norm in train mode, GPT-2
of two layers.
"""

import copy
import importlib.util

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import build
from torch import nn

import lyapunov

if importlib.util.find_spec("scipy") is None:
    pytest.skip("scipy is not installed", allow_module_level=True)

from scipy.sparse.linalg import LinearOperator, eigsh  # noqa: E402


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.a, self.na = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.b, self.nb = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.short = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x):
        return F.relu(self.short(x) + self.nb(self.b(F.relu(self.na(self.a(x))))))


def resnet18(width=4):
    """The 18 layers of ResNet-18 for small images, with few channels."""
    sizes = [(1, 1, 1), (1, 1, 1), (1, 2, 2), (2, 2, 1), (2, 4, 2), (4, 4, 1), (4, 8, 2), (8, 8, 1)]
    blocks = [Block(a * width, b * width, s) for a, b, s in sizes]
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, 10),
    )


def products(model, loss, params):
    """The exact product of the recorded gradient of a loss."""
    gradients = torch.autograd.grad(loss, params, create_graph=True, allow_unused=True)
    moving = [(g, p) for g, p in zip(gradients, params) if g is not None]
    sizes = [p.numel() for p in params]

    def product(v):
        parts = [
            x.view_as(p)
            for x, p in zip(
                torch.split(torch.from_numpy(np.asarray(v, dtype=np.float64).reshape(-1).copy()), sizes), params
            )
        ]
        image = torch.autograd.grad(
            [g for g, _ in moving],
            params,
            [x for x, g in zip(parts, gradients) if g is not None],
            retain_graph=True,
            materialize_grads=True,
        )
        return torch.cat([h.reshape(-1) for h in image]).numpy()

    return LinearOperator((sum(sizes),) * 2, matvec=product, dtype=np.float64)


def agree(model, loss_of, batch, **k):
    twin = copy.deepcopy(model).double()
    params = [p for p in twin.parameters() if p.requires_grad]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        operator = products(twin, loss_of(twin), params)
    start = np.random.default_rng(0).standard_normal(operator.shape[0])
    top = eigsh(operator, k=3, which="LA", tol=1e-8, v0=start, return_eigenvectors=False)[::-1]
    bottom = eigsh(operator, k=1, which="SA", tol=1e-6, v0=start, return_eigenvectors=False)[0]
    h = lyapunov.hessian(model, k.pop("loss_fn"), batch, **k)
    found = h.top(3, 1e-3)
    assert all(abs(r.value - exact) < 1e-5 * top[0] and r.kind == "exact" for r, exact in zip(found, top)), (found, top)
    low = h.lambda_min(1e-3, max_products=400)
    assert abs(low.value - bottom) < 1e-5 * top[0], (low, bottom)


def test_resnet18_with_batch_norm_in_train_mode():
    model = build(resnet18)
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(32, 3, 16, 16, generator=g), torch.randint(0, 10, (32,), generator=g)
    agree(model, lambda m: F.cross_entropy(m(x.double()), y), (x, y), loss_fn=F.cross_entropy)


def test_gpt2_of_two_layers():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=48,
        n_positions=16,
        n_embd=24,
        n_layer=2,
        n_head=3,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
    )
    model = build(lambda: transformers.GPT2LMHeadModel(config))
    ids = torch.randint(0, 48, (8, 16), generator=torch.Generator().manual_seed(1))
    loss_of = lambda m: m(input_ids=ids, labels=ids).loss
    agree(model, loss_of, {"input_ids": ids, "labels": ids}, loss_fn=lambda out, _: out.loss)
