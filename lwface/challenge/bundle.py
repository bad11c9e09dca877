"""A challenge's track as a Codabench bundle, version 2: what that platform unpacks into a competition.

Its rules were read in its source (codalab/codabench at c7dbc75: ``src/apps/competitions``, ``src/apps/leaderboards``,
``compute_worker``), and what is written here minds where they surprise:

* a time without quotes is cut to its day, and any zone is dropped: times are written as text, in UTC;
* a phase may not begin when the one before ends, only after it;
* all phases share one leaderboard, whose columns have titles of at most 36 characters, and keep ten decimals;
* a folder is zipped into the folder above the bundle's, so that two bundles at a time can meet: all parts are zips;
* a scoring program that ends with another status than 0 makes a submission fail, and failed ones cost no quota;
* only what is on the leaderboard migrates to the next phase: the best of each, by the rule ``Force_Best``. It counts as
  a submission there, so that a limit of one keeps people from trying on the private half.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import replacing
from lwface.challenge.definition import Challenge
from lwface.challenge.kinds import ChallengeTrack, get_kind
from lwface.challenge.on_platform import TRACK
from lwface.challenge.packing import packed_modules
from lwface.challenge.scorers import check_reference
from lwface.challenge.subset import quota_notes
from lwface.challenge.templates import PAGES, kit_of, sample_of

IMAGE = "codalab/codalab-legacy:py39"  # the platform's default, py37, is older than this program
SECONDS = 1200  # for the scoring of one submission; the platform's default is 600
TITLE, KEY, LEADERBOARD = 36, 36, 64  # characters, the platform's columns
DECIMALS = 10  # that the platform keeps of a score
LARGEST_PART = 2 * 10**9  # bytes of a starting kit or a truth
PLATFORM_SIDES = ("public", "private")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_COMMAND = "command: python3 /app/program/score.py /app/input /app/output\n"
_SCORE = '''"""Scores a submission: what it takes is in lwface/challenge/on_platform.py."""

import sys

from lwface.challenge.on_platform import run

sys.exit(run(sys.argv[1:]))
'''


@dataclass(frozen=True)
class Bundle:
    """What was made: ``files`` is the archive's content by name."""

    files: Mapping[str, bytes]
    notes: tuple[str, ...]


def write_bundle(challenge: Challenge, track: ChallengeTrack, output: Path) -> Bundle:
    """Write ``output``, beside and renamed; equal challenges give equal bytes.

    Raises:
        UserError: the platform cannot hold the track, or its reference is not complete.
    """
    bundle = make_bundle(challenge, track)
    with replacing(output) as file:
        file.write(_zipped(bundle.files))
    return bundle


def make_bundle(challenge: Challenge, track: ChallengeTrack) -> Bundle:
    """The bundle in memory; see :func:`write_bundle`."""
    reference = challenge.reference(track)
    check_reference(track, reference)
    notes = quota_notes(challenge, track) if track.kind.startswith("recognition") else []
    files = {
        "logo.png": _logo(),
        "scoring_program.zip": scoring_program(track),
        **{f"reference_{side}.zip": _reference(track, reference, side) for side in PLATFORM_SIDES},
        **{f"pages/{name}": text for name, text in _pages(challenge, track, notes).items()},
    }
    kit = _tree(kit_of(challenge, track))
    if kit:
        files["starting_kit.zip"] = _zipped(kit)
    files["competition.yaml"] = _yaml(_competition(challenge, track, [*files])).encode()
    return Bundle(files, tuple(notes))


def scoring_program(track: ChallengeTrack) -> bytes:
    """The zip of the scoring program: this package's own modules, as far as the track's scorer needs them."""
    roots = ("lwface.challenge.on_platform", "lwface.challenge.report", "lwface.challenge.scorers")
    modules = packed_modules([*roots, get_kind(track.kind).scorer])
    files = {"metadata.yaml": _COMMAND.encode(), "score.py": _SCORE.encode()}
    return _zipped({**files, **{place: path.read_bytes() for place, path in modules.items()}})


def _reference(track: ChallengeTrack, folder: Path, side: str) -> bytes:
    """The reference data of one phase: truth, track and which side is told."""
    told = {key: value for key, value in vars(track).items() if key != "limits"}
    told["settings"], told["side"] = dict(track.settings), side
    text = json.dumps(told, indent=2).encode()
    return _zipped({TRACK: text, **{f"data/{name}": data for name, data in _tree(folder).items()}})


