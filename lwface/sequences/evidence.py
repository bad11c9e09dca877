"""What a trained network says of whole sequences, gathered for the solver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.evaluating import evaluating
from lwface.base.progress import progress
from lwface.sequences.clip_options import PARTS
from lwface.sequences.clips import Clip, frames_of, points_of
from lwface.sequences.images import Images
from lwface.sequences.network import SequenceNetwork
from lwface.sequences.pose_regions import mirrored_points

WINDOW = 32  # frames of a sequence that are judged together; a longer one is several, joined by their weights
AT_ONCE = 64  # frames that go through the network at once


@dataclass(frozen=True, eq=False)
class SequenceEvidence:
    """Embeddings of S sequences.

    Attributes:
        clips: the sequences.
        embeddings: (S, parts, D) float64. ``weights``: (S, parts) float64, how much of each was seen; 0: nothing.
    """

    clips: list[Clip]
    embeddings: NDArray[np.float64]
    weights: NDArray[np.float64]


def gather(
    network: SequenceNetwork,
    images: Images,
    points: Mapping[str, NDArray[np.float32]],
    clips: Sequence[Clip],
    device: torch.device,
    *,
    weigh: bool = True,
) -> SequenceEvidence:
    """The evidence of ``clips``, as they are and mirrored; each depends on its own frames alone.

    Args:
        points: the poses, by path.
        weigh: frames count by their quality; otherwise alike.
    """
    network = network.to(device)
    network.weigh = weigh
    windows = _windows(clips)
    weights = np.zeros((len(clips), len(PARTS)))
    sums = np.zeros((len(clips), len(PARTS), network.embedding_size))
    label = f"sequences of {images.path.name}"
    with (
        evaluating(network),
        torch.inference_mode(),
        progress(total=len(windows), label=label, unit=" parts") as bar,
    ):
        for batch in _batches(windows):
            frames = torch.from_numpy(np.stack([frames_of(images, paths) for _, paths in batch]))
            poses = torch.from_numpy(np.stack([points_of(points, paths) for _, paths in batch]))
            shown, poses = frames.to(device).permute(0, 1, 4, 2, 3), poses.to(device)
            owners = [clip for clip, _ in batch]
            for found in (network(shown, poses), network(shown.flip(-1), mirrored_points(poses))):
                share, rows = (one.double().cpu().numpy() for one in (found.weights, found.embeddings))
                np.add.at(weights, owners, share)
                np.add.at(sums, owners, share[..., None] * rows)
            bar.update(len(batch))
    embeddings = sums / np.maximum(weights, 1e-12)[..., None]
    return SequenceEvidence(list(clips), embeddings, weights)


def _windows(clips: Sequence[Clip]) -> list[tuple[int, tuple[str, ...]]]:
    """Pieces of sequences: whose, by place, and the paths of their frames."""
    return [
        (place, clip.paths[start : start + WINDOW])
        for place, clip in enumerate(clips)
        for start in range(0, len(clip.paths), WINDOW)
    ]


def _batches(windows: list[tuple[int, tuple[str, ...]]]) -> Iterator[list[tuple[int, tuple[str, ...]]]]:
    """Neighbours of equal length together, at most :data:`AT_ONCE` frames but for one that is longer."""
    batch: list[tuple[int, tuple[str, ...]]] = []
    for window in windows:
        length = len(window[1])
        if batch and (len(batch[0][1]) != length or (len(batch) + 1) * length > AT_ONCE):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
