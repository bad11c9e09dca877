"""Installs the project into a new environment, as users do, beside Hugging Face's ``datasets``, and uses it there.

A command, not a test: ``make install-check``. It downloads what ``requirements.txt`` names, PyTorch included, and works
in a temporary folder, with modules of the user's own that fail when they are imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = "lightweight-face-recognition"
NEIGHBOUR = "datasets==5.2.0"  # Hugging Face's
USE_NEIGHBOUR = "import datasets; print(datasets.Dataset.from_dict({'a': [1]}).num_rows, datasets.__version__)"
WHEEL_BYTES = 12_000_000
# Two photographs of people who do not exist, and their comparison by what the package brings, where nothing connects.
PHOTOGRAPHS = """
import cv2
from lwface.synthetic.render import sample_image
for person, name in enumerate("ab"):
    cv2.imwrite(f"{name}.png", sample_image(11, person, 0, difficulty=0.5).frame[:, :, ::-1])
"""
OFFLINE = """
import socket, sys
def refuse(*_): raise OSError("a connection was tried")
socket.socket.connect = socket.getaddrinfo = refuse
sys.argv = ["lwface", "compare", "a.png", "b.png"]
from lwface.commands import main
main()
"""
GONE = """
import importlib.util, pathlib
found = importlib.util.find_spec("lwface")
folders = list(found.submodule_search_locations) if found else []
left = [path for folder in folders for path in pathlib.Path(folder).rglob("*") if path.is_file()]
assert all(path.suffix in (".nbi", ".nbc") for path in left), left
"""
HOSTILE = "raise RuntimeError('a module of the user, which is none of the business of a library')\n"


def tracked_files(root: Path) -> list[str]:
    """The files of the project, which git knows, as paths from ``root``."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]  # whoever owns the clone
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (root / name).exists()]


def copy_tracked(root: Path, folder: Path) -> None:
    """Copy the project's files to ``folder``, for a build, which writes beside its sources and may find an old one."""
    for name in tracked_files(root):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, folder / name, follow_symlinks=False)


def run(what: str, *command: str | Path, cwd: Path) -> str:
    """Run ``command``, and print ``what`` it shows; the command ends here when it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"FAILED: {what}\n{done.stdout}{done.stderr}")
    last = done.stdout.strip().splitlines()[-1:]
    print(f"ok: {what}", *last, sep="\n    ", flush=True)
    return done.stdout


def check(work: Path) -> None:
    """Install, use, remove; ``work`` is an empty folder."""
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    for name in ("config", "sample_config"):
        (elsewhere / f"{name}.py").write_text(HOSTILE)
    copy_tracked(ROOT, work / "project")
    venv.create(work / "venv", with_pip=True)
    python, command = work / "venv" / "bin" / "python", work / "venv" / "bin" / "lwface"
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    run("pip install -r requirements.txt", *pip, "install", "-r", work / "project" / "requirements.txt", cwd=work)
    run("pip install .", *pip, "install", work / "project", cwd=work)
    run(f"pip install {NEIGHBOUR}", *pip, "install", NEIGHBOUR, cwd=work)
    run("pip check", *pip, "check", cwd=work)
    run("both are imported", python, "-c", "import datasets, lwface; print(lwface.__version__)", cwd=elsewhere)
    run("lwface --help", command, "--help", cwd=elsewhere)
    run("a wheel", *pip, "wheel", "--quiet", "--no-deps", "-w", work / "wheel", work / "project", cwd=work)
    (wheel,) = (work / "wheel").glob("*.whl")
    if wheel.stat().st_size >= WHEEL_BYTES:
        sys.exit(f"FAILED: the wheel has {wheel.stat().st_size:,} bytes, expected less than {WHEEL_BYTES:,}")
    run("two generated photographs", python, "-c", PHOTOGRAPHS, cwd=elsewhere)
    told = run("lwface compare, offline", python, "-c", OFFLINE, cwd=elsewhere)
    if not told.startswith("cosine "):
        sys.exit(f"FAILED: lwface compare told no cosine:\n{told}")
    programs = ROOT / "tests" / "documented_programs.py"
    run("a small data set and model", python, programs, ROOT / "README.md", elsewhere, cwd=elsewhere)
    run("the program of the README", python, "program.py", cwd=elsewhere)
    run("datasets with lwface", python, "-c", USE_NEIGHBOUR, cwd=elsewhere)
    run(f"pip uninstall {DISTRIBUTION}", *pip, "uninstall", "-y", DISTRIBUTION, cwd=work)
    run("datasets without lwface", python, "-c", USE_NEIGHBOUR, cwd=elsewhere)
    run("nothing of lwface is left but the loops that Numba compiled", python, "-c", GONE, cwd=elsewhere)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder))