def _competition(challenge: Challenge, track: ChallengeTrack, files: list[str]) -> dict[str, Any]:
    """``competition.yaml``, in the platform's words."""
    closes = challenge.closes
    public = {
        "name": "Public",
        "start": _utc(challenge.opens),
        "end": _utc(closes),
        "max_submissions_per_day": challenge.submissions_a_day,
        "max_submissions": challenge.submissions_in_all,
        "auto_migrate_to_this_phase": False,
    }
    private = {
        "name": "Private",
        "start": _utc(closes + timedelta(minutes=1)),
        "end": _utc(closes + timedelta(days=1)),
        "max_submissions_per_day": 1,
        "max_submissions": 1,  # the one that migrates
        "auto_migrate_to_this_phase": True,
    }
    kit = {"starting_kit": "starting_kit.zip"} if "starting_kit.zip" in files else {}
    both = {"execution_time_limit": SECONDS, **kit}
    phases = [
        {"index": index, **phase, "description": _phase_words(track, side), **both, "tasks": [index]}
        for index, (side, phase) in enumerate(zip(PLATFORM_SIDES, (public, private), strict=True))
    ]
    tasks = [
        {
            "index": index,
            "name": f"{track.title[:40]}, {side}",
            "description": get_kind(track.kind).says,
            "scoring_program": "scoring_program.zip",
            "reference_data": f"reference_{side}.zip",
        }
        for index, side in enumerate(PLATFORM_SIDES)
    ]
    columns = [
        {
            "index": index,
            "title": figure.title[:TITLE],
            "key": figure.name[:KEY],
            "sorting": "desc" if figure.higher_is_better else "asc",
            "precision": min(DECIMALS, figure.decimals + 2 * figure.percent),
        }
        for index, figure in enumerate(track.figures)
    ]
    return {
        "version": 2,
        "title": challenge.title if len(challenge.tracks) == 1 else f"{challenge.title}: {track.title}",
        "description": challenge.description,
        "image": "logo.png",
        "terms": "pages/rules.md",
        "registration_auto_approve": False,
        "docker_image": IMAGE,
        "enable_detailed_results": True,
        "make_programs_available": True,
        "make_input_data_available": False,
        "pages": [{"title": Path(name).stem.capitalize(), "file": name} for name in files if name.startswith("pages/")],
        "tasks": tasks,
        "phases": phases,
        "leaderboards": [
            {"title": track.title[:LEADERBOARD], "key": "main", "submission_rule": "Force_Best", "columns": columns}
        ],
    }


def _phase_words(track: ChallengeTrack, side: str) -> str:
    share = track.public_share if side == "public" else 1 - track.public_share
    return f"Figures of the {side} {100 * share:.0f} % of the samples."


def _pages(challenge: Challenge, track: ChallengeTrack, notes: list[str]) -> dict[str, bytes]:
    """The pages in the order they are shown, none empty, and what the platform does to scores and samples."""
    names = ("overview", "data", "evaluation", "rules")
    found = {}
    for name in names:
        path = challenge.folder / PAGES / f"{name}.md"
        text = path.read_text(encoding="utf-8") if path.is_file() else f"# {name.capitalize()}\n\n{challenge.title}\n"
        found[f"{name}.md"] = text.rstrip() + "\n"
    sample = sample_of(challenge, track)
    how = f"Hand in a zip with one file in it, such as the starting kit's `{sample.name}`. " if sample else ""
    if get_kind(track.kind).endings == (".zip",):
        how = "Hand in the zip as it is. "
    found["evaluation.md"] += (
        f"\n## Here\n\n{how}The platform keeps {DECIMALS} decimals of a figure; all are in the detailed results."
        " A malformed file is shown as failed, with its row and field in the detailed results, and costs no submission."
        + "".join(f"\n\n{note[0].upper()}{note[1:]}." for note in notes)
        + "\n"
    )
    return {name: text.encode() for name, text in found.items()}


def _utc(moment: datetime) -> str:
    """Text: without quotes, the platform would cut a time to its day."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def _yaml(value: Any, indent: int = 0) -> str:
    """YAML of maps, lists and scalars; scalars are written as JSON, which YAML is a superset of."""
    space, lines = " " * indent, []
    for key, item in value.items():
        if isinstance(item, list) and item and isinstance(item[0], dict):
            lines.append(f"{space}{key}:")
            for entry in item:
                inner = _yaml(entry, indent + 4)
                lines.append(f"{space}  - {inner[indent + 4 :].rstrip()}")
        else:
            lines.append(f"{space}{key}: {json.dumps(item)}")
    return "\n".join(lines) + "\n"


def _tree(folder: Path) -> dict[str, bytes]:
    """All files below ``folder`` by their place in it; links are refused, and more than memory is good for."""
    found = {}
    size = sum(path.lstat().st_size for path in folder.rglob("*")) if folder.is_dir() else 0
    if size > LARGEST_PART:
        raise UserError(
            f"{folder}: has {size:,} bytes, more than the {LARGEST_PART:,} of a bundle's part: keep large data "
            "elsewhere, and say in pages/data.md where"
        )
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_symlink():
            raise UserError(f"{path}: is a link; put the file itself there")
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip; equal files give equal bytes. What is packed already is stored."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            packed = name.endswith((".zip", ".npz", ".jpg", ".png"))
            archive.writestr(entry, data, zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _logo(side: int = 200) -> bytes:
    """A picture that the platform insists on: 68 points as dots on a plain ground, to be replaced."""
    image = np.full((side, side, 3), (170, 105, 23), np.uint8)
    for number in range(17):
        angle = np.pi * (0.08 + 0.84 * number / 16)
        place = side / 2 + side * 0.36 * np.cos(angle), side * 0.45 + side * 0.38 * np.sin(angle)
        cv2.circle(image, (round(place[0]), round(place[1])), 5, (255, 255, 255), -1, cv2.LINE_AA)
    for x in (0.36, 0.64):
        cv2.circle(image, (round(x * side), round(0.42 * side)), 9, (255, 255, 255), 3, cv2.LINE_AA)
    return bytes(cv2.imencode(".png", image)[1])
