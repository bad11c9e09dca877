"""Errors a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_ERROR = 2


class UserError(ValueError):
    """What a user did or gave cannot be used: the message names the value, what was expected and what to do.

    ``exit_status`` is what a command returns when this reaches its top level.
    """

    exit_status = EXIT_ERROR


def unknown_name(kind: str, name: object, choices: Iterable[str]) -> UserError:
    """The error for a name that is not among ``choices``, with the nearest valid one first."""
    known = sorted(choices)
    nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return UserError(f"unknown {kind} {name!r}: {hint}choose from {', '.join(known)}")
