"""The systems of the catalogue by name, and maps of one's own."""

import inspect
import math

import numpy as np
import pytest

import lyapunov
from lyapunov import systems


def logistic(x):
    return 4 * x * (1 - x)


def henon(x):
    return [1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]


def henon_jacobian(x):
    return [[-2.8 * x[0], 1.0], [0.3, 0.0]]


def test_every_system_of_the_core_can_be_called_with_its_own_parameters():
    assert len(systems.names()) >= 14 and "lorenz63" in systems.names()
    for name in systems.names():
        system = getattr(systems, name)()
        small = {"n": 4} if "n" in system.parameters else {}
        system = getattr(systems, name)(**small)
        found = system.exponents(1, steps=20, warm_up=5)
        assert len(found.values) == 1 and found.steps == 20 and system.dimension >= 1, name
        assert repr(system).startswith(f"systems.{name}(") and getattr(systems, name).__doc__
    assert (
        str(inspect.signature(systems.henon))
        == "(*, a: 'float' = 1.4, b: 'float' = 0.3, seed: 'int' = 0) -> lyapunov.systems.System"
    )
    assert set(systems.names()) <= set(dir(systems))


def test_henon_and_lorenz_have_the_exponents_of_the_literature():
    found = systems.henon().exponents(steps=20_000)
    assert abs(found.values[0] - 0.41922) < 4 * found.std_errors[0] and found.sum.value == pytest.approx(
        math.log(0.3), abs=1e-12
    )
    assert (
        found.kaplan_yorke.value == pytest.approx(1.2583, abs=4 * found.kaplan_yorke.std_error)
        and found.settled
        and found.unit == "step"
    )
    lorenz = systems.lorenz63(time_step=0.01).exponents(steps=50_000)
    known, exact = systems.lorenz63().literature()
    assert lorenz.unit == "time" and not exact
    for value, error, expected in zip(lorenz.values, lorenz.std_errors, known):
        assert abs(value - expected) < 4 * error + 1e-3
    assert lorenz.sum.value == pytest.approx(-(10 + 1 + 8 / 3), abs=1e-3)
    assert lorenz.per_time() is lorenz
    descent = systems.gradient_descent(learning_rate=0.1, h_min=-1, h_max=10, n=5)
    exact = [math.log(abs(1 - 0.1 * h)) if h != 10 else -math.inf for h in np.linspace(10, -1, 5)]
    assert descent.exponents(2, steps=200).values[0] == pytest.approx(max(exact), abs=1e-9)


def test_a_map_of_ones_own_by_jacobian_product_and_differences():
    ways = {
        "jacobian": dict(jacobian=lambda x: [[4 - 8 * x[0]]]),
        "jvp": dict(jvp=lambda x, v: (4 - 8 * x) * v),
        "difference": {},
    }
    for name, way in ways.items():
        found = lyapunov.spectrum(logistic, [0.3], steps=4000, **way)
        assert abs(found.values[0] - math.log(2)) < 4 * found.std_errors[0] + 1e-3 and found.kind == (
            "difference" if name == "difference" else "exact"
        )
    own = lyapunov.spectrum(henon, (0.1, 0.1), jacobian=henon_jacobian, steps=4000)
    short = dict(steps=20, warm_up=3)
    assert lyapunov.spectrum(henon, (0.1, 0.1), jacobian=henon_jacobian, **short).values == pytest.approx(
        systems.henon().exponents(**short).values, abs=1e-9
    )
    assert own.kaplan_yorke.value == pytest.approx(1.2583, abs=4 * own.kaplan_yorke.std_error)
    scalar = lyapunov.spectrum(lambda x: math.cos(1.2 * x[0]), 0.2, steps=500)
    assert len(scalar.values) == 1
    one = lyapunov.spectrum(henon, np.array([0.1, 0.1]), jacobian=henon_jacobian, count=1, steps=4000)
    assert one.values[0] == pytest.approx(own.values[0], abs=0.05) and one.kaplan_yorke is None


