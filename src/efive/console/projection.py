"""Vectors on a plane: principal components."""

import numpy as np
import numpy.typing as npt

from efive.engines.base import Floats

Points = npt.NDArray[np.float64]


def plane(vectors: Floats) -> tuple[Points, float]:
    """Project vectors onto the two directions in which they differ most.

    Args:
        vectors: (n, dimension), finite.

    Returns:
        Points (n, 2), and the share of the variance that they keep, 0 to 1. Directions are turned so that the point
        farthest out is positive: the picture does not flip when a text is added.
    """
    points = np.zeros((len(vectors), 2))
    centred = np.asarray(vectors, dtype=np.float64)
    if len(vectors) < 2:
        return points, 1.0
    centred = centred - centred.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    total = float(np.square(sizes).sum())
    if total < 1e-12:  # all the same
        return points, 1.0
    kept = min(2, len(sizes))
    points[:, :kept] = left[:, :kept] * sizes[:kept]
    farthest = np.abs(points).argmax(axis=0)
    points *= np.where(points[farthest, [0, 1]] < 0, -1.0, 1.0)
    return points, float(np.square(sizes[:kept]).sum()) / total
