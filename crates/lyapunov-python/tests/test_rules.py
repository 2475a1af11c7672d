"""Rules for the learning rate: the rates and exponents of the Rust library on the same network, batches and start; what
is refused; resuming.
"""

import copy
import math
import pathlib

import pytest
import torch
import torch.nn.functional as F
from models import build, data, mlp
from torch import nn

import lyapunov
from lyapunov._descent import mirror

FIXTURE = pathlib.Path(__file__).parents[2] / "lyapunov/tests/library/fixtures/tanh_network.txt"
KNOWN = {
    name: [float(x) for x in numbers.split()]
    for name, numbers in (line.split(": ") for line in FIXTURE.read_text().splitlines())
}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=1.0),
    "heavy-ball": lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1.0, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1.0, weight_decay=0.05),
}
RULES = {
    "edge-step": lambda *a: lyapunov.EdgeStep(*a),
    "on-edge": lambda *a: lyapunov.OnEdge(*a, strength=1.0, every=2),
    "quasi-newton": lambda *a: lyapunov.QuasiNewton(*a, strength=0.5, every=3),
    "batch-sharpness": lambda *a: lyapunov.BatchSharpness(*a, strength=0.4, every=3),
    "adgd": lambda *a: lyapunov.Adgd(*a),
}


def network(dtype=torch.float64):
    """The network of tests/library/python.rs, with its weights."""
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).to(dtype)
    flat = torch.tensor([0.6 * math.sin(2 * i + 1) for i in range(19)], dtype=torch.float64).to(dtype)
    for p, part in zip(model.parameters(), torch.split(flat, [p.numel() for p in model.parameters()])):
        p.data.copy_(part.view_as(p))
    return model


def batches(dtype=torch.float64):
    def example(phase):
        return [math.sin(1.3 * phase + 0.7 * (j + 1) * (j + 1)) for j in range(4)], [math.cos(0.9 * phase)]

    made = [zip(*(example(b * 6 + i) for i in range(6))) for b in range(5)]
    return [tuple(torch.tensor(part, dtype=torch.float64).to(dtype) for part in pair) for pair in made]


def rates(make, optimizer, steps=101, dtype=torch.float64, stop=None):
    model = network(dtype)
    chosen = optimizer(model.parameters())
    rule, found = make(model, F.mse_loss, chosen), []
    for t in range(steps):
        if t == stop:
            saved = copy.deepcopy(rule.state_dict())
            rule = make(model, F.mse_loss, chosen)
            rule.load_state_dict(saved)
        x, y = batches(dtype)[t % 5]
        chosen.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        found.append(rule.step((x, y), loss))
        chosen.step()
    return found


CASES = [name.split() for name in KNOWN if not name.startswith("exponents")]


@pytest.mark.parametrize("rule, optimizer", CASES)
def test_the_rates_are_those_of_the_rust_library(rule, optimizer):
    found = rates(RULES[rule], OPTIMIZERS[optimizer])[::4]
    assert len(found) == len(KNOWN[f"{rule} {optimizer}"]) == 26
    for own, theirs in zip(found, KNOWN[f"{rule} {optimizer}"]):
        assert abs(own - theirs) <= 1e-6 * abs(theirs), (found, KNOWN[f"{rule} {optimizer}"])


def test_every_rule_is_among_them():
    assert {rule for rule, _ in CASES} == set(RULES)


MEASURED = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.8, weight_decay=0.02),
    "heavy-ball": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.03),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=0.5),
}


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-8), (torch.float32, 1e-4)])
def test_exponents_are_those_of_the_rust_library(name, dtype, tolerance):
    model = network(dtype)
    with mirror(model, F.mse_loss, batches(dtype), MEASURED[name](model.parameters()), 3) as run:
        # The core's own tensors: the first three unit vectors of the weights, and nothing of the memory.
        for i, parts in enumerate(run.descent.deviations()):
            for part in parts:
                part.zero_()
            parts[0][i] = 1.0
        run.descent.advance(200, 1)
        assert run.descent.exponents().values == pytest.approx(KNOWN[f"exponents {name}"], abs=tolerance)


@pytest.mark.parametrize("rule", RULES)
def test_a_saved_rule_goes_on_as_if_it_had_not_stopped(rule):
    assert rates(RULES[rule], OPTIMIZERS["sgd"], 30) == rates(RULES[rule], OPTIMIZERS["sgd"], 30, stop=14)


def test_bounds_and_a_schedule():
    make = lambda *a: lyapunov.EdgeStep(*a, bounds=(0.0, 0.05), schedule=(20, 0.0, 0.3))
    found = rates(make, OPTIMIZERS["sgd"], 20)
    assert max(found) == 0.05 and found[-1] == pytest.approx(0.05 / 7) and found[-6] == pytest.approx(0.05 * 6 / 7)


def test_costs_are_counted():
    model, batch = build(mlp), data()
    rule = lyapunov.QuasiNewton(model, F.cross_entropy, torch.optim.SGD(model.parameters(), lr=1.0), every=2)
    for _ in range(3):
        rule.step(batch, 1.0)
    assert rule.products == 15 and rule.cost > 0


def test_what_the_core_refuses_is_refused():
    model, batch = build(mlp), data()
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)

    def refuses(error, words, rule, optimizer=sgd, **k):
        with pytest.raises(error, match=words):
            rule(model, F.cross_entropy, optimizer, **k)

    for rule in (lyapunov.BatchSharpness, lyapunov.Adgd):
        for other in (torch.optim.Adam(model.parameters()), torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)):
            refuses(ValueError, "without momentum only", rule, other)
    refuses(ValueError, "sigma = 0", lyapunov.EdgeStep, strength=0.0)
    refuses(ValueError, "every = 0", lyapunov.OnEdge, every=0)
    refuses(ValueError, "bounds", lyapunov.OnEdge, bounds=(2.0, 1.0))
    refuses(ValueError, "cooldown", lyapunov.OnEdge, schedule=(10, 0.8, 0.8))
    refuses(ValueError, "products = 0", lyapunov.QuasiNewton, products=0)
    refuses(TypeError, "known are", lyapunov.EdgeStep, torch.optim.RMSprop(model.parameters()))
    refuses(ValueError, "amsgrad", lyapunov.EdgeStep, torch.optim.Adam(model.parameters(), amsgrad=True))
    two = [{"params": model[1].parameters(), "momentum": 0.5}, {"params": model[4].parameters()}]
    refuses(ValueError, "differ in momentum", lyapunov.EdgeStep, torch.optim.SGD(two, lr=0.1))
    with pytest.raises(RuntimeError, match="lambda_max, which was not measured"):
        lyapunov.QuasiNewton(model, F.cross_entropy, sgd).step((batch[0] * math.inf, batch[1]), math.nan)
    rule = lyapunov.Adgd(model, F.cross_entropy, sgd)
    with pytest.raises(ValueError, match="saved weights"):
        rule.load_state_dict({"step": 1, "rule": {}, "before": torch.zeros(3)})
