"""What torch says where a second derivative is missing, in words that help; its own words kept."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from models import build, data, mlp

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

    def refuses(error, words, call):
        with pytest.raises(error, match=words):
            call()

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


@pytest.mark.parametrize("name", ["hessian", "Monitor", "EdgeStep", "exponents", "plot"])
def test_without_torch_it_is_said_what_to_install_and_the_rest_works(name):
    script = f"""
import sys
sys.modules["torch"] = None
import lyapunov
assert lyapunov.systems.henon().exponents(steps=50).steps == 50
lyapunov.{name}
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    wanted = f"ImportError: lyapunov.{name} is for models of PyTorch, which is not installed here: pip install torch"
    assert wanted in result.stderr, result.stderr
