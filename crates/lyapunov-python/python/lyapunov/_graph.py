"""What the graph of a loss says: kinks, functions written in Python, weights that were reached past their module."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

# Operations whose derivative jumps, whatever the module that calls them is named.
_KINKS = re.compile(
    r"^(Relu|LeakyRelu|Prelu|PreluKernel|Rrelu|RreluWithNoise|Threshold|Hardtanh|"
    r"Hardshrink|Softshrink|Hardsigmoid|Elu|Abs|Clamp|Maximum|Minimum|"
    r"Max|Min|Amax|Amin|Sort|Topk|Median|MaxPool|MaxPool2DWithIndices|"
    r"MaxPool3DWithIndices|MaxPool1DWithIndices|AdaptiveMaxPool\w*|"
    r"FractionalMaxPool\w*|MkldnnMaxPool\w*|Floor|Round|Sign|Where)(\w*?)Backward\d*$"
)
# Clamps of a size away from zero, as norms and cosines take them, and masks, bend nothing that was meant to be smooth.
_HARMLESS = ("Where", "Sign")


class Graph:
    """The nodes below a loss. **Cost**: a walk, no arithmetic."""

    def __init__(self, loss: Tensor) -> None:
        self.kinks: set[str] = set()
        self.python: set[str] = set()
        self.leaves: set[int] = set()
        self.reaching: list[Tensor] = []
        seen: set[Any] = set()
        stack: list[Any] = [loss.grad_fn]
        while stack:
            node = stack.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            name = node.name()
            if _KINKS.match(name) and not name.startswith(_HARMLESS):
                self.kinks.add(re.sub(r"Backward\d*$", "", name))
            if isinstance(node, torch.autograd.function.BackwardCFunction):
                self.python.add(re.sub(r"Backward$", "", name.rsplit("::", 1)[-1]))
            variable = getattr(node, "variable", None)
            if variable is not None:
                self.leaves.add(id(variable))
                self.reaching.append(variable)
            stack.extend(below for below, _ in node.next_functions)
