"""Triplet loss: an image is to be nearer to another of the same person than to one of somebody else, by a margin."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lwface.base.errors import UserError
from lwface.base.setting import Setting
from lwface.losses.base import LOSSES, BatchLoss, Loss
from lwface.losses.classes import l2_normalise

ImagesPerIdentity = Annotated[int, Setting("images of each person in a bag at most", minimum=2)]
Alpha = Annotated[float, Setting("by how much the other person must be farther", minimum=0)]
BagSize = Annotated[
    int, Setting("images that are looked at at once for triplets; more than there are: all of them", minimum=3)
]
MaxAP = Annotated[float, Setting("leave out pairs of one person at a larger squared distance; 0: none", minimum=0)]


@LOSSES.register_as("triplet")
class Triplet(BatchLoss):
    """``max(|a - p|**2 - |a - n|**2 + alpha, 0)``, mean over the triplets, of L2-normalised embeddings.

    A batch is a third anchors, then their positives, then their negatives (Schroff et al., "FaceNet", CVPR 2015, with
    the batches that insightface's ``recognition/arcface_mxnet/triplet_image_iter.py`` makes; which triplets:
    :mod:`lwface.losses.semi_hard`). Where a row was replaced, as its image did not decode, and the labels show that it
    is no triplet any more, it counts 0.

    Defaults are the original's (``sample_config.py``): 5 images a person, bags of 7200, alpha 0.3, no limit to the
    distance of a positive.
    """

    def __init__(
        self,
        *,
        images_per_identity: ImagesPerIdentity = 5,
        triplet_alpha: Alpha = 0.3,
        triplet_bag_size: BagSize = 7200,
        triplet_max_ap: MaxAP = 0.0,
    ) -> None:
        super().__init__()
        self.images_per_identity, self.bag_size = images_per_identity, triplet_bag_size
        self.alpha, self.max_ap = triplet_alpha, triplet_max_ap

    def forward(self, embeddings: Tensor, labels: Tensor) -> Loss:
        """The mean over the triplets of ``embeddings`` (3 T, D); right are the rows of those that keep the margin.

        Computed in float32 at least, under autocast too.

        Raises:
            UserError: the number of rows is no multiple of 3.
        """
        if len(embeddings) % 3:
            raise UserError(f"a batch of {len(embeddings)} images is no number of triplets: expected a multiple of 3")
        with torch.autocast(embeddings.device.type, enabled=False):
            rows = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            anchor, positive, negative = l2_normalise(rows).chunk(3)
            excess = self.excess(anchor, positive, negative)  # (T,)
        of_anchor, of_positive, of_negative = labels.chunk(3)
        excess = excess * ((of_anchor == of_positive) & (of_anchor != of_negative))
        return Loss(excess.mean(), 3 * (excess == 0).sum())

    def excess(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """By how much each triplet misses the margin, at least 0 (T,), of unit rows (T, D) each."""
        near, far = ((anchor - other).square().sum(dim=1) for other in (positive, negative))
        return torch.relu(near - far + self.alpha)
