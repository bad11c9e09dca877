"""The faceless challenge solved with a trained network, from its files to a ranking."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.device import select_device
from lwface.base.errors import UserError
from lwface.base.notes import note
from lwface.formats.sequence_pickles import Signatures, read_signatures
from lwface.sequences.clip_training import load_sequence_network
from lwface.sequences.clips import Clip, clips_of, halves_of, read_points
from lwface.sequences.evidence import gather
from lwface.sequences.images import Images
from lwface.sequences.solver import Ranking, rank


@dataclass(frozen=True)
class SequenceFiles:
    """Files of one side.

    Attributes:
        images: tar or folder. ``pose``, ``signatures``: pickles, or None.
    """

    images: Path
    pose: Path | None = None
    signatures: Path | None = None


def solve_with_model(
    model: str,
    train: SequenceFiles,
    test: SequenceFiles | None = None,
    *,
    ratio: float = 0.5,
    without: frozenset[str] = frozenset(),
    device: str = "auto",
) -> Ranking:
    """Rank people for the videos of ``test``, or for those of ``train`` that are not learnt from.

    Raises:
        UserError: a file or model is not what it should be, or no video is left to judge by.
    """
    network, place = load_sequence_network(model), select_device(device)
    with contextlib.ExitStack() as stack:
        images = stack.enter_context(Images(train.images))
        clips = clips_of(images.paths, train.images)
        learnt, asked = halves_of(clips, 1.0 if test else ratio)
        if not asked and not test:
            raise UserError(f"{train.images}: no video is left to judge by, ratio {ratio:g}; give --test")
        points = known_points(train, clips)
        weigh = "quality" not in without
        first = gather(network, images, points, learnt, place, weigh=weigh)
        if test:
            images = stack.enter_context(Images(test.images))
            asked = clips_of(images.paths, test.images)
            points = known_points(test, asked)
        second = gather(network, images, points, asked, place, weigh=weigh)
    sides = [train, *([test] if test else [])]
    return rank(first, second, signatures=read_all(sides), without=without)


def read_all(sides: Sequence[SequenceFiles]) -> list[Signatures]:
    """The signatures of the sides that have some; :class:`UserError` where not all have, or widths differ."""
    given = [side.signatures for side in sides if side.signatures]
    if given and len(given) != len(sides):
        raise UserError("--signatures and --test-signatures: give both, or none")
    found = [read_signatures(path) for path in given]
    if len({one.signatures.shape[1] for one in found}) > 1:
        widths = " and ".join(str(one.signatures.shape[1]) for one in found)
        raise UserError(f"signatures of {widths} numbers: both must come from one model")
    return found


def known_points(side: SequenceFiles, clips: Sequence[Clip]) -> dict[str, NDArray[np.float32]]:
    """The poses of one side; how many frames have none is said."""
    names = [path for clip in clips for path in clip.paths]
    points = read_points(side.pose, names) if side.pose else {}
    if len(points) < len(names):
        note(f"{side.pose or side.images}: no pose of {len(names) - len(points)} of {len(names)} frames")
    return points
