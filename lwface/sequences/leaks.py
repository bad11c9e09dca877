"""Is anything of one video on both sides of a split? Such a split measures memory: neighbouring frames are alike.

Two things are looked for: videos that both sides name, by the numbers of person and video, whatever stands above them
and however the video is spelled; and frames that are byte for byte the same, which tell a video even where evaluation
paths do not name it. Frames of one video that differ and are named otherwise are not found.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.formats.sequence_paths import FramePath, frame_paths
from lwface.formats.sequence_pickles import read_signatures
from lwface.formats.text_files import numbered_lines
from lwface.sequences.images import Images

VIDEO, CONTENT = "video", "content"
IMAGES, SIGNATURES, NAMES = "images", "signatures", "names"


class LeakError(UserError):
    """A split leaks."""

    exit_status = 1


class Leak(NamedTuple):
    """Something that is on both sides.

    Attributes:
        kind: :data:`VIDEO` or :data:`CONTENT`.
        first, second: what it is called on each side.
        frames: how many there are on each side, of a video; 1 and 1 of a frame.
    """

    kind: str
    first: str
    second: str
    frames: tuple[int, int]


@dataclass(frozen=True)
class Side:
    """One side of a split.

    Attributes:
        source: file or folder.
        frames: their paths, taken apart.
        paths: of the frames.
        kind: what ``digests`` are of; :data:`NAMES` where there are none.
        digests: of each frame's content.
    """

    source: Path
    frames: list[FramePath]
    paths: list[str]
    kind: str = NAMES
    digests: list[bytes] = field(default_factory=list)

    @property
    def names_videos(self) -> bool:
        """Whether the paths say person and video."""
        return self.frames[0].person_number >= 0


def read_side(path: Path, *, contents: bool = True) -> Side:
    """A tar or folder of images, ``signatures.pkl``, or a text of paths, one a line.

    Args:
        path: the file or folder.
        contents: look at the frames' contents too.

    Raises:
        UserError: it is none of these, or a path has none of the challenge's forms.
    """
    if path.suffix.lower() == ".pkl":
        paths, rows = read_signatures(path)
        digests = [hashlib.sha256(row.tobytes()).digest() for row in rows] if contents else []
        return Side(path, frame_paths(paths, path), paths, SIGNATURES if contents else NAMES, digests)
    if path.suffix.lower() in (".txt", ".lst"):
        paths = [line for _, line in numbered_lines(path, names=True) if line]
        return Side(path, frame_paths(paths, path), paths)
    with Images(path) as images:
        frames = frame_paths(images.paths, path)
        if not contents:
            return Side(path, frames, images.paths)
        every = progress(images.paths, label=f"contents of {path.name}", unit=" frames")
        digests = [hashlib.sha256(images.read(name)).digest() for name in every]
    return Side(path, frames, images.paths, IMAGES, digests)


def find_leaks(first: Side, second: Side) -> list[Leak]:
    """What is on both sides: videos by their names, then frames of other videos by their content."""
    mine, theirs = _videos(first), _videos(second)
    shared = sorted(mine.keys() & theirs.keys())
    found = [Leak(VIDEO, mine[key][0], theirs[key][0], (mine[key][1], theirs[key][1])) for key in shared]
    if first.kind != second.kind or first.kind == NAMES:
        return found
    told = set(shared)
    places = {digest: place for place, digest in reversed(list(enumerate(first.digests)))}
    for place, digest in enumerate(second.digests):
        other = places.get(digest)
        if other is not None and not (_key(second.frames[place]) in told and _key(first.frames[other]) in told):
            found.append(Leak(CONTENT, first.paths[other], second.paths[place], (1, 1)))
    return found


def not_looked_at(first: Side, second: Side) -> list[str]:
    """What could not be compared, in words."""
    lines = [
        f"{side.source}: its paths name no person and video, so videos cannot be compared by name"
        for side in (first, second)
        if not side.names_videos
    ]
    if NAMES in (first.kind, second.kind):
        lines.append("contents were not compared")
    elif first.kind != second.kind:
        lines.append(f"contents were not compared: {first.kind} here, {second.kind} there")
    return lines


def leak_lines(leaks: list[Leak], most: int = 10) -> list[str]:
    """A line for each of the first leaks."""
    lines = []
    for leak in leaks[:most]:
        if leak.kind == VIDEO:
            lines.append(f"one video: {leak.first} ({leak.frames[0]} frames) and {leak.second} ({leak.frames[1]})")
        else:
            lines.append(f"one frame: {leak.first} and {leak.second}")
    return [*lines, f"... {len(leaks) - most} more"] if len(leaks) > most else lines


def _key(frame: FramePath) -> tuple[int, int]:
    return frame.person_number, frame.video_number


def _videos(side: Side) -> dict[tuple[int, int], tuple[str, int]]:
    """By the numbers of person and video: the video's folder, and how many frames it has."""
    if not side.names_videos:
        return {}
    counts = Counter(map(_key, side.frames))
    return {_key(frame): (frame.video, counts[_key(frame)]) for frame in side.frames}
