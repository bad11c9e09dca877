"""Score thousands of damaged submissions: each gets finite figures, or one line; no crash, hang or file elsewhere.

    python tests/challenge_mutations.py --count 10000 --track landmarks

Good submissions of a small track are changed at random. A judge that shares no code with the readers says what is a
submission (tests/challenge_targets.py): what is scored must be one, and what is one must be scored. Scorers run in
processes with limits on memory and time; any file that is opened for writing, made, renamed or removed is a failure, as
is a message that tells the folder. What goes wrong is saved, and the exit status is 1; ``--only I`` repeats number I.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from challenge_targets import SmallTrack, small_tracks
from fuzz_formats import WARM_UP, choose, outcome_of, run
from fuzz_targets import Files, Target

from lwface.challenge import score_features
from lwface.challenge.results import Malformed
from lwface.challenge.scorers import score

ROOT = Path(__file__).resolve().parents[1]
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate")
REPLICATES = 16  # of a bootstrap
_scoring: list[str] | None = None  # what was done to files while a submission was scored


def watch(event: str, told: tuple[Any, ...]) -> None:
    """An audit hook (PEP 578): notes every change of the file system during a scoring."""
    if _scoring is None:
        return
    writes = event == "open" and isinstance(told[2], int) and told[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event in CHANGES:
        _scoring.append(f"{event} {told[0]!r}")


def target_of(name: str, small: SmallTrack) -> Target:
    """The damage and the scoring of a track."""

    def damage(dice: random.Random) -> Files:
        return dict([small.damage(dice, small.name, small.good)])

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        _judged_score(small, path)

    return Target(name, 1, damage, read)


def _judged_score(small: SmallTrack, path: Path) -> None:
    """Score, and hold the outcome against the judge; :class:`Malformed` where both say so."""
    global _scoring
    is_one, found, fault = small.judge(path.name, path.read_bytes()), None, None
    _scoring = []
    try:
        found = score(small.track, path, small.reference)
    except Malformed as error:
        fault = error
    done, _scoring = _scoring, None
    assert not done, done
    if fault is not None:
        assert is_one is not True, f"refused, but it is a submission: {fault}"
        assert str(path.parent) not in str(fault), fault
        raise fault
    assert is_one is not False, f"scored {dict(found.all)}, but it is no submission"
    for side in (found.public, found.private, found.all):
        assert all(type(value) is float and math.isfinite(value) for value in side.values()), side


def main() -> int:
    """Parse the command line, score all files, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    names = ("landmarks", "keypoints", "sequences", "features", "montage")
    add("--track", choices=names, help="one of them alone (default: all)")
    add("--count", type=int, default=10000, metavar="N", help="files a track (default: %(default)s)")
    add("--seed", type=int, default=0, help="another seed, other files (default: %(default)s)")
    add("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    add("--only", type=int, metavar="I", help="score file number I alone, here, and show what happens")
    add("--folder", type=Path, default=ROOT / "build" / "mutations", help="for failures (default: %(default)s)")
    arguments = parser.parse_args()
    sys.addaudithook(watch)
    # Intervals take nearly all the time of features, and are the same arithmetic for all that can be read.
    score_features.ScoringRequest = functools.partial(score_features.ScoringRequest, replicates=REPLICATES)
    shutil.rmtree(arguments.folder, ignore_errors=True)
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        tracks = small_tracks(Path(name) / "tracks")
        for track in [arguments.track] if arguments.track else names:
            targets = [target_of(track, tracks[track])]
            scratch = Path(name) / "scratch"
            scratch.mkdir(exist_ok=True)
            (scratch / tracks[track].name).write_bytes(tracks[track].good)
            targets[0].read(scratch)  # the good one is scored
            (scratch / tracks[track].name).unlink()
            if arguments.only is not None:
                target, files = choose(targets, arguments.seed, arguments.only)
                print(target.name, {file: len(data) for file, data in files.items()})
                print(outcome_of(target, files, scratch))
                continue
            for number in range(min(WARM_UP, arguments.count)):
                outcome_of(*choose(targets, -1, number), scratch)
            start = time.monotonic()
            report = run(targets, range(arguments.count), arguments.seed, arguments.folder, arguments.workers)
            for what, how_many in sorted(report.outcomes.items()):
                print(f"{how_many:7d}  {what}")
            seconds = time.monotonic() - start
            print(f"{track}: {arguments.count} files, {seconds:.0f} s, the slowest {report.slowest:.1f} s of CPU")
            failures += len(report.failures)
    print(f"{failures} failures" + (f", saved in {arguments.folder}" if failures else ""))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
