"""Embeddings in the plane: their principal components, or t-SNE (van der Maaten and Hinton, JMLR 9, 2008), exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.progress import progress

PCA, TSNE = LAYOUTS = ("pca", "tsne")
MOST = 5000  # points of a t-SNE: it looks at all pairs, a thousand times
STEPS, EARLY = 750, 200  # of its descent; in the first ones neighbours attract four times as much (section 3.4)
EXAGGERATION = 4.0
SLOWEST = 20.0  # learning rate of few points; of many it is an eighth of their number
Plane = NDArray[np.float64]  # (N, 2)


def lay_out(rows: NDArray[np.floating], how: str, *, perplexity: float = 30.0) -> Plane:
    """Places (N, 2) of ``rows`` (N, D), the same each time.

    Raises:
        UserError: they are too many, or fewer than two.
    """
    if len(rows) < 2:
        raise UserError(f"{len(rows)} point: expected two or more to lay out")
    return pca(rows) if how == PCA else tsne(rows, perplexity=perplexity)


def pca(rows: NDArray[np.floating]) -> Plane:
    """The first two principal components (N, 2); the largest entry of each direction is positive."""
    centred = np.asarray(rows, np.float64) - np.mean(rows, axis=0, dtype=np.float64)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    found = centred @ (signs[:, None] * directions).T
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def tsne(rows: NDArray[np.floating], *, perplexity: float = 30.0) -> Plane:
    """t-SNE (N, 2) from the principal components on.

    Args:
        perplexity: how many neighbours a point has, about; a third of all others at most.
    """
    if len(rows) > MOST:
        raise UserError(f"{len(rows)} points: t-SNE looks at all pairs, up to {MOST} points; take pca, or videos")
    alike = affinities(np.asarray(rows, np.float64), max(1.0, min(perplexity, (len(rows) - 1) / 3)))
    start = pca(rows)
    places = 1e-4 * start / (start[:, :1].std() or 1.0)
    speed, gain = np.zeros_like(places), np.ones_like(places)
    rate = max(len(rows) / 8, SLOWEST)
    for step in progress(range(STEPS), label="t-SNE", unit=" steps"):
        slope = gradient((EXAGGERATION if step < EARLY else 1.0) * alike, places)
        # Jacobs' gains, as in the authors' program: faster along what keeps its direction.
        gain = np.maximum(np.where(np.sign(slope) != np.sign(speed), gain + 0.2, gain * 0.8), 0.01)
        speed = (0.5 if step < EARLY else 0.8) * speed - rate * gain * slope
        places = places + speed
        places -= places.mean(axis=0)
    return places


def affinities(rows: NDArray[np.float64], perplexity: float) -> NDArray[np.float64]:
    """Joint probabilities (N, N) of neighbours, which sum to 1 (equations 1 and 3.1; entropies within 1e-5)."""
    norms = (rows**2).sum(axis=1)
    distances = np.maximum(norms[:, None] + norms[None] - 2 * rows @ rows.T, 0)
    np.fill_diagonal(distances, np.inf)
    distances -= distances.min(axis=1, keepdims=True)  # what is taken off cancels out
    low, high = np.zeros(len(rows)), np.full(len(rows), np.inf)
    sharpness = 1 / np.maximum(np.where(np.isfinite(distances), distances, 0).mean(axis=1), 1e-12)
    for _ in range(64):  # halving
        weights = np.exp(-distances * sharpness[:, None])
        total = weights.sum(axis=1)
        finite = np.where(weights > 0, distances, 0)
        entropy = np.log(total) + sharpness * (weights * finite).sum(axis=1) / total
        wide = entropy > np.log(perplexity)
        if np.abs(entropy - np.log(perplexity)).max() < 1e-5:
            break
        low, high = np.where(wide, sharpness, low), np.where(wide, high, sharpness)
        sharpness = np.where(np.isinf(high), 2 * sharpness, (low + np.where(np.isinf(high), 0, high)) / 2)
    chosen = weights / total[:, None]
    return (chosen + chosen.T) / (2 * len(rows))


def gradient(alike: NDArray[np.float64], places: Plane) -> Plane:
    """Of the Kullback-Leibler divergence by the places (N, 2), equation 5."""
    kernel = student(places)
    pull = (alike - kernel / kernel.sum()) * kernel
    return np.asarray(4 * (pull.sum(axis=1)[:, None] * places - pull @ places))


def student(places: Plane) -> NDArray[np.float64]:
    """(N, N) ``1 / (1 + distance ** 2)``, 0 of a point with itself."""
    norms = (places**2).sum(axis=1)
    kernel = 1 / (1 + np.maximum(norms[:, None] + norms[None] - 2 * places @ places.T, 0))
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel)
