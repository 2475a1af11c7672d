"""The stability instrument for neural-network training, over PyTorch.

``hessian`` measures fixed weights, ``Monitor`` a run, ``EdgeStep`` sets a learning rate. Nothing of the run changes, not one bit; every number comes
with its error, its kind of product and its cost.
"""

from . import systems
from ._descent import exponents
from ._exponents import Estimate, Exponents
from ._hessian import Density, Hessian, hessian
from ._monitor import Monitor, Row
from ._optimizer import Edge
from ._reading import Reading
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
    "spectrum",
    "systems",
    "verify",
]
