"""What torch says where a second derivative is missing, in words that help; its own words kept."""

import logging
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from models import Once, build, data, mlp
from torch import nn

import lyapunov
from lyapunov.errors import translation

WORDS = {
    "derivative for aten::_scaled_dot_product_flash_attention_for_cpu_backward is not "
    "implemented": "no second derivative",
    "torch.compile with aot_autograd does not currently support double backward": "not compiled",
    "This backward function was compiled with non-empty donated buffers which requires "
    "create_graph=False": "donated_buffer = False",
    "Trying to use forward AD with mkldnn_rnn_layer that does not support it because it has "
    "not been implemented yet": "no forward derivative",
    "attempted to call in-place operation (aten::add_.Tensor) that would mutate a captured "
    "Tensor. This is not supported": "in place",
    "reshape is not implemented for sparse tensors": "sparse=False",
    "Checkpointing is incompatible with .grad() or when an `inputs` parameter is passed to "
    ".backward()": "use_reentrant=False",
    "trying to differentiate twice a function that was marked with @once_differentiable": "once_differentiable",
}


def refuses(error, words, call):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("words", WORDS)
def test_words_of_torch_are_translated_and_kept_as_the_cause(words):
    assert WORDS[words] in translation(RuntimeError(words)) and words[:60] in translation(RuntimeError(words))

    class Derived(torch.autograd.Function):
        @staticmethod
        def forward(ctx, g):
            return g.clone()

        @staticmethod
        def backward(ctx, g):
            raise RuntimeError(words)

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return Derived.apply(g)

    model = build(mlp)
    h = lyapunov.hessian(model, lambda z, y: F.cross_entropy(Own.apply(z), y), data(), kind="exact")
    with pytest.raises(lyapunov.Unsuitable, match="exact: ") as refusal:
        h.lambda_max()
    assert WORDS[words] in str(refusal.value) and words in str(refusal.value.__cause__)


def test_other_words_are_not_ours_to_translate():
    assert translation(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


def test_an_iterable_that_is_no_batch_an_unknown_optimizer_and_numbers_out_of_range():
    model, batch = build(mlp), data()
    refuses(TypeError, "loss_fn must be a function", lambda: lyapunov.hessian(model, "cross-entropy", batch))
    refuses(TypeError, "torch.nn.Module", lambda: lyapunov.hessian(lambda x: x, F.cross_entropy, batch))
    refuses(TypeError, "at least one tensor", lambda: lyapunov.hessian(model, F.cross_entropy, {"a": 1}).lambda_max())
    refuses(ValueError, "micro_batch = 0", lambda: lyapunov.hessian(model, F.cross_entropy, batch, micro_batch=0))
    refuses(ValueError, "tolerance", lambda: lyapunov.hessian(model, F.cross_entropy, batch).lambda_max(-1.0))
    refuses(
        ValueError,
        "max_applications",
        lambda: lyapunov.hessian(model, F.cross_entropy, batch).lambda_max(max_products=0),
    )
    refuses(ValueError, "unknown quantity", lambda: lyapunov.Monitor(model, F.cross_entropy, what=["sharpness"]))
    refuses(
        TypeError,
        "known are",
        lambda: lyapunov.Monitor(model, F.cross_entropy, torch.optim.RMSprop(model.parameters())),
    )


@pytest.mark.parametrize("name", ["hessian", "Monitor", "EdgeStep", "exponents"])
def test_without_torch_it_is_said_what_to_install_and_the_rest_works(name):
    script = f"""
import sys
sys.modules["torch"] = None
import lyapunov
assert lyapunov.systems.henon().exponents(steps=50).steps == 50 and callable(lyapunov.plot) and lyapunov.__version__
lyapunov.{name}
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    wanted = f"ImportError: lyapunov.{name} is for models of PyTorch, which is not installed here: pip install torch"
    assert wanted in result.stderr, result.stderr


class Sees(logging.Handler):
    """What the package logs."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@pytest.fixture
def logged():
    handler = Sees()
    logging.getLogger("lyapunov").addHandler(handler)
    yield handler.texts
    logging.getLogger("lyapunov").removeHandler(handler)


def test_statistics_of_a_batch_cannot_be_split():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 4))
    x, y = data()
    split = lambda: lyapunov.hessian(model, F.cross_entropy, (x, y), micro_batch=4).lambda_max()
    refuses(lyapunov.Unsuitable, "1 normalises by the statistics of the batch", split)
    model.eval()
    assert split().value > 0
    # Nor can what a module of one's own takes from the batch, however little it is.
    inner = mlp()
    centred = lambda model, pair: inner(pair[0] - 0.01 * pair[0].mean(0))
    own = lambda: lyapunov.hessian(inner, F.cross_entropy, (x, y), forward=centred, micro_batch=4).lambda_max()
    refuses(lyapunov.Unsuitable, "is not the mean over its micro-batches", own)


