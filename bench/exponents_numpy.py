"""Steps per second of the full Lyapunov spectrum in numpy, for comparison with `cargo bench -p lyapunov-bench --bench
exponents`.

The same method: deviations through the same stages, QR at every step. Deviations are the columns of one matrix, so
numpy works on whole matrices. Run with one thread: OMP_NUM_THREADS=1 python bench/exponents_numpy.py
"""

import time

import numpy as np


def measure(name, advance, x, n, steps):
    q, sums = np.eye(n), np.zeros(n)
    start = time.perf_counter()
    for _ in range(steps):
        x, q = advance(x, q)
        q, r = np.linalg.qr(q)
        sums += np.log(np.abs(np.diag(r)))
    rate = steps / (time.perf_counter() - start)
    print(f"{name:30} {rate:10.0f} steps/s   largest {sums[0] / steps:.5f} per step")


def henon(x, q):
    jacobian = np.array([[-2.8 * x[0], 1.0], [0.3, 0.0]])
    return np.array([1.0 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]), jacobian @ q


def runge_kutta(field, tangent, h):
    def advance(x, q):
        k1 = field(x)
        p2 = x + 0.5 * h * k1
        k2 = field(p2)
        p3 = x + 0.5 * h * k2
        k3 = field(p3)
        p4 = x + h * k3
        k4 = field(p4)
        d1 = tangent(x, q)
        d2 = tangent(p2, q + 0.5 * h * d1)
        d3 = tangent(p3, q + 0.5 * h * d2)
        d4 = tangent(p4, q + h * d3)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), q + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)

    return advance


def lorenz63(x):
    return np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])


def lorenz63_tangent(x, q):
    return np.array([[-10, 10, 0], [28 - x[2], -1, -x[0]], [x[1], x[0], -8 / 3]]) @ q


def lorenz96(x):
    return (np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + 8


def lorenz96_tangent(x, q):
    slope = (np.roll(x, -1) - np.roll(x, 2))[:, None]
    before = np.roll(x, 1)[:, None]
    return (np.roll(q, -1, 0) - np.roll(q, 2, 0)) * before + slope * np.roll(q, 1, 0) - q


if __name__ == "__main__":
    print("numpy", np.__version__)
    measure("henon, 2 exponents", henon, np.array([0.1, 0.1]), 2, 20_000)
    measure(
        "lorenz63, 3 exponents", runge_kutta(lorenz63, lorenz63_tangent, 0.01), np.array([1.0, 1.0, 20.0]), 3, 20_000
    )
    start = np.full(40, 8.0)
    start[0] += 0.01
    measure("lorenz96, n = 40, 40 exponents", runge_kutta(lorenz96, lorenz96_tangent, 0.01), start, 40, 2_000)
