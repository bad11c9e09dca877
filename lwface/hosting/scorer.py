"""A scoring process: takes submissions from the queue, one after the other, and has each scored in a sub-process.

It may be killed at any moment: the sub-process dies with it, and another takes the submission when its lease has run
out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy.exc import InterfaceError, OperationalError

from lwface.hosting.cage import PACKAGE, caged, exit_status
from lwface.hosting.database import SECRET, Database, setting
from lwface.hosting.keys import new_key
from lwface.hosting.queue import Claim, Ranks, claim, finish, give_back, refuse, renew
from lwface.hosting.site import Site
from lwface.hosting.submissions import sweep, working_name

IDLE_S = 0.5  # between looks at an empty queue
SWEEP_S = 60.0
LONGEST_LINE = 64 * 1024**2  # bytes of a result


@dataclass
class Watched:
    """What a sub-process has told."""

    progress: float = 0.0
    doing: str = "starting"
    end: dict[str, Any] | None = None
    lost: bool = False
    late: bool = False


class Scorer:
    """Scores until :meth:`stop`."""

    def __init__(self, site: Site) -> None:
        self.site, self.database = site, Database(site.database)
        self.name = f"{socket.gethostname()}-{os.getpid()}-{new_key()[:8]}"
        self.stopping, self.swept = False, -SWEEP_S
        site.work.mkdir(parents=True, exist_ok=True)
        with self.database.reading() as session:
            self.secret = setting(session, SECRET)

    def stop(self, *_: object) -> None:
        """End soon: the submission at hand goes back into the queue."""
        self.stopping = True

    def run(self) -> None:
        """Score until told to stop."""
        while not self.stopping:
            if not self._turn():
                time.sleep(IDLE_S)

    def _turn(self) -> bool:
        """Sweep where it is time, score one submission; False where none waits, or the database does not answer."""
        try:
            if time.monotonic() - self.swept >= SWEEP_S:
                clean(self.site.work)
                sweep(self.database, self.site)
                self.swept = time.monotonic()
            return self.score_next()
        except (OperationalError, InterfaceError) as error:  # it is busy or restarts; the lease says who goes on
            print(f"{self.name}: {str(error.orig).splitlines()[0]}", file=sys.stderr, flush=True)
            return False

    def score_next(self) -> bool:
        """Score one submission; False where none waits."""
        held = claim(self.database, self.site, self.name)
        if held is None:
            return False
        with working_folder(self.site.work) as folder:
            self._score(held, folder)
        return True

    def _score(self, held: Claim, folder: Path) -> None:
        try:
            job = self.job(held, folder)
        except FileNotFoundError as error:  # where its team cancels it at this moment, it is no longer ours to refuse
            gone = [held.names[part] for part, path in held.files.items() if path == error.filename]
            refuse(self.database, held, f"{gone[0]}: its file is gone", failed=True)
            return
        with open(folder / "stderr", "w+b") as errors, self._started(job, errors) as process:
            try:
                watched = self._watch(process, held)
            finally:
                process.kill()
                if process.stdout is not None:
                    process.stdout.read()  # to its end: what is in a cage ends a moment after it
                process.wait()
            status = exit_status(process.returncode) if self.site.cage else process.returncode
            self.settle(held, watched, status, errors)

    def job(self, held: Claim, folder: Path) -> dict[str, Any]:
        """What the sub-process is told, with the files of the submission under their own names in ``folder``."""
        files = {}
        for part, path in held.files.items():
            (folder / part).mkdir()
            files[part] = str(folder / part / working_name(part, held.names[part]))
            os.link(path, files[part])
        return {
            "parent": os.getpid(),
            "caged": self.site.cage,
            "work": str(folder),
            "challenge": str(Path(self.site.challenge).resolve()),
            "track": held.track,
            "files": files,
            "digests": held.digests,
            "memory_bytes": self.site.memory_bytes,
            "file_bytes": self.site.file_bytes,
            "seconds": self.site.seconds,
            "secret": self.secret,
        }

    @contextlib.contextmanager
    def _started(self, job: dict[str, Any], errors: Any) -> Iterator[subprocess.Popen[bytes]]:
        kept = {
            name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV")
        }
        own = {"HOME": job["work"], "TMPDIR": job["work"], "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "lwface.hosting.child"]
        command = caged(self.site, Path(job["work"]), command) if self.site.cage else command
        with subprocess.Popen(  # never in the folder of the submission, where Python would look for modules
            command, cwd=PACKAGE, env={**kept, **own}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as process:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.close()
            yield process

    def _watch(self, process: subprocess.Popen[bytes], held: Claim) -> Watched:
        """Read what the sub-process tells until it ends, runs late, is no longer ours, or this process is to stop."""
        watched, pending = Watched(), b""
        assert process.stdout is not None
        ends, renewed = time.monotonic() + self.site.seconds, time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not self.stopping:
                left = max(ends - time.monotonic(), 0.0)
                if selector.select(min(IDLE_S, self.site.lease_s / 4, left)):
                    data = os.read(process.stdout.fileno(), 1 << 16)
                    if not data:
                        return watched
                    pending = _hear(watched, pending + data)
                if time.monotonic() > ends:
                    watched.late = True
                    return watched
                if time.monotonic() - renewed > min(IDLE_S, self.site.lease_s / 4):
                    renewed = time.monotonic()
                    if not renew(self.database, self.site, held, watched.progress, watched.doing):
                        watched.lost = True
                        return watched
        return watched

    def settle(self, held: Claim, watched: Watched, status: int, errors: Any) -> None:
        """Write how a scoring ended: by what it told, or else by the status of its process."""
        end = watched.end or {}
        if watched.lost:
            return
        if "result" in end:
            finish(self.database, held, end["result"], Ranks(**end["ranks"]))
        elif "refused" in end:
            refuse(self.database, held, end["refused"])
        elif "failed" in end:
            refuse(self.database, held, end["failed"], failed=True)
        elif watched.late:
            refuse(self.database, held, f"its scoring took more than {self.site.seconds:g} seconds", failed=True)
        elif self.stopping or status == -signal.SIGKILL:
            give_back(self.database, held)
        else:
            _show(errors, held)
            why = f"signal {-status}" if status < 0 else f"status {status}"
            refuse(self.database, held, f"its scoring ended with {why}; the organiser can see more", failed=True)


@contextlib.contextmanager
def working_folder(work: Path) -> Iterator[Path]:
    """A folder of one scoring, held against :func:`clean` and removed at the end."""
    folder, lock = _held_folder(work)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def clean(work: Path) -> None:
    """Remove the folders of scorings whose process was killed."""
    for lock in work.glob("*/.lock"):
        with contextlib.suppress(OSError), open(lock, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


def _held_folder(work: Path) -> tuple[Path, IO[bytes]]:
    while True:
        folder = Path(tempfile.mkdtemp(dir=work))
        lock = open(folder / ".lock", "wb")  # noqa: SIM115 (it is closed when the folder is done with)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / ".lock").exists():
            return folder, lock
        lock.close()  # it was taken for one that is left over, before it was held


def _hear(watched: Watched, data: bytes) -> bytes:
    """Take whole lines; what is left of the last."""
    *lines, rest = data.split(b"\n")
    for line in lines:
        told = json.loads(line)
        if "progress" in told:
            watched.progress, watched.doing = float(told["progress"]), str(told["doing"])
        else:
            watched.end = told
    if len(rest) > LONGEST_LINE:
        raise ValueError("a result that does not end")
    return rest


def _show(errors: Any, held: Claim) -> None:
    errors.seek(0)
    text = errors.read(1 << 16).decode("utf-8", "replace")
    print(f"submission {held.submission}, attempt {held.attempt}:\n{text}", file=sys.stderr, flush=True)
