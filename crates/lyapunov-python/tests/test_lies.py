"""Where PyTorch gives a wrong second derivative without a word, each with its guard."""

import models
import pytest
import torch
import torch.nn.functional as F
from models import Encoder, Once, build, data, dense, mlp
from torch import nn
from torch.utils.checkpoint import checkpoint

import lyapunov

BATCH = data()


class Liar(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x.detach()
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.x * g


class Honest(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g


class Own(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.a, self.b = function, nn.Linear(48, 6), nn.Linear(6, 4)

    def forward(self, x):
        return self.b(self.function.apply(self.a(x.flatten(1))))


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.reentrant = reentrant
        self.a, self.b = (
            nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh()),
            nn.Linear(8, 4),
        )

    def forward(self, x):
        return self.b(checkpoint(self.a, x.detach().requires_grad_(self.reentrant), use_reentrant=self.reentrant))


@pytest.mark.parametrize("function", [Once, Liar])
def test_1_a_custom_function_with_a_wrong_second_derivative_is_refused(function):
    model = build(lambda: Own(function))
    with pytest.raises(lyapunov.Unsuitable, match="exact: .*(differentiated again|once_differentiable)"):
        lyapunov.hessian(model, F.cross_entropy, BATCH, kind="exact").lambda_max()
    # This loss is smooth: a difference of gradients, which are right, gives the other end.
    lowest = lyapunov.hessian(model, F.cross_entropy, BATCH).lambda_min(1e-2)
    assert lowest.kind == "difference" and lowest.value == pytest.approx(
        torch.linalg.eigvalsh(dense(build(lambda: Own(Honest)), BATCH))[0].item(), rel=2e-2
    )
    # The largest eigenvalue is had by Gauss–Newton, and says so; the true function gives the same number.
    found = lyapunov.hessian(model, F.cross_entropy, BATCH).lambda_max()
    true = lyapunov.hessian(build(lambda: Own(Honest)), F.cross_entropy, BATCH, kind="gauss-newton").lambda_max()
    assert found.kind == true.kind == "gauss-newton" and found.value == pytest.approx(true.value, rel=1e-2)


def test_1_a_custom_function_that_is_right_is_taken():
    model = build(lambda: Own(Honest))
    assert lyapunov.verify(model, F.cross_entropy, BATCH).python_functions
    assert lyapunov.hessian(model, F.cross_entropy, BATCH).lambda_max(1e-4).value == pytest.approx(
        models.top(model, BATCH), rel=1e-5
    )


def test_2_reentrant_checkpointing_is_refused_and_the_other_kind_is_right():
    for ask in (
        lambda m: lyapunov.verify(m, F.cross_entropy, BATCH),
        lambda m: lyapunov.hessian(m, F.cross_entropy, BATCH).lambda_max(),
    ):
        with pytest.raises(lyapunov.Unsuitable, match="use_reentrant=False") as refusal:
            ask(build(lambda: Checkpointed(True)))
    model = build(lambda: Checkpointed(False))
    assert lyapunov.hessian(model, F.cross_entropy, BATCH).lambda_max(1e-4).value == pytest.approx(
        models.top(model, BATCH), rel=1e-5
    )


def test_3_dropout_masks_are_those_of_eager_torch_and_stay_for_a_measurement():
    model = build(lambda: mlp(dropout=0.3))
    torch.manual_seed(5)
    found = lyapunov.hessian(model, F.cross_entropy, BATCH).lambda_max(1e-4).value
    masks = []
    torch.manual_seed(5)
    hook = model[3].register_forward_hook(lambda m, i, o: masks.append((o != 0).double() / 0.7))
    model(BATCH[0])
    hook.remove()
    fixed = build(mlp)
    fixed.load_state_dict(model.state_dict())

    class Masked(nn.Module):
        def forward(self, x):
            return x * masks[0].to(x)

    fixed[3] = Masked()
    assert found == pytest.approx(models.top(fixed, BATCH), rel=1e-5)


def test_4_hooks_on_parameters_and_modules_do_not_scale_the_hessian():
    model = build(mlp)
    value = models.top(model, BATCH)
    calls = []
    for p in model.parameters():
        p.register_hook(lambda g: calls.append(1) or 2 * g)
        p.register_post_accumulate_grad_hook(lambda p: calls.append(2))
    model[4].register_full_backward_hook(lambda m, i, o: (2 * i[0],))
    assert lyapunov.hessian(model, F.cross_entropy, BATCH).lambda_max(1e-4).value == pytest.approx(value, rel=1e-5)
    lyapunov.verify(model, F.cross_entropy, BATCH)
    assert not calls
    F.cross_entropy(model(BATCH[0]), BATCH[1]).backward()
    assert calls.count(1) == calls.count(2) == 6


def test_5_no_graph_outlives_a_measurement():
    model = build(mlp)
    h = lyapunov.hessian(model, F.cross_entropy, BATCH)
    h.lambda_max()
    for p in model.parameters():
        p.data.mul_(1.3)
    assert h.lambda_max(1e-4).value == pytest.approx(models.top(model, BATCH), rel=1e-5)


def test_7_kinks_are_read_off_the_graph():
    assert lyapunov.verify(build(Encoder), F.cross_entropy, BATCH).kinks == ("Relu",)
    assert lyapunov.verify(build(lambda: mlp(nn.Tanh)), F.cross_entropy, BATCH).kinks == ()


def test_what_is_not_the_same_twice_is_refused():
    class Restless(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.calls = nn.Linear(48, 4), 0

        def forward(self, x):
            self.calls += 1
            return self.a(x.flatten(1)) * (1 + 1e-3 * self.calls)

    with pytest.raises(lyapunov.NotDeterministic, match="not the same"):
        lyapunov.hessian(build(Restless), F.cross_entropy, BATCH).lambda_max()


def test_weights_reached_past_their_module_are_refused():
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(48, 4)
            self.kept = [self.a.weight]

        def forward(self, x):
            return x.flatten(1) @ self.kept[0].T + self.a.bias

    with pytest.raises(lyapunov.Unsuitable, match="past its module"):
        lyapunov.verify(build(Aside), F.cross_entropy, BATCH)
    with pytest.raises(lyapunov.Unsuitable, match="past its module"):
        lyapunov.hessian(build(Aside), F.cross_entropy, BATCH).lambda_max()


def test_sparse_gradients_are_refused_by_name():
    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.e, self.h = nn.Embedding(9, 4, sparse=True), nn.Linear(4, 4)

        def forward(self, x):
            return self.h(self.e(x).mean(1))

    batch = (torch.randint(0, 9, (8, 5)), torch.randint(0, 4, (8,)))
    with pytest.raises(lyapunov.Unsuitable, match="sparse=False"):
        lyapunov.hessian(build(Bag), F.cross_entropy, batch).lambda_max()


class Tripled(torch.autograd.Function):
    """Its gradient is wrong, not its second derivative alone."""

    @staticmethod
    def forward(ctx, x):
        return x * 1.0

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return 3 * g


def test_a_gradient_that_is_not_that_of_the_loss_is_refused():
    model, (x, y) = build(mlp), data()
    tripled = lambda z, t: F.cross_entropy(Tripled.apply(z), t)
    with pytest.raises(
        lyapunov.Unsuitable,
        match="the functions Tripled give a gradient of norm .* it is not the gradient of this loss",
    ):
        lyapunov.verify(model, tripled, (x, y))
