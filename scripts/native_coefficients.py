"""Fits the polynomials of src/native/functions.h and prints their coefficients, lowest power first."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Chebyshev, Polynomial
from scipy.special import log_ndtr, ndtr

Doubles = npt.NDArray[np.float64]
Function = Callable[[Doubles], Doubles]


def minimax(function: Function, weight: Function, low: float, high: float, degree: int) -> tuple[float, Doubles]:
    """Return the largest weighted error and the coefficients, by Lawson's repeated least squares."""
    unit = np.cos(np.pi * (np.arange(4001) + 0.5) / 4001)
    x = (low + high) / 2 + (high - low) / 2 * unit
    matrix, values, weights = np.polynomial.chebyshev.chebvander(unit, degree), function(x), weight(x)
    emphasis = np.ones_like(x)
    best, found = np.inf, np.zeros(degree + 1)
    for _ in range(600):
        root = np.sqrt(emphasis) * weights
        fitted = np.linalg.lstsq(matrix * root[:, None], values * root, rcond=None)[0]
        error = np.abs(matrix @ fitted - values) * weights
        if error.max() < best:
            best, found = float(error.max()), fitted
        emphasis *= error / error.max() + 1e-3
        emphasis /= emphasis.sum()
    return best, Chebyshev(found, domain=[low, high]).convert(kind=Polynomial).coef


def main() -> None:
    """Print both fits."""
    fits = {
        "2^x on [-1/2, 1/2], relative": minimax(np.exp2, lambda x: np.exp2(-x), -0.5, 0.5, 5),
        # An error d of the logarithm is an error of t Φ(-t) ln 2 d in GELU.
        "log2 Φ(-t) on [0, 6], absolute in GELU": minimax(
            lambda t: log_ndtr(-t) / np.log(2), lambda t: np.maximum(t, 0.02) * ndtr(-t) * np.log(2), 0, 6, 7
        ),
    }
    for name, (error, coefficients) in fits.items():
        print(f"{name}: error {error:.1e}\n  " + " ".join(f"{c:.9e}" for c in coefficients))  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
