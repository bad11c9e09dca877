"""Errors a user can act on, and the one place where a command turns them into a line and an exit status."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

EXIT_OK = 0
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C


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


def one_line(error: BaseException) -> str:
    """``error`` as one line for a user, with the file name of an ``OSError`` kept."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{os.fspath(error.filename)}: " if error.filename is not None else ""
        return f"{place}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run ``main`` as a command: what a user did wrong ends in one line on stderr and a non-zero exit status.

    Anything else is a bug and keeps its traceback.
    """
    try:
        status = main() or EXIT_OK
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        status = error.exit_status
    except BrokenPipeError:  # the reader of a pipe, such as head, has left: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = EXIT_OK
    except OSError as error:  # missing file, no permission, full disk
        print(f"error: {one_line(error)}", file=sys.stderr)
        status = EXIT_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = EXIT_INTERRUPTED
    sys.exit(status)
