"""What a user is told beside the result: a guess that may be wrong, or something that was left out."""

from __future__ import annotations

import sys

_told: set[str] = set()


def note(text: str) -> None:
    """Print ``note: text`` on stderr, once a process."""
    if text not in _told:
        _told.add(text)
        print(f"note: {text}", file=sys.stderr)
