"""Monitor and EdgeStep in a loop."""

import copy

import models
import pytest
import torch
import torch.nn.functional as F
from models import build, data, mlp

import lyapunov

BATCH = data()


def train(model, optimizer, steps, before=lambda loss: None):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(BATCH[0]), BATCH[1])
        loss.backward()
        before(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_rows_speak_of_the_weights_before_the_step():
    model = build(mlp)
    optimizer, logged = torch.optim.SGD(model.parameters(), lr=0.1), []
    monitor = lyapunov.Monitor(
        model,
        F.cross_entropy,
        optimizer,
        every=10,
        what=["lambda_max", "lambda_min", "batch_sharpness"],
        log=logged.append,
        products=15,
    )
    exact = []

    def before(loss):
        exact.append(models.top(model, BATCH) if len(exact) % 10 == 0 else None)
        row = monitor.step(BATCH)
        assert (row is None) == (exact[-1] is None)

    train(model, optimizer, 31, before)
    assert [row.step for row in logged] == [0, 10, 20, 30]
    for row in logged:
        assert row["lambda_max"].value == pytest.approx(exact[row.step], rel=1e-4)
        assert row.edge.threshold == pytest.approx(20.0) and row.shares["lambda_max"] == pytest.approx(
            row["lambda_max"].value / 20
        )
        assert row["lambda_min"].value < 0 and row["batch_sharpness"].products == 1 and row.cost > 0
    assert monitor.verified.cost > 0


def test_the_edges_are_those_of_the_optimizers():
    p = [torch.zeros(1, requires_grad=True)]
    edge = lambda o: lyapunov._optimizer.TorchOptimizer(o).edge().threshold
    assert edge(torch.optim.SGD(p, lr=0.1)) == pytest.approx(20)
    assert edge(torch.optim.SGD(p, lr=0.1, momentum=0.9)) == pytest.approx(38)
    assert edge(torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)) == pytest.approx(3.8 / 2.8 / 0.1)
    assert edge(torch.optim.Adam(p, lr=0.1)) == pytest.approx(380)
    assert edge(torch.optim.SGD(p, lr=0.1, weight_decay=0.5)) == pytest.approx(19.5)
    with pytest.raises(TypeError, match="known are"):
        lyapunov.Monitor(build(mlp), F.cross_entropy, torch.optim.RMSprop(p))


@pytest.mark.parametrize(
    "make", [lambda p: torch.optim.Adam(p, lr=1e-2), lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1)]
)
def test_the_preconditioned_sharpness_is_the_dense_one(make):
    model = build(mlp)
    optimizer = make(model.parameters())
    monitor = lyapunov.Monitor(model, F.cross_entropy, optimizer, every=4, products=25)
    seen = 0

    def before(loss):
        nonlocal seen
        row = monitor.step(BATCH)
        if row is None:
            return
        twin, twin_model = (
            copy.deepcopy((optimizer.state_dict(), optimizer.param_groups[0]["betas"])),
            dense_parts(model),
        )
        matrix, gradient = twin_model
        count = row.step + 1
        beta1, beta2 = twin[1]
        state = [optimizer.state.get(p, {}) for p in model.parameters()]
        second = torch.cat(
            [s.get("exp_avg_sq", torch.zeros_like(p)).reshape(-1) for s, p in zip(state, model.parameters())]
        ).double()
        second = beta2 * second + (1 - beta2) * gradient**2
        p = (1 - beta1**count) * ((second / (1 - beta2**count)).sqrt() + 1e-8)
        exact = torch.linalg.eigvalsh(matrix / p.sqrt()[:, None] / p.sqrt()[None])[-1].item()
        assert row["preconditioned_sharpness"].value == pytest.approx(exact, rel=1e-3)
        assert row.edge.quantity == "preconditioned_sharpness"
        seen += 1

    train(model, optimizer, 9, before)
    assert seen == 3


def dense_parts(model):
    gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters()]).double()
    return models.dense(model, BATCH), gradient


def test_a_saved_monitor_goes_on_as_if_it_had_not_stopped(tmp_path):
    def readings(stop):
        model = build(mlp)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        rows = []
        make = lambda: lyapunov.Monitor(model, F.cross_entropy, optimizer, every=5, log=rows.append)
        monitor = make()
        train(model, optimizer, 11, lambda loss: monitor.step(BATCH))
        if stop:
            torch.save(monitor.state_dict(), tmp_path / "monitor.pt")
            monitor = make()
            monitor.load_state_dict(torch.load(tmp_path / "monitor.pt"))
        train(model, optimizer, 10, lambda loss: monitor.step(BATCH))
        return [(row.step, row["lambda_max"].value, row["lambda_max"].residual) for row in rows]

    assert readings(False) == readings(True)


def test_a_loss_that_is_not_finite_is_a_row_without_readings():
    model = build(mlp)
    monitor = lyapunov.Monitor(model, F.cross_entropy)
    row = monitor.step((BATCH[0] * float("inf"), BATCH[1]))
    assert row is not None and not row.readings


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=1e-9),
        lambda p: torch.optim.SGD(p, lr=1e-9, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=1e-9, momentum=0.9, nesterov=True),
        lambda p: torch.optim.Adam(p, lr=1e-9),
        lambda p: torch.optim.AdamW(p, lr=1e-9),
    ],
)
def test_edge_step_trains_from_any_learning_rate(make):
    model = build(mlp)
    optimizer = make(model.parameters())
    rule = lyapunov.EdgeStep(model, F.cross_entropy, optimizer)
    losses = train(model, optimizer, 120, lambda loss: rule.step(BATCH, loss))
    assert losses[-1] < 0.3 * losses[0], losses[::20]
    assert 1e-4 < optimizer.param_groups[0]["lr"] < 100


def test_the_first_rate_is_a_quarter_of_what_the_curvature_allows():
    model = build(mlp)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    rule = lyapunov.EdgeStep(model, F.cross_entropy, optimizer)
    loss = F.cross_entropy(model(BATCH[0]), BATCH[1])
    g = torch.cat([t.reshape(-1) for t in torch.autograd.grad(loss, list(model.parameters()))]).double()
    image = models.dense(model, BATCH) @ (g / g.norm())
    alignment = 0.46 + 0.1 * (max((image @ g / g.norm()).item(), 0) / image.norm().item() - 0.46)
    # s = σ at the first probe, then the rate may rise by 4 %.
    assert rule.step(BATCH, loss) == pytest.approx(1.04 * 0.25 * min(2.0, 1.8) / image.norm().item(), rel=1e-4)
    assert rule.state_dict()["rule"]["alignment"][0] == pytest.approx(alignment, rel=1e-4)
