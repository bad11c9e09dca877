"""A cage of bubblewrap (``bwrap``) around each scoring, where Linux lets an ordinary user make one.

A scoring in it has no network and no other process, and sees the system's programs and libraries, Python, this package,
the challenge's definition, references and kits, and its own folder, all to read alone: it makes no file. It does not
see the database, other teams' files, nor anybody's home. ``python -m lwface.hosting.cage FOLDER``, inside it, looks
whether a scoring would find what it needs there.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lwface.base.commands import one_line
from lwface.base.errors import UserError
from lwface.challenge.definition import DEFINITION, read_challenge
from lwface.challenge.scorers import check_reference
from lwface.challenge.templates import KIT
from lwface.hosting.site import ALWAYS, NEVER, Site

PROGRAM = "bwrap"
PACKAGE = Path(__file__).resolve().parents[2]
SYSTEM = (  # what is not there is left out
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"),
    "/sys/devices/system/cpu",  # libraries count cores there
)
ALONE = ("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
NO_OTHERS = "--disable-userns"  # no further namespaces, in which one could mount; bubblewrap 0.8.0 or later has it
PATIENCE_S = 120.0


def choose_cage(choice: str, site: Site) -> str | None:
    """None where scorings of ``site`` can run in a cage, else why they do not.

    Raises:
        UserError: ``choice`` demands one, and there can be none.
    """
    if choice == NEVER:
        return "--cage never"
    why = why_not(site)
    if why is not None and choice == ALWAYS:
        raise UserError(f"--cage {ALWAYS}: {why}")
    return why


def why_not(site: Site) -> str | None:
    """Why no cage can be made here, in a line; None where a scoring would run in one."""
    if shutil.which(PROGRAM) is None:
        return "install bubblewrap, such as by apt-get install bubblewrap"
    command = [sys.executable, "-m", "lwface.hosting.cage", site.challenge]
    for place in (site.files, site.work):
        place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=site.work) as folder:
        try:
            done = subprocess.run(
                caged(site, Path(folder), command),
                cwd=PACKAGE,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"nothing came of a try in {PATIENCE_S:.0f} seconds"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


def caged(site: Site, folder: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` in a cage, where it finds ``folder`` and cannot write anywhere."""
    shown = [word for path in SYSTEM for word in ("--ro-bind-try", path, path)]
    needed = [word for path in needed_paths(Path(site.challenge)) for word in ("--ro-bind", path, path)]
    uploads = [str(site.files), str(site.work)]  # the site's data may lie in what is shown, such as in a checkout
    hidden = [word for path in uploads for word in ("--tmpfs", path)]
    hidden += [word for path in _database(site) for word in ("--ro-bind", "/dev/null", path)]
    inside = ["--ro-bind", str(folder), str(folder), "--chdir", str(PACKAGE)]
    mounted = [*shown, "--dev", "/dev", "--proc", "/proc", *needed, *hidden, *inside]
    closed = [word for path in ("/dev", *uploads, "/") for word in ("--remount-ro", path)]  # else: uncounted memory
    return [PROGRAM, *ALONE, *no_others(PROGRAM), *mounted, *closed, "--", *command]


@functools.cache
def no_others(program: str) -> tuple[str, ...]:
    """:data:`NO_OTHERS`, where ``program`` is there and has it."""
    if shutil.which(program) is None:
        return ()
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    return ("--unshare-user", NO_OTHERS) if NO_OTHERS in done.stdout + done.stderr else ()


def needed_paths(challenge: Path) -> list[str]:
    """What a scoring reads beside the system: Python, packages, this one, and of the challenge what scores."""
    given = sys.path[1:] if sys.path[:1] == [os.getcwd()] else sys.path  # python -m begins with where it was called
    python = [sys.base_prefix, sys.prefix, *(path for path in given if os.path.isabs(path)), str(PACKAGE / "lwface")]
    folder = challenge.resolve()
    found = read_challenge(folder)
    scores = [folder / DEFINITION, folder / KIT, *(found.reference(track) for track in found.tracks)]
    paths = dict.fromkeys([*python, *map(str, scores)])
    return [path for path in paths if os.path.exists(path)]


def _database(site: Site) -> list[str]:
    """The files of an SQLite, as far as they are there."""
    path = site.database.partition("sqlite:///")[2]
    return [path + end for end in ("", "-wal", "-shm") if path and os.path.isfile(path + end)]


def exit_status(status: int) -> int:
    """The status of a command whose cage ended with ``status``: of one that a signal killed, the signal's negative."""
    return 128 - status if status > 128 else status


def look(challenge: Path) -> None:
    """What a scoring begins with; :class:`lwface.base.errors.UserError` or ``OSError`` where it cannot."""
    found = read_challenge(challenge)
    for track in found.tracks:
        check_reference(track, found.reference(track))


if __name__ == "__main__":
    try:
        look(Path(sys.argv[1]))
    except (UserError, OSError) as fault:
        sys.exit(f"in a cage: {one_line(fault)}")
