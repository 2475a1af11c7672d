"""The stability instrument for neural-network training, over PyTorch.

``hessian`` measures fixed weights, ``Monitor`` a run, ``EdgeStep`` sets a learning rate. Nothing of the run changes,
not one bit; every number comes with its error, its kind of product and its cost.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from . import lightning, systems, transformers
    from ._descent import exponents
    from ._exponents import Estimate, Exponents
    from ._hessian import Density, Hessian, hessian
    from ._monitor import Monitor
    from ._optimizer import Edge
    from ._plot import plot
    from ._reading import Reading, Row
    from ._rules import Adgd, BatchSharpness, EdgeStep, OnEdge, QuasiNewton
    from ._verify import Verified, verify
    from .errors import NotDeterministic, RankLost, Unsuitable
    from .systems import check_tangent, spectrum

__all__ = [
    "Adgd",
    "BatchSharpness",
    "Density",
    "Edge",
    "EdgeStep",
    "Estimate",
    "Exponents",
    "Hessian",
    "Monitor",
    "NotDeterministic",
    "OnEdge",
    "QuasiNewton",
    "RankLost",
    "Reading",
    "Row",
    "Unsuitable",
    "Verified",
    "check_tangent",
    "exponents",
    "hessian",
    "plot",
    "spectrum",
    "systems",
    "verify",
]

# Where each name stands. It is imported when it is first asked for: the program (python -m lyapunov) needs no torch,
# and the modules for trainers need theirs.
_PLACES = {
    "exponents": "._descent",
    "Estimate": "._exponents",
    "Exponents": "._exponents",
    "Density": "._hessian",
    "Hessian": "._hessian",
    "hessian": "._hessian",
    "Monitor": "._monitor",
    "Row": "._reading",
    "Edge": "._optimizer",
    "plot": "._plot",
    "Reading": "._reading",
    "Adgd": "._rules",
    "BatchSharpness": "._rules",
    "EdgeStep": "._rules",
    "OnEdge": "._rules",
    "QuasiNewton": "._rules",
    "Verified": "._verify",
    "verify": "._verify",
    "NotDeterministic": ".errors",
    "RankLost": ".errors",
    "Unsuitable": ".errors",
    "check_tangent": ".systems",
    "spectrum": ".systems",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        value: object
        if name == "__version__":
            value = importlib.metadata.version(__name__)
        elif name in _PLACES:
            try:
                value = getattr(importlib.import_module(_PLACES[name], __name__), name)
            except ModuleNotFoundError as missing:
                if missing.name != "torch":
                    raise
                raise ImportError(
                    f"lyapunov.{name} is for models of PyTorch, which is not installed here: pip install torch, "
                    "in the build for your device (https://pytorch.org/get-started/locally)"
                ) from missing
        else:
            try:
                value = importlib.import_module(f".{name}", __name__)
            except ModuleNotFoundError as missing:
                if missing.name != f"{__name__}.{name}":
                    raise
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, "lightning", "transformers"})
