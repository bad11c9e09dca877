"""Where a frame of the faceless challenge comes from, as its path says it.

    person_0013/channel_0081/seq_0009/frame_00425.jpg      the challenge's page
    person_0000/video_0002/seq_0000/frame_00000.jpg        its published files
    video_0002/seq_0000/frame_00000.jpg                    evaluation, without the person
    seq_0000/frame_00000.jpg                               evaluation, without person and video

Folders above these may stand before them, and belong to the names. Nothing heavy is imported here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lwface.base.errors import UserError

FORMS = "person_0013/channel_0081/seq_0009/frame_00425.jpg, with video_ for channel_, or without person and video"
_FRAME = re.compile(
    r"(?P<above>(?:[^/]+/)*?)(?:person_(?P<person>\d+)/)?(?:(?:channel|video)_(?P<video>\d+)/)?"
    r"seq_(?P<sequence>\d+)/frame_(?P<frame>\d+)\.\w+",
    re.ASCII,
)


class FramePath(NamedTuple):
    """A frame's path, taken apart. Folders are whole paths, so that equal ones mean the same folder.

    Attributes:
        person: its folder; empty where the path does not say whose it is.
        video: its folder; empty where the path does not say which.
        sequence: its folder.
        person_number, video_number: by which a person and a video are known whatever folders stand above, and however
            the video is spelled; -1 where not told.
        frame: its number.
    """

    person: str
    video: str
    sequence: str
    person_number: int
    video_number: int
    frame: int


def frame_path(path: str) -> FramePath:
    """``path`` taken apart; :class:`UserError` where it has none of the forms."""
    found = _FRAME.fullmatch(path)
    if found is None or (found["person"] is not None and found["video"] is None):
        raise UserError(f"{path!r}: not the path of a frame; expected {FORMS}")
    sequence = path.rpartition("/")[0]
    video = "" if found["video"] is None else sequence.rpartition("/")[0]
    person = "" if found["person"] is None else video.rpartition("/")[0]
    numbers = (-1 if found[name] is None else int(found[name]) for name in ("person", "video", "frame"))
    return FramePath(person, video, sequence, *numbers)


def frame_paths(paths: Iterable[str], source: object) -> list[FramePath]:
    """All ``paths`` taken apart; of ``source``, which an error names.

    Raises:
        UserError: a path has none of the forms, some say whose they are and others do not, or there is none.
    """
    found: list[FramePath] = []
    try:
        found.extend(map(frame_path, paths))
    except UserError as error:
        raise UserError(f"{source}: entry {len(found)}: {error}") from None
    if not found:
        raise UserError(f"{source}: holds no frame")
    for what in ("person", "video"):
        told = [bool(getattr(frame, what)) for frame in found]
        if any(told) != all(told):
            with_it, without = told.index(True), told.index(False)
            raise UserError(
                f"{source}: {found[with_it].sequence} says which {what}, {found[without].sequence} does not; "
                "training and evaluation belong into two files"
            )
    return found


def samples(frames: Sequence[FramePath]) -> list[str]:
    """What each frame is a part of, for which a guess is made: its video, or where paths have none its sequence."""
    return [frame.video or frame.sequence for frame in frames]
