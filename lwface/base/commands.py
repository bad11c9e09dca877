r"""What every command shares: its help, how it starts and how it ends.

This is the one place where an error becomes a line on stderr and an exit status. A command parses its arguments and
looks for its files first, and :func:`load`\ s what it computes with after that: help and mistakes are answered at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import NoReturn

from lwface.base.errors import EXIT_ERROR, UserError

EXIT_OK = 0
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C
SWITCH_INTERVAL_S = 2e-4


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of each flag that has one worth showing: None, False and the empty text mean "not given"."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.default == "":
            return action.help
        return super()._get_help_string(action)


def leave_when_interrupted() -> None:
    """Until :func:`load` has run, let Ctrl-C end the process at once, in one line: there is nothing to lose yet.

    A KeyboardInterrupt in the middle of an import can come out as another error, or be lost in a C extension.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def load(*modules: str) -> None:
    """Import what a command computes with, such as ``torch``; from here on Ctrl-C is a KeyboardInterrupt again.

    Called once by every command, when its arguments are parsed and its files are there. What is imported stays until
    the process ends: the garbage collector does not look through it, which would take a tenth of PyTorch's import now
    and as long as a third of it when the process ends.
    """
    gc.disable()
    try:
        for name in modules:
            importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def loading(*modules: str) -> Iterator[None]:
    """:func:`load` in the background, while the block reads what the command starts with; done when the block ends.

    Importing PyTorch takes a second of one core. Until it is done, Ctrl-C ends the process at once: what the block does
    must be worth nothing to anyone.
    """
    thread = threading.Thread(target=_import_quietly, args=(modules,), name="load")
    gc.disable()
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # else the block waits 5 ms for its turn after every call into NumPy
    try:
        yield
    finally:
        thread.join()
        sys.setswitchinterval(interval)
        load(*modules)


def _import_quietly(modules: Sequence[str]) -> None:
    with contextlib.suppress(Exception):  # it is raised when it is imported again
        for name in modules:
            importlib.import_module(name)


def existing(*paths: str | os.PathLike[str] | None) -> None:
    """Look for files and folders that a command reads, before anything is imported; None is one that is not given.

    Raises:
        FileNotFoundError: one is not there; or another ``OSError`` where it cannot be looked at.
    """
    for path in paths:
        if path is not None:
            os.stat(path)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(EXIT_INTERRUPTED)


def one_line(error: BaseException) -> str:
    """``error`` as one line for a user, with the file name of an ``OSError`` kept."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{os.fspath(error.filename)}: " if error.filename is not None else ""
        again = ": make room, then give the same command again, with --resume if it takes that"
        remedy = again if error.errno == errno.ENOSPC else ""
        return f"{place}{error.strerror}{remedy}"
    return " ".join(str(error).split()) or type(error).__name__


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run ``main`` as a command: what a user did wrong ends in one line on stderr and a non-zero exit status.

    Anything else is a bug and keeps its traceback.
    """
    try:
        status = main() or EXIT_OK
        sys.stdout.flush()  # here, where what goes wrong is told
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
