"""The gate of a track that wants the model too: it is counted, held against the limits, and tried on some samples.

The server runs it on images of the starting kit itself and compares with what was handed in. Which images, the
submission's bytes and a secret of the server decide: nobody can choose a file that is looked at where it is honest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from lwface.challenge.kinds import IMAGES, KEYPOINTS, LANDMARKS, VIDEOS, ChallengeTrack
from lwface.challenge.results import Malformed, judging
from lwface.gate.flops import FlopsReport, budget_violations, count_flops
from lwface.hosting.trial import ModelTrial
from lwface.hosting.trial_features import try_images, try_videos
from lwface.hosting.trial_points import try_keypoints, try_landmarks
from lwface.landmarks.keypoint_choices import INPUT_SHAPE
from lwface.landmarks.keypoint_models import load_keypoint_model
from lwface.models.store import load_model

TRIALS: dict[str, Callable[[ModelTrial], dict[str, Any]]] = {
    IMAGES.name: try_images,
    VIDEOS.name: try_videos,
    LANDMARKS.name: try_landmarks,
    KEYPOINTS.name: try_keypoints,
}


def pass_gate(track: ChallengeTrack, model: Path, submission: Path, kit: Path, secret: bytes) -> dict[str, Any]:
    """What the gate found: ``flops``, ``model_bytes``, ``parameters``, ``embedding``, and what the trial tells.

    Args:
        kit: the starting kit of the track.

    Raises:
        Malformed: the model breaks a limit, is none, or has not made the submission.
        UserError: the kit lacks what the model is tried on.
    """
    with judging(model):
        network, report = _counted(track, model)
    size = max(report.model_bytes, model.stat().st_size)
    found = budget_violations(report, track.limits, size) if track.limits is not None else []
    if found:
        raise Malformed(model.name, "; ".join(found))
    told = {
        "flops": report.flops,
        "model_bytes": size,
        "parameters": report.params,
        "embedding": report.embedding,
        "number_type": report.number_type,
    }
    if not track.is_tried:
        return told | {"tried": "no: on this track models are counted alone"}
    return told | TRIALS[track.kind](ModelTrial(network, model, submission, kit, secret))


def _counted(track: ChallengeTrack, model: Path) -> tuple[nn.Module, FlopsReport]:
    if track.kind == KEYPOINTS.name:
        network = load_keypoint_model(str(model))
        return network, count_flops(network, INPUT_SHAPE)
    other, _ = load_model(str(model))
    return other, count_flops(other)
