"""Dropout masks of a measurement: those of the step, where they were captured."""

import copy

import pytest
import torch
import torch.nn.functional as F
from models import build, data, mlp, top

import lyapunov


@pytest.mark.parametrize("captured", [True, False])
def test_masks_are_those_of_the_step_where_they_were_captured(captured):
    model, batch = build(lambda: mlp(dropout=0.4)), data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = lyapunov.Monitor(model, F.cross_entropy, optimizer, every=2, products=20)
    rule = lyapunov.Adgd(model, F.cross_entropy, optimizer)
    seen, losses = [], []
    for step in range(4):
        if captured:
            monitor.capture()
            rule.capture()
        before = torch.get_rng_state()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        after = torch.get_rng_state()
        row = monitor.step(batch)
        rule.step(batch, loss)
        if row is not None:
            seen.append(row)
            losses.append(loss.item())
            if captured:
                torch.set_rng_state(before)
                # The masks do not depend on the type of the numbers.
                assert row["lambda_max"].value == pytest.approx(top(copy.deepcopy(model), batch), rel=1e-3)
                torch.set_rng_state(after)
        assert torch.equal(torch.get_rng_state(), after)
        optimizer.step()
    assert [row.step for row in seen] == [0, 2]
    assert ([row.loss for row in seen] == losses) == captured
