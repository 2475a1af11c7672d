"""Eigenvalues, trace, density, products against the dense Hessian in double precision; kinds; micro-batches; errors."""

import models
import pytest
import torch
import torch.nn.functional as F
from models import MODELS, build, data, dense, mlp
from torch import nn

import lyapunov

BATCH = data()


@pytest.mark.parametrize("name", MODELS)
def test_both_ends_the_top_five_and_the_trace_agree_with_the_dense_hessian(name):
    model = build(MODELS[name])
    exact = torch.linalg.eigvalsh(dense(model, BATCH)).flip(0)
    scale = exact[0].item()
    h = lyapunov.hessian(model, F.cross_entropy, BATCH)
    assert abs(h.lambda_max(1e-4).value - scale) < 1e-5 * scale
    assert abs(h.lambda_min(1e-3, max_products=300).value - exact[-1].item()) < 1e-5 * scale
    five = h.top(5, 1e-3)
    assert all(abs(found.value - value.item()) < 1e-5 * scale for found, value in zip(five, exact)), (five, exact[:5])
    assert all(found.converged and found.kind == "exact" for found in five)
    trace = h.trace(3 * len(exact))
    assert abs(trace.value - exact.sum().item()) < 1e-5 * exact.abs().sum().item()


def test_a_product_a_density_and_the_layers():
    model = build(mlp)
    matrix = dense(model, BATCH)
    h = lyapunov.hessian(model, F.cross_entropy, BATCH)
    v = torch.randn(h.shape[0], generator=torch.Generator().manual_seed(3))
    assert torch.allclose((h @ v).double(), matrix @ v.double(), atol=1e-5)
    density = h.density(probes=4, steps=20)
    assert density.products == 80 and abs(density.range()[1] - torch.linalg.eigvalsh(matrix)[-1].item()) < 1e-3
    assert density.cumulative(100.0)[0] == pytest.approx(1.0)
    layers = h.layers(1e-3)
    first = torch.linalg.eigvalsh(matrix[: 48 * 8 + 8, : 48 * 8 + 8])[-1].item()
    assert list(layers) == ["1", "4", "6"] and layers["1"].value == pytest.approx(first, rel=1e-4)


def test_gauss_newton_is_the_dense_one_and_both_ways_agree():
    model = build(mlp)
    twin = build(mlp).double()
    x, y = BATCH
    params = dict(twin.named_parameters())
    jacobian = torch.func.jacrev(lambda p: torch.func.functional_call(twin, p, (x.double(),)))(params)
    j = torch.cat([b.reshape(len(x), 4, -1) for b in jacobian.values()], 2)
    p = twin(x.double()).softmax(1)
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    exact = torch.linalg.eigvalsh(torch.einsum("bia,bij,bjc->ac", j, inner, j) / len(x))[-1].item()
    found = lyapunov.hessian(model, F.cross_entropy, BATCH, kind="gauss-newton").lambda_max(1e-4)
    assert found.kind == "gauss-newton" and found.value == pytest.approx(exact, rel=1e-5)


def test_micro_batches_and_several_batches_are_the_mean_over_examples():
    model = build(mlp)
    x, y = BATCH
    value = models.top(model, BATCH)
    whole = dict(model=model, loss_fn=F.cross_entropy)
    assert lyapunov.hessian(**whole, batch=BATCH, micro_batch=7).lambda_max(1e-4).value == pytest.approx(
        value, rel=1e-5
    )
    ragged = [(x[:10], y[:10]), (x[10:], y[10:])]
    assert lyapunov.hessian(**whole, batches=ragged).lambda_max(1e-4).value == pytest.approx(value, rel=1e-5)
    # A DataLoader yields lists: one batch is one batch.
    assert lyapunov.hessian(**whole, batch=list(BATCH)).lambda_max(1e-4).value == pytest.approx(value, rel=1e-5)
    sharp = lyapunov.hessian(**whole, batches=ragged).batch_sharpness()

    def quotient(batch):
        h = dense(model, batch)
        g = torch.autograd.grad(F.cross_entropy(model(batch[0]), batch[1]), list(model.parameters()))
        g = torch.cat([t.reshape(-1) for t in g]).double()
        return (g @ h @ g / (g @ g)).item()

    assert sharp.value == pytest.approx(sum(map(quotient, ragged)) / 2, rel=1e-4) and sharp.std_error > 0
    with pytest.raises(lyapunov.Unsuitable, match="micro-batches"):
        lyapunov.hessian(model, lambda z, t: F.cross_entropy(z, t, reduction="sum"), BATCH, micro_batch=7).lambda_max()


