"""Check that a split of the faceless challenge does not leak: no video may be on both sides.

    python sequences/check_split.py --train train.tar --test test.tar

Each side is a tar, a folder, signatures.pkl, or a text of paths, one a line. Looked for are videos that both name,
and frames (or signatures) that are byte for byte the same, which tell a video where evaluation paths do not name it.
Exit status 1 where the split leaks. A solution that has seen other frames of the videos that judge it is only
remembering: the challenge's frames are neighbours in time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lwface.base.commands import EXIT_OK, existing, load
from lwface.commands.flags import command_parser


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    for side in ("train", "test"):
        parser.add_argument(f"--{side}", type=Path, metavar="PATH", required=True, help=f"the {side} side")
    what = "compare names alone, which reads no frame"
    parser.add_argument("--names-only", action="store_true", help=what)
    arguments = parser.parse_args(argv)
    existing(arguments.train, arguments.test)
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Compare, print; the exit status."""
    arguments = parse_arguments(argv)
    load("numpy")
    from lwface.sequences.leaks import LeakError, find_leaks, leak_lines, not_looked_at, read_side

    train, test = (read_side(path, contents=not arguments.names_only) for path in (arguments.train, arguments.test))
    leaks = find_leaks(train, test)
    for line in not_looked_at(train, test):
        print(f"note: {line}", file=sys.stderr)
    print(f"{len(train.paths)} frames in {arguments.train}, {len(test.paths)} in {arguments.test}")
    if not leaks:
        print("nothing found on both sides")
        return EXIT_OK
    print("\n".join(leak_lines(leaks)))
    raise LeakError(f"the split leaks: {len(leaks)} on both sides; move each video to one side")
