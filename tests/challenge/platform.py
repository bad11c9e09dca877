"""A submission scored as Codabench does it: parts of a bundle unpacked where that has them, and one program run."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# Runs a program with what a bare image has: everything else is refused, and the package comes from the bundle alone.
BARE = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ("numpy", "lwface") and top not in sys.stdlib_module_names and not top.startswith("_"):
            raise ModuleNotFoundError(f"{name} is not on the platform")
sys.meta_path.insert(0, Refuse())
program = sys.argv[1]
sys.path[0] = program.rpartition("/")[0]
sys.argv = sys.argv[1:]
runpy.run_path(program, run_name="__main__")
"""


class PlatformRun(NamedTuple):
    """What the program said and left."""

    status: int
    scores: dict[str, float] | None
    details: str
    errors: str
    files: list[str]


def run_on_platform(
    files: Mapping[str, bytes], side: str, submission: Path, folder: Path, python: Path | None = None
) -> PlatformRun:
    """Score ``submission`` by the program of a bundle of ``files``, in ``folder``.

    Args:
        python: a bare one, which runs the program as it is; None: this one, kept from importing more than NumPy.
    """
    app = folder / "app"
    for name, place in (("scoring_program.zip", "program"), (f"reference_{side}.zip", "input/ref")):
        with zipfile.ZipFile(io.BytesIO(files[name])) as archive:
            archive.extractall(app / place)
    result = app / "input/res"
    result.mkdir(parents=True)
    if submission.suffix == ".zip":
        with zipfile.ZipFile(submission) as archive:
            archive.extractall(result)
    else:
        (result / submission.name).write_bytes(submission.read_bytes())
    program = str(app / "program/score.py")
    command = [str(python), program] if python else [sys.executable, "-c", BARE, program]
    done = subprocess.run(
        [*command, str(app / "input"), str(app / "output")],
        cwd=app / "program",
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    output = app / "output"
    scores, details = output / "scores.json", output / "detailed_results.html"
    return PlatformRun(
        done.returncode,
        json.loads(scores.read_text()) if scores.exists() else None,
        details.read_text() if details.exists() else "",
        done.stderr,
        sorted(path.relative_to(app).as_posix() for path in output.rglob("*")),
    )
