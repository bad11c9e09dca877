"""Work that is stopped: what nobody has begun is left undone, and a job that ended is complete."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lwface.base import journal
from lwface.commands import make_heads, make_people, make_synthetic

PIECES = 20_000
INTERRUPTED = """
import os, signal
from pathlib import Path
from lwface.synthetic.workers import made_by
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored
    for number, _ in enumerate(made_by(Path.touch, [Path(f"FOLDER/{i}") for i in range(PIECES)], 2)):
        if number == 20:
            os.killpg(0, signal.SIGINT)  # as a terminal does
"""
PEOPLE = ["--people", "2", "--videos", "2", "--sequences", "1", "--frames", "1", "--num-workers", "0"]
HEADS = ["--people", "2", "--shots", "1", "--backs", "1", "--num-workers", "0"]
FACES = [
    *("--train-people", "2", "--images-per-person", "1", "--heldout-people", "2", "--heldout-images", "2"),
    *("--pack-people", "2", "--pack-pairs", "2", "--video-people", "0", "--num-workers", "0"),
]


def test_ctrl_c_ends_the_work_without_a_word_of_the_processes(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED.replace("FOLDER", str(tmp_path)).replace("PIECES", str(PIECES)))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, start_new_session=True, check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.count("Traceback") == 1, done.stderr  # this script's own
    assert len(os.listdir(tmp_path)) < PIECES  # what nobody had begun was left undone


@pytest.mark.parametrize(("command", "flags"), [(make_people, PEOPLE), (make_synthetic, FACES), (make_heads, HEADS)])
def test_stopped_while_the_work_folder_is_removed(command, flags, tmp_path, monkeypatch) -> None:
    def stopped(folder: Path) -> None:
        next(folder.iterdir()).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journal.shutil, "rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            command.main(["--output", str(tmp_path / "set"), *flags])
    command.main(["--output", str(tmp_path / "set"), *flags])
    assert json.loads((tmp_path / "set" / "manifest.json").read_text())["fingerprint"]
    assert not (tmp_path / "set" / journal.WORK).exists()