def test_a_differential_equation_by_its_step_is_per_time():
    h = 0.1
    found = lyapunov.spectrum(
        lambda x: x * math.exp(-2 * h), [1e-3], jacobian=lambda x: math.exp(-2 * h), steps=200, time_step=h
    )
    assert found.values[0] == pytest.approx(-2 * h, abs=1e-12) and found.per_time().values[0] == pytest.approx(
        -2, abs=1e-10
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: [[-1.4 * x[0], 1.0], [0.3, 0.0]],  # a factor
        lambda x: [[-2.8 * x[0], 0.3], [1.0, 0.0]],  # transposed
        lambda x: henon_jacobian(henon(x)),  # at the new point
    ],
)
def test_a_wrong_jacobian_is_found(wrong):
    lyapunov.check_tangent(henon, [0.3, 0.1], jacobian=henon_jacobian)
    with pytest.raises(ValueError, match="not the derivative of the step"):
        lyapunov.check_tangent(henon, [0.3, 0.1], jacobian=wrong)
    with pytest.raises(ValueError, match="not the derivative of the step"):
        lyapunov.spectrum(henon, [0.1, 0.1], jacobian=wrong, steps=100)
    assert lyapunov.spectrum(henon, [0.1, 0.1], jacobian=wrong, steps=100, check=False).steps == 100


def test_a_jump_of_the_map_is_not_a_wrong_jacobian():
    found = lyapunov.spectrum(
        lambda x: (x @ np.array([[2, 1], [1, 1]])) % 1, [0.1, 0.7], jacobian=lambda x: [[2, 1], [1, 1]], steps=500
    )
    assert found.values == pytest.approx([math.log((3 + 5**0.5) / 2), -math.log((3 + 5**0.5) / 2)], abs=1e-10)


def test_a_map_that_runs_away_is_a_finding():
    found = lyapunov.spectrum(lambda x: x * x, [3.0], jacobian=lambda x: 2 * x, steps=50, warm_up=0)
    assert found.diverged == 9 and "diverged" in repr(found)


def test_bad_input_says_what_to_do():
    def refuses(error, words, *a, **k):
        with pytest.raises(error, match=words):
            lyapunov.spectrum(*a, **k)

    refuses(ValueError, "2 numbers are needed", lambda x: [1.0], [0.1, 0.2])
    refuses(ValueError, r"jacobian gave an array of shape \(2,\)", henon, [0.1, 0.1], jacobian=lambda x: [1.0, 2.0])
    refuses(ValueError, "jvp gave", henon, [0.1, 0.1], jvp=lambda x, v: v[:1])
    refuses(ValueError, "not both", henon, [0.1, 0.1], jvp=lambda x, v: v, jacobian=henon_jacobian)
    refuses(TypeError, "jacobian must be a function", henon, [0.1, 0.1], jacobian=[[1, 0], [0, 1]])
    refuses(ValueError, "vector of finite", henon, [[0.1, 0.1]])
    refuses(ValueError, "count = 3", henon, [0.1, 0.1], jacobian=henon_jacobian, count=3)
    refuses(ValueError, "steps = 0", henon, [0.1, 0.1], steps=0)
    refuses(ValueError, "smooth", lambda x: np.floor(20 * x) / 7 + 0.01, [0.1])
    refuses(ZeroDivisionError, "division", lambda x: [1 / 0], [0.1])
    with pytest.raises(ValueError, match="jacobian = none"):
        lyapunov.check_tangent(henon, [0.1, 0.1])
    with pytest.raises(TypeError, match="no parameter 'c'; known are a, b, seed"):
        systems.henon(c=1)
    with pytest.raises(ValueError, match="b = 3"):
        systems.henon(b=3)
    with pytest.raises(AttributeError, match="no system 'lorentz'; known are logistic"):
        systems.lorentz()
    with pytest.raises(KeyboardInterrupt):
        lyapunov.spectrum(interrupt, [0.1], steps=10)


def interrupt(x):
    raise KeyboardInterrupt
