"""Exponents of the optimizers of torch: against dense Jacobians and torch's own steps, and with nothing disturbed."""

import math

import models
import pytest
import torch
import torch.nn.functional as F
from models import build, mlp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lyapunov
from lyapunov._descent import mirror

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.3),
    "sgd, decay": lambda p: torch.optim.SGD(p, lr=0.3, weight_decay=0.02),
    "heavy ball": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


def small():
    """30 weights in double precision."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1, bias=False)).double()


def batches(count=7, size=6):
    g = torch.Generator().manual_seed(2)
    return [
        (torch.randn(size, 4, generator=g, dtype=torch.float64), torch.randn(size, 1, generator=g, dtype=torch.float64))
        for _ in range(count)
    ]


def trained(make, loss=F.mse_loss, steps=3, model=None, data=None):
    """A model whose optimizer has taken a few steps, so that it has something to remember."""
    model, data = model or small(), data or batches()
    optimizer = make(model.parameters())
    for x, y in data[:steps]:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    return model, optimizer


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def remembered(optimizer, params):
    """Weights and memory of the optimizer, flat."""
    names = [
        name for name in ("momentum_buffer", "exp_avg", "exp_avg_sq") if name in optimizer.state.get(params[0], {})
    ]
    return [flat(params), *(flat(optimizer.state[p][name] for p in params) for name in names)]


def dense_step(model, optimizer, count):
    """One step of torch's documented update as a function of the whole state, flat."""
    group = optimizer.param_groups[0]
    rate, decay = group["lr"], group["weight_decay"]
    shapes = [p.shape for p in model.parameters()]
    sizes = [p.numel() for p in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    n = sum(sizes)

    def loss(w, batch):
        parts = {name: part.view(shape) for name, part, shape in zip(names, torch.split(w, sizes), shapes)}
        return F.mse_loss(torch.func.functional_call(model, parts, (batch[0],)), batch[1])

    def step(state, batch, t):
        w = state[:n]
        (g,) = torch.autograd.grad(loss(w, batch), w, create_graph=True)
        if isinstance(optimizer, torch.optim.AdamW):
            w = w * (1 - rate * decay)
        else:
            g = g + decay * w
        if isinstance(optimizer, torch.optim.SGD):
            beta = group["momentum"]
            if not beta:
                return w - rate * g
            v = beta * state[n:] + g
            return torch.cat([w - rate * (g + beta * v if group["nesterov"] else v), v])
        b1, b2 = group["betas"]
        m, v = b1 * state[n : 2 * n] + (1 - b1) * g, b2 * state[2 * n :] + (1 - b2) * g**2
        return torch.cat([w - rate * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + group["eps"]), m, v])

    return step, count


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_exponents_are_those_of_the_dense_jacobian(name):
    model, optimizer = trained(OPTIMIZERS[name])
    params, data, steps = list(model.parameters()), batches(), 200
    taken = 3 if "adam" in name else 0
    step, _ = dense_step(model, optimizer, taken)
    state = torch.cat(remembered(optimizer, params))
    with mirror(model, F.mse_loss, data, optimizer, 4) as run:
        assert len(state) == {1: 30, 2: 60, 3: 90}[len(run.descent.state())]
        q = torch.stack([torch.cat(parts) for parts in run.descent.deviations()], 1)
        assert torch.allclose(q.T @ q, torch.eye(4, dtype=torch.float64), atol=1e-13)
        growth = torch.zeros(4, dtype=torch.float64)
        for t in range(steps):
            batch = data[t % len(data)]
            s = state.requires_grad_(True)
            image = step(s, batch, taken + t + 1)
            q = torch.autograd.grad(image, s, torch.eye(len(s), dtype=s.dtype), is_grads_batched=True)[0] @ q
            state = image.detach()
            q, r = torch.linalg.qr(q)
            growth += r.diagonal().abs().log()
        run.descent.advance(steps, 1)
        found = run.descent.exponents()
        assert torch.cat(run.descent.state()).sub(state).norm() < 1e-10 * state.norm()
    assert found.steps == steps
    for value, exact in zip(found.values, (growth / steps).tolist()):
        assert abs(value - exact) <= 1e-10, (found.values, growth / steps)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_mirror_takes_the_steps_of_torch(name):
    model, optimizer = trained(OPTIMIZERS[name])
    params, data = list(model.parameters()), batches()
    with mirror(model, F.mse_loss, data, optimizer, 2) as run:
        run.descent.advance(25, 5)
        mirrored = [t.clone() for t in run.descent.state()]
    for t in range(25):
        x, y = data[t % len(data)]
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
    for own, theirs in zip(mirrored, remembered(optimizer, params)):
        assert torch.allclose(own, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_taylor(name):
    model, optimizer = trained(OPTIMIZERS[name], steps=7)
    if "adam" in name:
        # Moments of about the size of the directions that the test takes.
        for state in optimizer.state.values():
            state["exp_avg_sq"].fill_(2.0)
    with mirror(model, F.mse_loss, batches(), optimizer, 0) as run:
        assert run.descent.tangent_error(3) is None


def test_groups_have_their_own_rates_decays_and_momenta():
    def make(kind):
        model = small()
        first, second = list(model.parameters())[:3], list(model.parameters())[3:]
        if kind is torch.optim.SGD:
            # Out of order, one without momentum.
            groups = [
                {"params": second, "lr": 0.02, "momentum": 0.9},
                {"params": first, "lr": 0.1, "momentum": 0.0, "weight_decay": 0.05},
            ]
        else:
            groups = [
                {"params": second, "lr": 2e-3, "weight_decay": 0.0},
                {"params": first, "lr": 1e-2, "betas": (0.8, 0.95), "weight_decay": 0.3},
            ]
        return trained(lambda _: kind(groups, lr=0.01), model=model)

    for kind in (torch.optim.SGD, torch.optim.AdamW):
        model, optimizer = make(kind)
        params = [p for group in optimizer.param_groups for p in group["params"]]
        with mirror(model, F.mse_loss, batches(), optimizer, 3) as run:
            assert run.descent.tangent_error(1) is None or kind is torch.optim.AdamW
            run.descent.advance(20, 1)
            weights = run.descent.state()[0].clone()
            assert all(math.isfinite(value) for value in run.descent.exponents().values)
        for t in range(20):
            x, y = batches()[t % 7]
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
        assert torch.allclose(weights, flat(params), rtol=1e-11, atol=1e-13)
        with pytest.raises(ValueError, match="learning rates of their own"):
            lyapunov.exponents(model, F.mse_loss, batches(), optimizer, 1, steps=3).per_time()


def test_descent_on_a_quadratic_has_the_exponents_in_closed_form():
    class Quadratic(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3, dtype=torch.float64))

        def forward(self, h):
            return 0.5 * (h * self.w**2).sum(1)

    h = torch.tensor([[3.0, 1.0, -0.5]], dtype=torch.float64)
    model = Quadratic()
    found = lyapunov.exponents(
        model, lambda z, _: z.mean(), [h], torch.optim.SGD(model.parameters(), lr=0.1), 3, steps=300, warm_up=300
    )
    assert found.values == pytest.approx([math.log(1.05), math.log(0.9), math.log(0.7)], abs=1e-9)
    assert (
        found.per_time().values[0] == pytest.approx(math.log(1.05) / 0.1, abs=1e-8) and found.per_time().unit == "time"
    )
    assert found.settled and found.steps == 300 and found.cost > 0 and found.products >= 1800 and found.kind == "exact"
    assert found.kaplan_yorke.value == pytest.approx(1 + math.log(1.05) / -math.log(0.9), abs=1e-6)
    model.w.data.fill_(1.0)
    away = lyapunov.exponents(
        model, lambda z, _: z.mean(), [1e3 * h], torch.optim.SGD(model.parameters(), lr=0.1), 1, steps=500, warm_up=0
    )
    assert away.diverged is not None and away.values[0] > 4


