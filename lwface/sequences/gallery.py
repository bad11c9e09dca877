"""Embeddings with a picture each, of signatures or of a trained network: what is shown of a set of sequences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.sequence_paths import FramePath, frame_paths
from lwface.formats.sequence_pickles import read_signatures
from lwface.sequences.images import Images
from lwface.sequences.naive import group_means, unit_means
from lwface.sequences.signing import resized

SIDE = 64  # pixels of a picture
FRAME, VIDEO = "frame", "video"


class Pictured(NamedTuple):
    """Points to be shown.

    Attributes:
        rows: (N, D) float64, of length 1. ``names``: N folders, or paths of frames. ``people``: whose; empty: not told.
        pictures: N images (64, 64, 3) uint8 RGB, the middle frame of each.
    """

    rows: NDArray[np.float64]
    names: list[str]
    people: list[str]
    pictures: list[NDArray[np.uint8]]


def unit_of(frame: FramePath, path: str, unit: str) -> str:
    """What the frame at ``path`` is a part of: itself, its sequence, or its video where it is told."""
    return path if unit == FRAME else (frame.video or frame.sequence) if unit == VIDEO else frame.sequence


def of_signatures(signatures: Path, frames: Path, unit: str, people: int | None = None) -> Pictured:
    """The mean signature of each ``unit``, with pictures out of ``frames``.

    Raises:
        UserError: the signatures are of frames that are not there, or nobody is left.
    """
    found = read_signatures(signatures)
    paths = frame_paths(found.paths, signatures)
    kept = chosen_rows([one.person for one in paths], people)
    rows = found.signatures[kept]
    names = [unit_of(paths[row], found.paths[row], unit) for row in kept]
    groups, means = group_means(names, rows)
    members: dict[str, list[str]] = {name: [] for name in groups}
    for row, name in zip(kept, names, strict=True):
        members[name].append(found.paths[row])
    owners = dict(zip(names, (paths[row].person for row in kept), strict=True))
    with Images(frames) as images:
        missing = next((path for some in members.values() for path in some if path not in images), None)
        if missing:
            raise UserError(f"{frames}: holds no {missing}, which {signatures} has a signature of")
        pictures = [picture(images, members[name]) for name in groups]
    return Pictured(unit_means(means, groups), groups, [owners[name] for name in groups], pictures)


def of_model(
    model: str, frames: Path, pose: Path | None, *, unit: str, people: int | None = None, device: str = "auto"
) -> Pictured:
    """What the network ``model`` says of each sequence or video: its parts side by side, each as long as it counts."""
    from lwface.base.device import select_device
    from lwface.sequences.clip_options import PARTS
    from lwface.sequences.clip_training import load_sequence_network
    from lwface.sequences.clips import clips_of
    from lwface.sequences.evidence import gather
    from lwface.sequences.solver import APART
    from lwface.sequences.solving import SequenceFiles, known_points

    network, place = load_sequence_network(model), select_device(device)
    with Images(frames) as images:
        clips = clips_of(images.paths, frames)
        clips = [clips[row] for row in chosen_rows([clip.person for clip in clips], people)]
        evidence = gather(network, images, known_points(SequenceFiles(frames, pose), clips), clips, place)
        names = [clip.video if unit == VIDEO else clip.name for clip in clips]
        weighted = evidence.embeddings * evidence.weights[..., None]
        groups, means = group_means(names, weighted.reshape(len(clips), -1))
        parts = means.reshape(len(groups), *weighted.shape[1:])
        lengths = np.linalg.norm(parts, axis=2, keepdims=True)
        rows = np.divide(parts, lengths, out=np.zeros_like(parts), where=lengths > 0)
        rows = (rows * np.sqrt([APART[part] for part in PARTS])[:, None]).reshape(len(groups), -1)
        first = dict(reversed(list(zip(names, clips, strict=True))))
        pictures = [picture(images, first[name].paths) for name in groups]
    return Pictured(unit_means(rows, groups), groups, [first[name].person for name in groups], pictures)


def chosen_rows(people: list[str], most: int | None) -> list[int]:
    """The rows of the first ``most`` people, sorted; None: all."""
    if most is None:
        return list(range(len(people)))
    first = set(sorted(set(people))[:most])
    return [row for row, person in enumerate(people) if person in first]


def picture(images: Images, paths: Iterable[str]) -> NDArray[np.uint8]:
    """The middle one of ``paths``."""
    some = sorted(paths)
    return resized(images[some[len(some) // 2]], (SIDE, SIDE))
