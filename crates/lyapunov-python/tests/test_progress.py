"""Products are counted on a terminal, and nowhere else."""

import io
import sys

import pytest
import torch.nn.functional as F
from models import build, data, mlp

import lyapunov
from lyapunov import _progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def measured(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    lyapunov.hessian(build(mlp), F.cross_entropy, data()).density(probes=2, steps=5)
    return stream.getvalue()


def test_long_measurements_are_counted_on_a_terminal_only(monkeypatch):
    pytest.importorskip("tqdm")
    assert measured(monkeypatch, Terminal()) == "", "it does not take long"
    monkeypatch.setattr(_progress, "PATIENCE", 0.0)
    assert "products" in measured(monkeypatch, Terminal())
    assert measured(monkeypatch, io.StringIO()) == ""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert measured(monkeypatch, Terminal()) == ""
