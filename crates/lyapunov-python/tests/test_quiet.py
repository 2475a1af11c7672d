"""Nothing is disturbed: not by a measurement, not by one that fails."""

import models
import pytest
import torch
import torch.nn.functional as F
from models import MODELS, Encoder, Recurrent, build, cnn, data, mlp, resnet

import lyapunov


def state(model):
    bits = lambda t: None if t is None else t.detach().clone()
    return (
        torch.get_rng_state(),
        [bits(p) for p in model.parameters()],
        [bits(p.grad) for p in model.parameters()],
        [bits(b) for b in model.buffers()],
        [id(t) for t in (*model.parameters(), *model.buffers())],
        [m.training for m in model.modules()],
        [p.requires_grad for p in model.parameters()],
        [dict(m._backward_hooks) for m in model.modules()],
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.backends.mha.get_fastpath_enabled(),
    )


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("failure", [None, RuntimeError, KeyboardInterrupt])
def test_everything_is_restored(name, failure):
    model, batch = build(MODELS[name]), data()
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    calls = 0

    def loss_fn(z, y):
        nonlocal calls
        calls += 1
        model.train(calls % 2 == 0)
        if failure and calls == 4:
            raise failure("mine")
        model.train()
        return F.cross_entropy(z, y)

    before = state(model)
    h = lyapunov.hessian(model, loss_fn, batch, micro_batch=None)
    if failure:
        with pytest.raises(failure, match="mine"):
            h.lambda_max()
            lyapunov.verify(model, loss_fn, batch)
    else:
        h.lambda_max()
        lyapunov.verify(model, loss_fn, batch)
    assert same(before, state(model))


def test_an_exception_inside_a_product_comes_out_unchanged():
    class Mine(Exception):
        pass

    from lyapunov import _core

    calls = []

    def product(v):
        calls.append(v)
        if len(calls) == 3:
            raise Mine("here")
        return v * torch.arange(1.0, 51.0)

    with pytest.raises(Mine, match="here"):
        _core.lanczos(product, torch.ones(50), tolerance=1e-12)
    with pytest.raises(RuntimeError, match="size"):
        _core.lanczos(lambda v: v[:3], torch.ones(50))
    with pytest.raises(ValueError, match="tolerance"):
        _core.lanczos(product, torch.ones(50), tolerance=-1.0)


SGD = lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)
ADAMW = lambda p: torch.optim.AdamW(p, lr=1e-3)
RUNS = {
    "mlp, dropout, SGD": (lambda: mlp(dropout=0.2), SGD),
    "mlp, dropout, AdamW": (lambda: mlp(dropout=0.2), ADAMW),
    "cnn": (cnn, SGD),
    "encoder, dropout": (lambda: Encoder(0.1), ADAMW),
    "batch norm": (resnet, SGD),
    "lstm": (Recurrent, SGD),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("fails", [False, True])
def test_a_run_is_the_same_to_the_bit_with_a_monitor(name, fails):
    make, optimizer = RUNS[name]
    x, y = data(64)

    def run(measured):
        model = build(make)
        chosen = optimizer(model.parameters())
        broken = {"now": False}

        def loss_fn(z, t):
            if broken["now"]:
                raise KeyError("a loss that fails")
            return F.cross_entropy(z, t)

        monitor = lyapunov.Monitor(model, loss_fn, chosen, every=3) if measured else None
        losses, rows = [], []
        for t in range(10):
            i = torch.randint(0, 64, (16,))
            chosen.zero_grad()
            loss = F.cross_entropy(model(x[i]), y[i])
            loss.backward()
            if monitor:
                broken["now"] = fails and t == 3
                try:
                    rows.append(monitor.step((x[i], y[i])))
                except KeyError:
                    assert broken["now"]
            chosen.step()
            losses.append(loss.item())
        return losses, [t.clone() for t in (*model.parameters(), *model.buffers())], rows

    plain, watched = run(False), run(True)
    assert plain[0] == watched[0] and same(plain[1], watched[1])
    assert sum(row is not None for row in watched[2]) == (3 if fails else 4)
