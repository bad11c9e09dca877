"""Embeddings in the plane: their principal components, or t-SNE (van der Maaten and Hinton, JMLR 9, 2008)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.extras import available, missing

PCA, TSNE = LAYOUTS = ("pca", "tsne")
Plane = NDArray[np.float64]  # (N, 2)


def lay_out(rows: NDArray[np.floating], how: str, *, perplexity: float = 30.0) -> Plane:
    """Places (N, 2) of ``rows`` (N, D), the same each time.

    Raises:
        UserError: they are fewer than two, or scikit-learn is not installed for a t-SNE.
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
    """t-SNE (N, 2) by scikit-learn, from the principal components on.

    Args:
        perplexity: how many neighbours a point has, about; a third of all others at most.

    Raises:
        UserError: scikit-learn is not installed.
    """
    if not available("sklearn"):
        raise missing("scikit-learn", "embeddings", "; or take --layout pca")
    from sklearn.manifold import TSNE as Descent

    start = pca(rows)
    spread = start[:, :1].std()
    if not spread:  # all on one spot
        return start
    around = min(perplexity, max(1.0, (len(rows) - 1) / 3))
    found = Descent(perplexity=around, init=1e-4 * start / spread, random_state=0, n_jobs=1).fit_transform(rows)
    return np.asarray(found, np.float64)
