"""Search for a network: ``python recognition/search.py --track deepglint-light --dataset ytf --trials 20``."""

from __future__ import annotations

import sys

from lwface.search.options import parse_options
from lwface.search.study import search


def main() -> int:
    """Parse the command line and search."""
    return search(parse_options(sys.argv[1:]))
