"""Quality heads on disk: which frames of a video to trust, learned for the features of one model.

One safetensors file: ``weight`` (D + 1,) and ``bias`` (1,), float64, see
:class:`lwface.features.aggregation.QualityWeighted`; as metadata the model that it belongs to and how it was trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing
from lwface.features.aggregation import QualityWeighted
from lwface.features.quality_files import find_quality, remedy

KEY = "quality_head"  # one key: safetensors keeps no order among several


@dataclass(frozen=True)
class QualityHead:
    """The logit of a frame is ``weight`` . (its feature, ln of the feature's norm) + ``bias``.

    Attributes:
        weight: (D + 1,) float64.
        bias: makes the mean logit of the frames it was trained on 0.
    """

    weight: np.ndarray
    bias: float

    def weighting(self, views: int = 1) -> QualityWeighted:
        """The aggregation by this head; ``views`` as in :class:`lwface.features.aggregation.QualityWeighted`."""
        identity = hashlib.sha256(self.weight.tobytes() + np.float64(self.bias).tobytes()).hexdigest()
        return QualityWeighted(identity, self.weight, self.bias, views)


def save_quality(path: PathLike, head: QualityHead, model_sha256: str, facts: Mapping[str, str | int | float]) -> None:
    """Write ``head`` beside and rename.

    Args:
        model_sha256: identifies the model whose features it is for.
        facts: how it was trained, for people to read.
    """
    tensors = {"weight": head.weight.astype(np.float64), "bias": np.array([head.bias], np.float64)}
    about = {"model_sha256": model_sha256, "embedding_size": len(head.weight) - 1, **facts}
    with replacing(Path(path)) as file:
        file.write(save(tensors, metadata={KEY: json.dumps(about, sort_keys=True)}))


def load_quality(path: PathLike, model_sha256: str, model: str) -> QualityHead:
    """The head of ``path``.

    Args:
        model_sha256: the model whose features it is to weigh.
        model: what the user calls that model.

    Raises:
        UserError: no such file, damaged, not a quality head, or of another model.
    """
    find_quality(path, model)
    what_to_do = remedy(path, model)
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})[KEY])
            weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
            width, made_for = int(about["embedding_size"]), str(about["model_sha256"])
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise UserError(f"{path}: damaged or not a quality head; {what_to_do}") from None
    if made_for != model_sha256:
        models = f"trained for the model {made_for[:12]}, and {model} is {model_sha256[:12]}"
        raise UserError(f"{path}: {models}; {what_to_do}")
    whole = weight.shape == (width + 1,) and bias.shape == (1,) and weight.dtype == bias.dtype == np.float64
    if not (whole and np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise UserError(f"{path}: damaged: its numbers are not those of a quality head; {what_to_do}")
    return QualityHead(weight, float(bias[0]))
