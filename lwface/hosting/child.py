"""One scoring in a process of its own: a job comes as JSON on stdin, lines of JSON go to stdout, the last is its end.

``python -m lwface.hosting.child``, started by :mod:`lwface.hosting.scorer`. Its lines: ``{"progress": 0.5, "doing":
"..."}`` and, at the end, one of ``{"result": ...}``, ``{"refused": line}`` (the submission's fault) and ``{"failed":
line}`` (a limit, or the organiser's fault).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwface.base.commands import one_line
from lwface.base.errors import UserError
from lwface.hosting.limits import end_with_parent, set_limits

BLOCK = 4 * 1024**2
Tell = Callable[[dict[str, Any]], None]


def main() -> None:
    """Do the job."""
    job = json.loads(sys.stdin.readline())
    end_with_parent(os.getppid() if job["caged"] else job["parent"])  # a cage ends with its parent, and has own numbers
    set_limits(job["memory_bytes"], job["file_bytes"], job["seconds"], caged=job["caged"])
    os.chdir(job["work"])
    if job["caged"]:
        settle_for_nothing(Path(job["work"]))
    tell = _teller()
    try:
        tell(scored(job, tell))
    except MemoryError:
        tell(
            {"failed": f"its scoring needs more than the {job['memory_bytes']} bytes of memory that there are for one"}
        )


def settle_for_nothing(work: Path) -> None:
    """Let libraries that ask for a folder to write to be told one, though nothing can be written in a cage.

    Python's ``tempfile`` tries each and fails. PyTorch asks it, and makes a folder there, when its compiler is imported
    (2.13; a batch norm on the meta device does that): the one that it is told is there already.
    """
    tempfile.tempdir = str(work)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(work)


def check_digest(path: Path, sha256: str, tell: Tell) -> None:
    """:class:`UserError` where a file is not what its sender has."""
    found, size, done = hashlib.sha256(), path.stat().st_size, 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
            done += len(block)
            tell({"progress": 0.2 * done / size, "doing": "comparing its digest"})
    if found.hexdigest() != sha256:
        raise UserError(
            f"{path.name}: arrived with SHA-256 {found.hexdigest()[:12]}..., its sender said {sha256[:12]}..."
        )


def scored(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """How the job ends: see this module."""
    from lwface.challenge.definition import read_challenge
    from lwface.challenge.results import Malformed
    from lwface.challenge.scorers import score
    from lwface.challenge.templates import kit_of

    files = {part: Path(name) for part, name in job["files"].items()}
    try:
        for part, sha256 in job["digests"].items():
            check_digest(files[part], sha256, tell)
    except UserError as error:
        return {"refused": one_line(error)}
    try:
        challenge = read_challenge(Path(job["challenge"]))
        track = challenge.track(job["track"])
        gate = {}
        if track.needs_model:
            tell({"progress": 0.2, "doing": "trying the model"})
            from lwface.hosting.gate import pass_gate

            kit = kit_of(challenge, track)
            gate["gate"] = pass_gate(track, files["model"], files["submission"], kit, job["secret"].encode())
        tell({"progress": 0.4, "doing": "scoring"})
        result = score(track, files["submission"], challenge.reference(track)).as_json() | gate
        ranks = {"figure": track.ranks_by, "sign": 1 if track.higher_is_better else -1}
        return {"result": result, "ranks": ranks}
    except Malformed as error:
        return {"refused": one_line(error)}
    except (UserError, OSError) as error:
        return {"failed": f"the challenge itself is at fault, tell its organiser: {one_line(error)}"}


def _teller() -> Tell:
    """Writes lines to the stdout that came; what libraries print goes to stderr from now on."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(line: dict[str, Any]) -> None:
        lines.write(json.dumps(line) + "\n")
        lines.flush()

    return tell


if __name__ == "__main__":
    main()