@pytest.mark.parametrize("failure", [None, RuntimeError, KeyboardInterrupt])
def test_nothing_is_disturbed(failure):
    model = build(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 4)
        )
    )
    x, y = models.data(64)
    generator = torch.Generator().manual_seed(5)
    loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True, generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    calls = 0

    def loss_fn(z, t):
        nonlocal calls
        calls += 1
        if failure and calls == 20:
            raise failure("mine")
        return F.cross_entropy(z, t)

    def state():
        bits = [
            t.detach().clone()
            for t in (*model.parameters(), *model.buffers(), torch.get_rng_state(), generator.get_state())
        ]
        grads = [p.grad.clone() for p in model.parameters()]
        memory = [v.clone() for s in optimizer.state.values() for v in s.values()]
        return bits + grads + memory

    before = state()
    if failure:
        with pytest.raises(failure, match="mine"):
            lyapunov.exponents(model, loss_fn, loader, optimizer, steps=40)
    else:
        found = lyapunov.exponents(model, loss_fn, loader, optimizer, steps=20)
        assert len(found.values) == 2
    assert all(torch.equal(a, b) for a, b in zip(before, state()))
    assert model.training


def test_the_mirror_sees_the_dropout_masks_and_the_order_of_the_run_itself():
    make = lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 4)
    )
    x, y = models.data(64)
    model = build(make).double()
    loader = DataLoader(TensorDataset(x.double(), y), batch_size=16, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    torch.manual_seed(8)
    with mirror(model, F.cross_entropy, loader, optimizer, 2) as run:
        run.descent.advance(12, 1)
        mirrored = run.descent.state()[0].clone()
    torch.manual_seed(8)
    for _ in range(3):
        for a, b in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(a), b).backward()
            optimizer.step()
    assert torch.allclose(mirrored, flat(model.parameters()), rtol=1e-12, atol=1e-14)


