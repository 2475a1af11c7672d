"""Small models of every kind that people train, their data, and the dense Hessian in double precision."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(1)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.na = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.b, self.nb = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)

    def forward(self, x):
        return F.relu(x + self.nb(self.b(F.relu(self.na(self.a(x))))))


class Encoder(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.embed = nn.Linear(12, 4)
        layer = nn.TransformerEncoderLayer(4, 2, 4, dropout, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), nn.Linear(4, 4)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x.flatten(1).view(len(x), -1, 12))).mean(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(12, 3, batch_first=True), nn.Linear(3, 4)

    def forward(self, x):
        return self.head(self.lstm(x.flatten(1).view(len(x), -1, 12))[0][:, -1])


class Once(torch.autograd.Function):
    """x², whose backward pass cannot be differentiated again."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g


def mlp(activation=nn.ReLU, dropout=0.0):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(48, 8),
        activation(),
        nn.Dropout(dropout),
        nn.Linear(8, 8),
        activation(),
        nn.Linear(8, 4),
    )


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 4),
    )


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1), Residual(), Residual(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)
    )


MODELS = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "encoder": Encoder, "lstm": Recurrent}


def data(n=24, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 4, 4, generator=g), torch.randint(0, 4, (n,), generator=g)


def build(make, seed=0):
    torch.manual_seed(seed)
    return make().train()


def dense(model, batch, loss_fn=F.cross_entropy):
    """The Hessian in f64 by double backward through plain torch."""
    twin = copy.deepcopy(model).double()
    x, y = batch
    params = [p for p in twin.parameters() if p.requires_grad]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        loss = loss_fn(twin(x.double()), y)
        flat = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, params, create_graph=True)])
        rows = [
            torch.cat(
                [h.reshape(-1) for h in torch.autograd.grad(flat[i], params, retain_graph=True, materialize_grads=True)]
            )
            for i in range(len(flat))
        ]
    return torch.stack(rows)


def top(model, batch, **k):
    return torch.linalg.eigvalsh(dense(model, batch, **k))[-1].item()
