"""One call for every kind of track: the figures of a submission, or what is wrong with it."""

from __future__ import annotations

import importlib
import stat
from pathlib import Path

from lwface.base.errors import UserError
from lwface.challenge.kinds import ChallengeTrack, get_kind
from lwface.challenge.results import Malformed, Result, finite, judging


def score(track: ChallengeTrack, submission: Path, reference: Path) -> Result:
    """What ``submission`` is worth: a function of the bytes of the two and of the track's settings alone.

    Args:
        submission: the file that was handed in; it is read and nothing is written.
        reference: the folder with the truth.

    Raises:
        Malformed: the submission is none, with row and field where there are such.
        UserError: the reference is damaged: not the submission's fault.
    """
    kind = get_kind(track.kind)
    with judging(submission):
        _check_file(submission, kind.endings, kind.largest)
    check_reference(track, reference)
    result: Result = importlib.import_module(kind.scorer).score(track, submission, reference)
    for side in (result.public, result.private, result.all):
        finite(submission, side)
    return result


def check_reference(track: ChallengeTrack, reference: Path) -> None:
    """:class:`UserError` where a reference folder lacks a file."""
    for name, says in get_kind(track.kind).reference.items():
        if not name.endswith("?") and not any((reference / one).exists() for one in name.split("|")):
            path = reference / name.replace("|", " or ")
            raise UserError(f"{path}: no such file; track {track.name} is scored against it: {says}")


def _check_file(path: Path, endings: tuple[str, ...], largest: int) -> None:
    told = path.lstat()
    if not stat.S_ISREG(told.st_mode):
        raise Malformed(path.name, "is no file (a folder, a link or a device)")
    if path.suffix.lower() not in endings:
        raise Malformed(path.name, f"its name ends in {path.suffix or 'nothing'}; expected {' or '.join(endings)}")
    if not told.st_size:
        raise Malformed(path.name, "is empty")
    if told.st_size > largest:
        raise Malformed(path.name, f"has {told.st_size:,} bytes, more than the {largest:,} that are read")
