"""Search for a network: ``python recognition/search.py --track deepglint-light --dataset ytf --trials 20``."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's root comes first, not this file's folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.commands import run_command
from recognition.searching.options import parse_options
from recognition.searching.study import search


def main() -> int:
    """Parse the command line and search."""
    return search(parse_options(sys.argv[1:]))


if __name__ == "__main__":
    run_command(main)