def test_a_loss_that_is_not_that_of_the_batch_is_noticed_once(logged):
    batch = data()

    def run(loss_fn=F.cross_entropy, move=False, model=None):
        torch.manual_seed(0)
        model = model or mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        monitor = lyapunov.Monitor(model, loss_fn, optimizer, every=1)
        for _ in range(2):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(batch[0]), batch[1])
            loss.backward()
            for _ in range(move * 5):
                optimizer.step()
            monitor.step(batch, loss=loss)
        return [text for text in logged if "the loss that was given" in text]

    assert run() == []
    # Other masks than those of the step: nothing is said of it.
    assert run(model=mlp(dropout=0.5)) == []
    assert len(run(lambda z, t: F.cross_entropy(z, t, reduction="sum"))) == 1
    assert len(run(move=True)) == 2


def test_an_optimizer_of_something_else_is_noticed(logged):
    model, other, batch = mlp(), mlp(), data()
    foreign = torch.optim.SGD(other.parameters(), lr=0.1)
    refuses(ValueError, "is it that of another model", lambda: lyapunov.Monitor(model, F.cross_entropy, foreign))
    refuses(ValueError, "is it that of another model", lambda: lyapunov.EdgeStep(model, F.cross_entropy, foreign))
    *_, weight, bias = model.parameters()
    head = torch.optim.SGD([weight, bias], lr=0.1)
    lyapunov.Monitor(model, F.cross_entropy, head, params=[weight, bias])
    assert logged == []
    lyapunov.Monitor(model, F.cross_entropy, head)
    assert len(logged) == 1 and "does not move" in logged[0] and "params=" in logged[0]
    first, *rest = model.parameters()
    groups = torch.optim.SGD([{"params": [first], "lr": 0.2}, {"params": rest}], lr=0.1)
    monitor = lyapunov.Monitor(model, F.cross_entropy, groups)
    assert "differ in their learning rate" in logged[1] and monitor.step(batch).edge is None


def test_slips_of_the_hand():
    model, batch = mlp(), data()
    loss = F.cross_entropy
    monitor = lyapunov.Monitor(model, loss)
    refuses(ValueError, r"step\(\(inputs, targets\), loss=loss\)", lambda: monitor.step(*batch))
    refuses(ValueError, "every = 2.5 must be a whole number", lambda: lyapunov.Monitor(model, loss, every=2.5))
    refuses(ValueError, "every = 'epoch' must be", lambda: lyapunov.Monitor(model, loss, every="epoch"))
    refuses(ValueError, "products = 0 must be", lambda: lyapunov.Monitor(model, loss, products=0))
    refuses(ValueError, "measures nothing", lambda: lyapunov.Monitor(model, loss, what=[]))
    assert lyapunov.Monitor(model, loss, what="lambda_max").what == ("lambda_max",)
    empty = tuple(part[:0] for part in batch)
    refuses(ValueError, "the batch is empty", lambda: lyapunov.hessian(model, loss, empty).trace())
    refuses(TypeError, "this one is a str", lambda: lyapunov.hessian(model, loss, "batch").trace())
    refuses(ValueError, r"without \.item\(\)", lambda: lyapunov.hessian(model, lambda z, t: 1.0, batch).trace())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    refuses(TypeError, "a list of one batch", lambda: lyapunov.exponents(model, loss, batch, optimizer))
    other = torch.optim.RMSprop(model.parameters())
    refuses(TypeError, "without optimizer=", lambda: lyapunov.Monitor(model, loss, other))
    row = lyapunov.Monitor(model, loss).step(batch)
    refuses(KeyError, "lambda_min was not measured at step 0; readings are lambda_max", lambda: row["lambda_min"])
    assert str(row).startswith("step 0, loss ") and "lambda_max" in str(row) and len(str(row)) < 120
    assert f"{row['lambda_max']:.1f}" == f"{row['lambda_max'].value:.1f}"


def test_a_fallback_is_noticed(logged):
    inner = nn.Linear(4, 3)
    forward = lambda model, batch: Once.apply(model(batch[0]))
    h = lyapunov.hessian(inner, F.mse_loss, (torch.randn(8, 4), torch.randn(8, 3)), forward=forward)
    assert h.lambda_max().kind == "gauss-newton"
    h.lambda_max()
    assert len(logged) == 1 and "Gauss–Newton matrix is measured instead" in logged[0]