def test_differences_and_micro_batches_give_the_same_exponents():
    model, optimizer = trained(OPTIMIZERS["heavy ball"])
    found = [
        lyapunov.exponents(model, F.mse_loss, batches(), optimizer, 2, steps=40, **k)
        for k in ({}, {"kind": "difference"}, {"micro_batch": 4}, {"every": 4})
    ]
    assert [f.kind for f in found] == ["exact", "difference", "exact", "exact"]
    for other, tolerance in zip(found[1:], (1e-6, 1e-11, 1e-11)):
        assert other.values == pytest.approx(found[0].values, abs=tolerance)


def test_single_precision_is_good_to_five_digits():
    model, optimizer = trained(OPTIMIZERS["sgd"])
    exact = lyapunov.exponents(model, F.mse_loss, batches(), optimizer, 2, steps=100)
    model, optimizer = trained(OPTIMIZERS["sgd"])
    model.float()
    rounded = lyapunov.exponents(
        model, F.mse_loss, [(x.float(), y.float()) for x, y in batches()], optimizer, 2, steps=100
    )
    # The initial deviations are drawn in the storage's own numbers.
    assert rounded.values[0] == pytest.approx(exact.values[0], abs=0.02)
    assert rounded.steps == 100


def test_what_cannot_be_mirrored_is_refused_by_name():
    model = small()
    p = list(model.parameters())
    good = torch.optim.SGD(p, lr=0.1)

    def refuses(error, words, optimizer=good, loader=None, **k):
        with pytest.raises(error, match=words):
            lyapunov.exponents(
                model, F.mse_loss, batches() if loader is None else loader, optimizer, **{"steps": 5, **k}
            )

    refuses(TypeError, "known are", torch.optim.RMSprop(p))
    refuses(ValueError, "amsgrad", torch.optim.Adam(p, amsgrad=True))
    refuses(ValueError, "dampening", torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1))
    refuses(TypeError, "list of batches", loader=iter(batches()))
    refuses(ValueError, "no batches", loader=[])
    refuses(ValueError, "count = 0", count=0)
    refuses(ValueError, "count = 31", count=31)
    refuses(ValueError, "steps = 0", steps=0)
    refuses(ValueError, "gauss-newton", kind="gauss-newton")
    refuses(ValueError, "not finite", loader=[(x * math.inf, y) for x, y in batches()])
    aside = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    refuses(ValueError, "not a parameter of the model", torch.optim.SGD([*p, aside], lr=0.1))
    model.unused = nn.Linear(2, 2).double()
    with pytest.raises(lyapunov.Unsuitable, match="unused.weight gets no gradient"):
        lyapunov.exponents(
            model,
            F.mse_loss,
            batches(),
            torch.optim.SGD(model.parameters(), lr=0.1),
            steps=5,
            forward=lambda m, b: m[:5](b[0]),
        )
    stepped = torch.optim.Adam(p, lr=1e-3)
    F.mse_loss(model[:5](batches()[0][0]), batches()[0][1]).backward()
    stepped.step()
    stepped.state[p[0]]["step"] += 1
    refuses(lyapunov.Unsuitable, "different numbers of steps", stepped, forward=lambda m, b: m[:5](b[0]))
    relu = build(mlp)
    with pytest.raises(lyapunov.Unsuitable, match="Relu"):
        lyapunov.exponents(
            relu,
            F.cross_entropy,
            [models.data()],
            torch.optim.SGD(relu.parameters(), lr=0.1),
            steps=5,
            kind="difference",
        )
