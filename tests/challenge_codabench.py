"""Make a bundle of every template, let Codabench's own unpacker take it, and score with it as that platform does.

    make codabench CODABENCH=CHECKOUT BARE=PYTHON

CHECKOUT is a clone of codalab/codabench, whose unpacker, serializer and models run in ``.venv-codabench``
(tests/codabench_peer.py). PYTHON is one with NumPy and nothing else, best of version 3.9: parts of the bundle are laid
out as the platform's worker does, and the scoring program is run. Its figures must be those of ``challenge/score.py``
to the last digit, of both phases.

Exit status 0: everything agrees; 1: something does not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from challenge.platform import run_on_platform

from lwface.base.commands import run_command
from lwface.base.errors import UserError
from lwface.challenge.bundle import write_bundle
from lwface.challenge.definition import Challenge, read_challenge
from lwface.challenge.kinds import ChallengeTrack
from lwface.challenge.templates import TEMPLATES, NewChallenge, make_challenge, sample_of
from lwface.commands import score_challenge

ROOT = Path(__file__).resolve().parents[1]
PEER, PYTHON = ROOT / "tests" / "codabench_peer.py", ROOT / ".venv-codabench" / "bin" / "python"
OPENS = datetime(2026, 3, 1, 12, 30, tzinfo=timezone(timedelta(hours=8)))
LINE = "{:14} {:14} {:10} {:12} {:12}"


def unpacked(checkout: Path, challenge: Challenge, bundle: Path) -> bool:
    """Whether the platform takes the bundle and understands its times and limits."""
    where = {**os.environ, "PYTHONPATH": str(checkout.resolve() / "src/apps")}
    done = subprocess.run([PYTHON, PEER, checkout, bundle], env=where, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip()[-2000:])
        return False
    told = json.loads(done.stdout)
    public, private = told["phases"]
    expected = [str(moment.astimezone(timezone.utc)) for moment in (challenge.opens, challenge.closes)]
    return (
        [public["start"], public["end"]] == expected
        and private["start"] > public["end"]
        and (public["max_submissions_per_day"], public["max_submissions_per_person"]) == ("5", "60")
        and private["auto_migrate_to_this_phase"] == "True"
        and told["tasks"] == 2
    )


def scored(challenge: Challenge, track: ChallengeTrack, bundle: Path, python: Path | None, side: str) -> bool:
    """Whether the scoring program of a phase gives what the command gives."""
    sample = sample_of(challenge, track)
    assert sample is not None
    with tempfile.TemporaryDirectory() as name:
        told = Path(name) / "told.json"
        with contextlib.redirect_stdout(None):
            score_challenge.main([str(challenge.folder), track.name, str(sample), "--json", str(told)])
        files = _files(bundle)
        found = run_on_platform(files, side, sample, Path(name), python)
        if found.status:
            print(found.errors.strip()[-2000:])
        return found.scores == json.loads(told.read_text())[side]


def _files(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def main() -> int:
    """Every template; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codabench", type=Path, required=True, metavar="CHECKOUT", help="clone of codalab/codabench")
    parser.add_argument(
        "--python", type=Path, metavar="PYTHON", help="bare, with NumPy alone (default: this one, kept bare)"
    )
    parser.add_argument("--samples", type=int, default=12, metavar="N", help="of each generated test (default: 12)")
    arguments = parser.parse_args()
    if not (arguments.codabench / "src/apps/competitions/unpackers/v2.py").is_file():
        raise UserError(f"--codabench {arguments.codabench}: is no clone of codalab/codabench")
    if not PYTHON.is_file():
        raise UserError(f"{PYTHON}: no such environment: make codabench sets it up")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for template in TEMPLATES:
            folder = Path(name) / template
            make_challenge(NewChallenge(folder, template, arguments.samples, 0, OPENS))
            challenge = read_challenge(folder)
            for track in challenge.tracks:
                bundle = Path(name) / f"{track.name}.zip"
                write_bundle(challenge, track, bundle)
                taken = unpacked(arguments.codabench, challenge, bundle)
                digits = [scored(challenge, track, bundle, arguments.python, side) for side in ("public", "private")]
                rows.append((template, track.name, taken, *digits))
    print(LINE.format("template", "track", "unpacked", "public", "private"))
    for template, track_name, *agreed in rows:
        print(LINE.format(template, track_name, *("agrees" if one else "DIFFERS" for one in agreed)))
    return 0 if all(all(row[2:]) for row in rows) else 1


if __name__ == "__main__":
    run_command(main)
