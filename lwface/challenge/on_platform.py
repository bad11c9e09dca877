"""The scoring program of a Codabench bundle: ``python3 score.py INPUT OUTPUT`` on Python 3.9 with NumPy alone.

The platform lays out ``INPUT/ref`` (the reference data of the bundle) and ``INPUT/res`` (the submission's zip,
unpacked), and takes ``OUTPUT/scores.json`` and ``OUTPUT/detailed_results.html``. A submission that is malformed ends
with status 1: the platform calls it failed, and a failed one costs no quota.
"""

from __future__ import annotations

import builtins
import itertools
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lwface.base.errors import UserError
from lwface.challenge.kinds import ChallengeTrack, get_kind
from lwface.challenge.results import Malformed

TRACK = "track.json"  # in the reference data: the track, and which side is told
SCORES, DETAILS = "scores.json", "detailed_results.html"
_PASSED_OVER = ("__MACOSX", "metadata", ".DS_Store")


def strict_zip(*parts: Any, strict: bool = False) -> Iterator[Any]:
    """``zip`` with ``strict``, which Python 3.9 lacks."""
    return _equally_long(parts) if strict else _zip(*parts)


_zip, _END = zip, object()


def _equally_long(parts: Sequence[Any]) -> Iterator[Any]:
    for values in itertools.zip_longest(*parts, fillvalue=_END):
        if any(value is _END for value in values):
            raise ValueError("zip() arguments are of different lengths")
        yield values


def _teach_zip() -> None:
    """Let this Python's ``zip`` know ``strict``, where it does not."""
    try:
        zip(strict=True)
    except TypeError:
        builtins.zip = strict_zip  # type: ignore[assignment,misc]


def main(source: Path, output: Path) -> int:
    """Score what lies in ``source``; the exit status."""
    _teach_zip()
    from lwface.challenge.report import fault_page, result_page
    from lwface.challenge.scorers import score

    told = json.loads((source / "ref" / TRACK).read_text(encoding="utf-8"))
    side = str(told.pop("side"))
    track = ChallengeTrack(**told)
    output.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            submission = found_submission(track, source / "res", Path(folder))
            result = score(track, submission, source / "ref" / "data")
    except Malformed as fault:
        (output / DETAILS).write_text(fault_page(track, fault), encoding="utf-8")
        print(f"error: {fault}", file=sys.stderr)
        return fault.exit_status
    figures = dict(getattr(result, side))
    (output / DETAILS).write_text(result_page(track, result, side, submission.name), encoding="utf-8")
    (output / SCORES).write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(json.dumps(figures))
    return 0


def found_submission(track: ChallengeTrack, folder: Path, spare: Path) -> Path:
    """The file that was handed in, among what the platform unpacked.

    A track whose submissions are zips of several files gets them in a zip again, in ``spare``.

    Raises:
        Malformed: there is none, or more than one.
    """
    kind = get_kind(track.kind)
    every = [path for path in sorted(folder.rglob("*")) if not _is_passed_over(path.relative_to(folder))]
    links = [path for path in every if path.is_symlink()]
    if links:
        raise Malformed(links[0].name, "is a link")
    files = [path for path in every if path.is_file()]
    if kind.endings == (".zip",):
        whole = spare / "submission.zip"
        with zipfile.ZipFile(whole, "w") as archive:
            for path in files:
                archive.write(path, str(path.relative_to(folder)))
        return whole
    fitting = [path for path in files if path.suffix.lower() in kind.endings]
    if len(fitting) != 1 or len(files) != 1:
        held = ", ".join(str(path.relative_to(folder)) for path in files[:3]) or "nothing"
        wanted = " or ".join(ending for ending in kind.endings if ending != ".zip")
        raise Malformed("submission", f"the zip holds {held}; expected one file whose name ends in {wanted}")
    return fitting[0]


def _is_passed_over(path: Path) -> bool:
    """Whether it is something that computers put into zips, or the platform beside a submission."""
    return path.parts[0] in _PASSED_OVER or path.name == ".DS_Store"


def run(arguments: list[str]) -> int:
    """The program: folders in, exit status out."""
    if len(arguments) != 2:
        print("usage: score.py INPUT OUTPUT", file=sys.stderr)
        return 2
    try:
        return main(Path(arguments[0]), Path(arguments[1]))
    except UserError as error:  # the reference, not the submission
        print(f"error: the challenge itself is damaged, tell its organiser: {error}", file=sys.stderr)
        return error.exit_status