def test_differences_are_for_smooth_losses_only():
    smooth = build(lambda: mlp(nn.Tanh))
    found = lyapunov.hessian(smooth, F.cross_entropy, BATCH, kind="difference").lambda_max(1e-2)
    assert found.kind == "difference" and found.value == pytest.approx(models.top(smooth, BATCH), rel=1e-2)
    with pytest.raises(lyapunov.Unsuitable, match="Relu"):
        lyapunov.hessian(build(mlp), F.cross_entropy, BATCH, kind="difference").lambda_max()
    with pytest.raises(lyapunov.Unsuitable, match="no negative eigenvalues"):
        lyapunov.hessian(smooth, F.cross_entropy, BATCH, kind="gauss-newton").lambda_min()


def test_frozen_tied_and_chosen_parameters():
    model = build(mlp)
    model[1].requires_grad_(False)
    assert lyapunov.hessian(model, F.cross_entropy, BATCH).lambda_max(1e-4).value == pytest.approx(
        models.top(model, BATCH), rel=1e-5
    )
    model = build(mlp)
    chosen = lyapunov.hessian(model, F.cross_entropy, BATCH, params=model[6].parameters())
    block = dense(model, BATCH)[-36:, -36:]
    assert chosen.shape == (36, 36) and chosen.lambda_max(1e-4).value == pytest.approx(
        torch.linalg.eigvalsh(block)[-1].item(), rel=1e-5
    )
    tied = build(mlp)
    tied[4].weight = nn.Parameter(torch.randn(8, 8))
    tied.again = nn.Linear(8, 8)
    tied.again.weight = tied[4].weight
    assert (
        lyapunov.hessian(tied, F.cross_entropy, BATCH, forward=lambda m, b: m[6](m.again(m[:6](b[0]))))
        .lambda_max()
        .value
        > 0
    )


def test_a_reading_shows_error_kind_and_cost():
    reading = lyapunov.hessian(build(mlp), F.cross_entropy, BATCH).lambda_max()
    assert "residual" in repr(reading) and "exact" in repr(reading) and "gradients" in repr(reading)
    assert reading.cost > 0 and reading.products >= 3 and float(reading) == reading.value


def test_bad_input_says_what_to_do():
    model = build(mlp)

    def refuses(error, words, *a, **k):
        with pytest.raises(error, match=words):
            lyapunov.hessian(*a, **k).lambda_max()

    frozen = build(mlp).requires_grad_(False)
    refuses(ValueError, "no parameter requires", frozen, F.cross_entropy, BATCH)
    refuses(ValueError, "one number", model, lambda z, y: F.cross_entropy(z, y, reduction="none"), BATCH)
    refuses(ValueError, "does not depend", model, lambda z, y: F.cross_entropy(z.detach(), y), BATCH)
    refuses(TypeError, "forward=", model, F.cross_entropy, (*BATCH, BATCH[1]))
    refuses(TypeError, "either batch", model, F.cross_entropy)
    refuses(ValueError, "kind", model, F.cross_entropy, BATCH, kind="magic")
    refuses(ValueError, "nan", model, F.cross_entropy, (BATCH[0] * float("nan"), BATCH[1]))
    refuses(lyapunov.Unsuitable, "bfloat16", build(mlp).bfloat16(), F.cross_entropy, BATCH)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        lyapunov.hessian(model, F.cross_entropy, (BATCH[0][:, :1], BATCH[1])).lambda_max()


def test_torch_words_are_translated_and_kept_as_the_cause():
    class Sealed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.relu()

        @staticmethod
        def backward(ctx, g):
            raise NotImplementedError("derivative for aten::sealed_backward is not implemented")

    model = build(mlp)
    with pytest.raises(NotImplementedError):
        # The first derivative fails: that is not ours to translate.
        lyapunov.hessian(model, lambda z, y: F.cross_entropy(Sealed.apply(z), y), BATCH).lambda_max()

    class Doubly(torch.autograd.Function):
        @staticmethod
        def forward(ctx, g, x):
            return g * (x > 0)

        @staticmethod
        def backward(ctx, g):
            raise RuntimeError("derivative for aten::sealed_backward is not implemented")

    class Half(Sealed):
        @staticmethod
        def backward(ctx, g):
            return Doubly.apply(g, ctx.saved_tensors[0])

    with pytest.raises(lyapunov.Unsuitable, match="exact: .*no second derivative") as refusal:
        lyapunov.hessian(model, lambda z, y: F.cross_entropy(Half.apply(z), y), BATCH).lambda_min()
    assert "aten::sealed_backward" in str(refusal.value.__cause__)
