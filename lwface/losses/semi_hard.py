"""Semi-hard triplets of a bag of embeddings (Schroff et al., "FaceNet", CVPR 2015, section 3.2).

For each pair of a person's images, anchor before positive in the bag's order, the negative is drawn from all images of
other people that are farther from the anchor than the positive is, but by less than alpha, in squared distances of
L2-normalised embeddings. So selects insightface's ``triplet_image_iter.py``, of which this is a vectorised form.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 256  # pairs whose distances to the whole bag are looked at together


def pairs_of_people(labels: Tensor) -> Tensor:
    """All pairs (P, 2) of rows with one label, the first before the second, in order; labels (N,) lie in runs."""
    rows = torch.arange(len(labels))
    starts = torch.ones(len(labels), dtype=torch.bool)
    starts[1:] = labels[1:] != labels[:-1]
    run = starts.cumsum(0) - 1  # (N,), of each row
    ends = torch.cat([rows[starts][1:], torch.tensor([len(labels)])])[run]  # (N,)
    later = ends - rows - 1  # (N,), how many rows of the same run follow
    first = rows.repeat_interleave(later)
    place = torch.arange(len(first)) - (later.cumsum(0) - later).repeat_interleave(later)
    return torch.stack([first, first + 1 + place], dim=1)


def select_triplets(
    embeddings: Tensor, labels: Tensor, *, alpha: float, max_ap: float = 0.0, generator: torch.Generator
) -> Tensor:
    """Triplets (T, 3) of rows: anchor, positive, negative, in random order.

    Args:
        embeddings: (N, D) unit rows, on the CPU.
        labels: (N,) integers; the images of a person lie together.
        alpha: how much farther than the positive a negative may be; infinity: any, and the nearest is taken.
        max_ap: pairs at a larger squared distance are left out; 0: none.
        generator: of the draws, on the CPU.
    """
    pairs = pairs_of_people(labels)
    near = (embeddings[pairs[:, 0]] - embeddings[pairs[:, 1]]).square().sum(dim=1)  # (P,)
    if max_ap > 0:
        pairs, near = pairs[near <= max_ap], near[near <= max_ap]
    draws = torch.rand(len(pairs), generator=generator, dtype=torch.float64)
    found = [torch.empty(0, 3, dtype=torch.int64)]
    squares = embeddings.square().sum(dim=1)
    for rows, near_rows, draw in zip(pairs.split(BLOCK), near.split(BLOCK), draws.split(BLOCK), strict=True):
        anchors = rows[:, 0]
        far = squares[anchors][:, None] + squares - 2 * embeddings[anchors] @ embeddings.T  # (P, N)
        candidate = (labels[anchors][:, None] != labels) & (far > near_rows[:, None])
        if alpha == float("inf"):
            negative = far.masked_fill(~candidate, alpha).argmin(dim=1)
        else:
            candidate &= far - near_rows[:, None] < alpha
            wanted = (draw * candidate.sum(dim=1)).long() + 1  # which of the candidates, from 1
            negative = (candidate.cumsum(dim=1) >= wanted[:, None]).int().argmax(dim=1)
        kept = candidate.any(dim=1)
        found.append(torch.cat([rows, negative[:, None]], dim=1)[kept])
    triplets = torch.cat(found)
    return triplets[torch.randperm(len(triplets), generator=generator)]
