"""The exceptions of the package, and what torch's own words mean for a measurement."""

from __future__ import annotations

__all__ = ["NotDeterministic", "RankLost", "Unsuitable"]


class Unsuitable(RuntimeError):
    """No product that this model offers can answer the question; the message names every obstacle."""


class NotDeterministic(RuntimeError):
    """The loss or its gradient is not the same when it is computed twice: an eigenvalue search would see another matrix
    each time.
    """

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text}. Usual causes: random numbers that are not torch's, Python's or numpy's; a count or a cache that "
            "the model keeps outside its buffers; sums in any order on a GPU "
            "(torch.use_deterministic_algorithms(True) ends them)"
        )


class RankLost(RuntimeError):
    """A rank of torch.distributed did not take part in a measurement: it is gone, or it measures at other steps."""


# What torch says where a second derivative is missing, and what that means. Lower case; the first that is found counts.
_TRANSLATIONS = (
    (
        "is incompatible with .grad()",
        "checkpointing with use_reentrant=True cannot be differentiated this way: use use_reentrant=False",
    ),
    (
        "cudnn rnn",
        "cuDNN has no second derivative of recurrent layers: disable it around the forward pass "
        "(torch.backends.cudnn.flags(enabled=False))",
    ),
    (
        "donated buffers",
        "a compiled backward pass has given its buffers away: set torch._functorch.config.donated_buffer = False, or "
        "measure the module that was not compiled",
    ),
    (
        "does not currently support double backward",
        "a compiled function has no second derivative: measure the module that was not compiled",
    ),
    (
        "once_differentiable",
        "a custom autograd function is marked once_differentiable: its backward pass cannot be differentiated again",
    ),
    (
        "would mutate a captured tensor",
        "the model changes a tensor in place that torch.func holds fast: exact products do without torch.func, so take "
        "it out of the model",
    ),
    ("sparse tensors", "sparse gradients cannot be measured: build the embedding with sparse=False"),
    ("mkldnn_rnn", "this recurrent kernel has no forward derivative"),
    ("is not implemented", "an operation has no second derivative"),
    ("not differentiable twice", "an operation has no second derivative"),
)


def translation(error: BaseException) -> str | None:
    """What an exception of torch means, where it says that a second derivative is missing; else None."""
    text = str(error).lower()
    for words, meaning in _TRANSLATIONS:
        if words in text:
            return f"{meaning} (torch: {str(error).strip().splitlines()[0][:160]})"
    return None
