"""Angular triplet loss: as the triplet loss, with angles in place of squared distances."""

from __future__ import annotations

import torch
from torch import Tensor

from lwface.losses.angular import angle
from lwface.losses.base import LOSSES
from lwface.losses.triplet import Alpha, BagSize, ImagesPerIdentity, MaxAP, Triplet


@LOSSES.register_as("atriplet")
class AngularTriplet(Triplet):
    """``max(acos(a . p) - acos(a . n) + alpha, 0)``, mean over the triplets; alpha in radians.

    The original's (insightface ``recognition/arcface_mxnet/train.py``), with its defaults: alpha 0.35, else as
    :class:`lwface.losses.triplet.Triplet`. Triplets are chosen by squared distances with the same number, as there. The
    gradient of acos is the guarded one of :mod:`lwface.losses.angular`: the original's is infinite where two images of
    one person have the same embedding.
    """

    def __init__(
        self,
        *,
        images_per_identity: ImagesPerIdentity = 5,
        triplet_alpha: Alpha = 0.35,
        triplet_bag_size: BagSize = 7200,
        triplet_max_ap: MaxAP = 0.0,
    ) -> None:
        super().__init__(
            images_per_identity=images_per_identity,
            triplet_alpha=triplet_alpha,
            triplet_bag_size=triplet_bag_size,
            triplet_max_ap=triplet_max_ap,
        )

    def excess(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """By how much each triplet misses the margin, at least 0 (T,), of unit rows (T, D) each."""
        near, far = (angle((anchor * other).sum(dim=1)) for other in (positive, negative))
        return torch.relu(near - far + self.alpha)
