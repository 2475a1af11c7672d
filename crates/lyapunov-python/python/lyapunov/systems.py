"""Dynamical systems without a network: the classical ones by name, and a map of one's own in numpy.

Every system of the catalogue is a function here: ``systems.henon(a=1.4, b=0.3)``,
``systems.lorenz63(time_step=0.005)``; ``systems.names()`` lists them. Torch is not used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import _core
from ._exponents import Exponents, exponents_of

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["System", "check_tangent", "names", "spectrum"]


class System:
    """A classical system with its parameters; see :func:`names`."""

    def __init__(self, name: str, parameters: dict[str, float], seed: int = 0) -> None:
        self.name, self.parameters, self.seed = name, parameters, seed
        self._core = _core.NamedSystem(
            name, [(key.replace("_", "-"), float(value)) for key, value in parameters.items()], seed
        )

    @property
    def dimension(self) -> int:
        """The number of coordinates, the velocities of a heavy ball among them."""
        return self._core.dimension

    def exponents(
        self, count: int | None = None, *, steps: int = 10_000, warm_up: int = 1000, every: int = 1, seed: int = 0
    ) -> Exponents:
        """The ``count`` largest Lyapunov exponents, all of them unless given, from ``steps`` steps after ``warm_up``.

        **Units**: nats per step for maps and optimizers, per unit of time for differential equations. **Raises**
        ValueError for numbers out of range.
        """
        return exponents_of(
            self._core.exponents(_options(count, steps, warm_up, every, seed)),
            "time" if self._core.per_time else "step",
        )

    def literature(self) -> tuple[list[float], bool] | None:
        """The largest exponents as they are known at these parameters, and whether that is in closed form; None where
        they are not.
        """
        return self._core.literature()

    def __repr__(self) -> str:
        return (
            f"systems.{_function(self.name)}({', '.join(f'{key}={value:g}' for key, value in self.parameters.items())})"
        )


def spectrum(
    step: Callable[[Any], Any],
    x0: npt.ArrayLike,
    *,
    jacobian: Callable[[Any], Any] | None = None,
    jvp: Callable[[Any, Any], Any] | None = None,
    count: int | None = None,
    steps: int = 10_000,
    warm_up: int = 1000,
    every: int = 1,
    seed: int = 0,
    time_step: float = 1.0,
    check: bool = True,
) -> Exponents:
    """The ``count`` largest Lyapunov exponents of the map x' = ``step(x)``, all n unless given, from the state ``x0``.

    ``jacobian(x)`` is the n × n matrix of ∂x'_i/∂x_j at x; ``jvp(x, v)`` is its product with a vector v of n entries;
    without either, tangents are central differences of ``step``, which has to be smooth then. States are numpy arrays
    of n numbers in f64; lists and numbers may come back. For a differential equation ``step`` is one step of its
    solver, ``time_step`` long, and ``per_time()`` of the result is per unit of time.

    With ``check``, the tangent is compared with differences of ``step`` at five states of the trajectory, and refused
    where it is wrong at all five: a wrong Jacobian would otherwise give numbers that nothing marks as wrong.
    :func:`check_tangent` looks closer.

    **Units**: nats per step. **Cost**: a call of ``step`` and of ``jacobian`` per step, or ``count`` calls of ``jvp``;
    by differences 2 ``count`` of ``step``.
    **Raises** ValueError for shapes that do not fit, numbers out of range and a wrong tangent; ImportError without
    numpy.

    >>> import math
    >>> found = spectrum(lambda x: 4 * x * (1 - x), [0.3], jacobian=lambda x: [[4 - 8 * x[0]]])
    >>> abs(found.values[0] - math.log(2)) < 1e-3
    True
    """
    own = _Own(step, x0, jacobian, jvp)
    if check and own.tangent is not None:
        own.compare(min(warm_up, 200))
    core = _core.OwnMap(own.step, own.tangent, own.start, float(time_step))
    found = core.exponents(_options(count, steps, warm_up, every, seed))
    return exponents_of(found, kind="difference" if own.tangent is None else "exact")


def check_tangent(
    step: Callable[[Any], Any],
    x0: npt.ArrayLike,
    *,
    jacobian: Callable[[Any], Any] | None = None,
    jvp: Callable[[Any, Any], Any] | None = None,
    seed: int = 0,
) -> None:
    """The Taylor test of a map and its tangent at ``x0``: ‖f(x + εv) − f(x) − ε Df(x) v‖ must fall by 4 when ε halves,
    for three random directions v.

    It finds a Jacobian at the wrong point, transposed, or with one wrong entry. **Cost**: about 30 calls of ``step``.
    **Raises** ValueError with the ratios that were found where the tangent is not
    the derivative of the step, or has a kink within a hundredth of ``x0``.
    """
    own = _Own(step, x0, jacobian, jvp)
    error = _core.OwnMap(own.step, own.tangent, own.start).tangent_error(seed)
    if error is not None:
        raise ValueError(error)


class _Own:
    """A map of numpy arrays as the core calls it, with bytes."""

    def __init__(
        self,
        step: Callable[[Any], Any],
        x0: npt.ArrayLike,
        jacobian: Callable[[Any], Any] | None,
        jvp: Callable[[Any, Any], Any] | None,
    ) -> None:
        try:
            import numpy as np
        except ImportError as error:
            raise ImportError(
                "a map of one's own needs numpy: pip install numpy. The systems of the catalogue do not"
            ) from error
        self.np = np
        if jacobian is not None and jvp is not None:
            raise ValueError("give jacobian or jvp, not both")
        for name, function in (("step", step), ("jacobian", jacobian), ("jvp", jvp)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a function, not {type(function).__name__}")
        start = np.asarray(x0, dtype=np.float64)
        if start.ndim > 1 or not np.isfinite(start).all():
            raise ValueError(
                f"x0 must be a vector of finite numbers, not an array of shape {start.shape}"
                if start.ndim > 1
                else "x0 must be finite"
            )
        self.start: list[float] = np.atleast_1d(start).tolist()
        self.n = len(self.start)
        self._step, self._jacobian, self._jvp = step, jacobian, jvp
        self.tangent = None if jacobian is None and jvp is None else self._tangent

    def _vector(self, found: Any, name: str) -> Any:
        vector = self.np.asarray(found, dtype=self.np.float64)
        if vector.size != self.n or vector.ndim > 1:
            raise ValueError(
                f"{name} gave an array of shape {vector.shape} where {self.n} numbers are needed, as x0 has"
            )
        return vector.reshape(-1)

    def step(self, x: bytes) -> bytes:
        return self._vector(self._step(self.np.frombuffer(x).copy()), "step").tobytes()  # type: ignore[no-any-return]

    def _tangent(self, x: bytes, deviations: bytes) -> bytes:
        at, moving = self.np.frombuffer(x).copy(), self.np.frombuffer(deviations).reshape(-1, self.n)
        if self._jvp is not None:
            jvp = self._jvp
            return b"".join(self._vector(jvp(at.copy(), v.copy()), "jvp").tobytes() for v in moving)
        assert self._jacobian is not None
        matrix = self.np.asarray(self._jacobian(at), dtype=self.np.float64)
        if matrix.size != self.n**2 or (matrix.shape != (self.n, self.n) and self.n > 1):
            raise ValueError(f"jacobian gave an array of shape {matrix.shape} where ({self.n}, {self.n}) is needed")
        return self.np.ascontiguousarray(moving @ matrix.reshape(self.n, self.n).T).tobytes()

    def compare(self, between: int) -> None:
        """Refuses a tangent that is wrong at five states of the trajectory; a jump of the map hides one of them at
        most.
        """
        np, x = self.np, np_bytes(self.np, self.start)
        worst: list[str] = []
        for place in range(5):
            at = np.frombuffer(x)
            v = np.random.default_rng(place).standard_normal(self.n)
            v /= np.linalg.norm(v)
            epsilon = 1e-6 * max(1.0, float(np.linalg.norm(at)))
            ends = [np.frombuffer(self.step((at + sign * epsilon * v).tobytes())) for sign in (1.0, -1.0)]
            expected, found = (ends[0] - ends[1]) / (2 * epsilon), np.frombuffer(self._tangent(x, v.tobytes()))
            size = max(float(np.linalg.norm(expected)), float(np.linalg.norm(found)))
            if not np.linalg.norm(expected - found) > 1e-3 * size + 1e-7:
                return
            worst.append(
                f"at x = {np.array2string(at, precision=4, threshold=4)} along v = "
                f"{np.array2string(v, precision=3, threshold=4)} it gives "
                f"{np.array2string(found, precision=4, threshold=4)} and differences give "
                f"{np.array2string(expected, precision=4, threshold=4)}"
            )
            for _ in range(1 + between // 5):
                x = self.step(x)
        raise ValueError(
            f"the tangent is not the derivative of the step: {worst[0]}. check=False measures it all the same"
        )


def np_bytes(np: Any, numbers: Sequence[float]) -> bytes:
    return np.array(numbers, dtype=np.float64).tobytes()  # type: ignore[no-any-return]


def _options(
    count: int | None, steps: int, warm_up: int, every: int, seed: int
) -> tuple[int | None, int, int, int, int]:
    for name, value, least in (
        ("count", 1 if count is None else count, 1),
        ("steps", steps, 1),
        ("warm_up", warm_up, 0),
        ("every", every, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ValueError(f"{name} = {value} must be at least {least}")
    return count, steps, warm_up, every, seed


def _function(name: str) -> str:
    return name.replace("-", "_")


_ENTRIES = {_function(entry[0]): entry for entry in _core.catalogue()}


def names() -> list[str]:
    """The systems that can be called by name."""
    return list(_ENTRIES)


def _make(key: str) -> Callable[..., System]:
    name, about, parameters, source = _ENTRIES[key]
    kind = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.Signature(
        [inspect.Parameter(_function(p[0]), kind, default=p[2], annotation="float") for p in parameters]
        + [inspect.Parameter("seed", kind, default=0, annotation="int")],
        return_annotation=System,
    )

    def make(**given: float) -> System:
        try:
            bound = signature.bind(**given)
        except TypeError:
            unknown = next(iter(set(given) - set(signature.parameters)))
            raise TypeError(
                f"systems.{key} has no parameter {unknown!r}; known are {', '.join(signature.parameters)}"
            ) from None
        bound.apply_defaults()
        seed = int(bound.arguments.pop("seed"))
        return System(name, dict(bound.arguments), seed)

    make.__name__ = make.__qualname__ = key
    make.__signature__ = signature  # type: ignore[attr-defined]
    shown = "\n".join(
        f"- ``{_function(p[0])}``: {p[1]}, {p[2]:g} unless given, from {p[3]:g} to {p[4]:g}" for p in parameters
    )
    seed = "- ``seed``: of the noise, and of a small displacement of the start unless it is 0"
    make.__doc__ = f"{about[0].upper()}{about[1:]}.\n\n{shown}\n{seed}\n\n**Source**: {source}."
    return make


for _key in _ENTRIES:
    globals()[_key] = _make(_key)


def __getattr__(name: str) -> Callable[..., System]:
    raise AttributeError(f"there is no system {name!r}; known are {', '.join(names())}")


def __dir__() -> list[str]:
    return [*__all__, *names()]
