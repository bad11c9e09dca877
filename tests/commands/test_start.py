"""How commands start: help and mistakes are answered before PyTorch is imported, Ctrl-C at any time in one line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lwface.commands import COMMANDS
from lwface.formats.feature_file import FeatureWriter

MODULES = Path(__file__).resolve().parents[2] / "lwface" / "commands"
# A path that is not there, for every command that reads one; what is named in the error is in the second place.
MISSING = {
    "train": (["--dataset", "retina", "--root", "."], "there is no data set 'retina'"),
    "finetune": (["--network", "y1", "--model", "none,1", "--input", "."], "none-0001.safetensors: no such model"),
    "report": (["--run", "none"], "none/log.jsonl: no such file"),
    "card": (["--model", "none,1"], "none-0001.safetensors: no such model"),
    "gate": (["--model", "none,1"], "none-0001.safetensors: no such model"),
    "gen-image-feature": (["--model", "m,1", "--output", "o", "--input", "none"], "none/filelist.txt: no such file"),
    "gen-video-feature": (["--model", "none,1", "--output", "o"], "none-0001.safetensors: no such model"),
    "feature-file": (["none.bin"], "none.bin"),
    "tar-far": (["--features", "none.bin", "--labels", "none.txt"], "none.bin"),
    "compare": (["a.jpg", "b.jpg", "--model", "m,1"], "a.jpg"),
    "identification": (["--features", "none.bin", "--labels", "none.txt"], "none.bin"),
    "ijb": (["--protocol", "ijbc", "--meta", "none", "--features", "none.bin"], "none"),
    "verification": (["--features", "none.bin", "--pack", "lfw.bin"], "none.bin"),
    "split-people": (["--input", "none", "--output", "o"], "none: no such folder of images"),
    "build-rec": (["--input", "none", "--output", "o"], "none: no such folder of images"),
    "build-pack": (["--input", ".", "--output", "o", "--pairs", "none.txt"], "none.txt"),
    "align-faces": (["--input", ".", "--output", "o", "--landmarks", "none.csv"], "none.csv"),
    "clean": (["--input", "none", "--output", "o", "--model", "m,1"], "none: no such folder of images"),
    "rec-info": (["--input", "none"], "none: no such record file"),
    "pack-info": (["--input", "none.bin"], "none.bin"),
    "rec-to-images": (["--input", ".", "--output", "o"], "train.rec: no such record file"),
    "train-landmarks": (["--data", "none"], "--data none: no such folder or csv"),
    "predict-landmarks": (
        ["--model", "none,1", "--input", ".", "--output", "o"],
        "none-0001.safetensors: no such model",
    ),
    "evaluate-landmarks": (["--solution", "none.txt", "--truth", "none.pkl"], "none.txt"),
    "adapt-landmarks": (
        ["--model", "none,1", "--data", ".", "--output", "m,1"],
        "none-0001.safetensors: no such model",
    ),
    "package-landmarks": (
        ["--student", "a", "--model", "none,1", "--report", "r.pdf"],
        "none-0001.safetensors: no such model",
    ),
    "train-detector": (["--heads", "none"], "none"),
    "convert-ytf": (["--input", "none", "--output", "o"], "none/training_keypoints.csv"),
    "make-keypoints": (["--input", "none", "--output", "o"], "none: expected training_keypoints.csv"),
    "train-keypoints": (["--data", "none"], "none: no such folder"),
    "submit-keypoints": (["--model", "m,1", "--data", "none", "--output", "o"], "none: no such folder"),
    "check-keypoints": (["--submission", "none.csv", "--data", "."], "none.csv"),
    "score-keypoints": (["--submission", "lfw.bin", "--truth", "none.csv"], "none.csv"),
    "signatures": (["--input", "none.tar", "--model", "m,1", "--output", "o"], "none.tar"),
    "train-sequences": (["--input", "none.tar"], "none.tar"),
    "solve-sequences": (["--naive", "--signatures", "none.pkl", "--output", "o"], "none.pkl"),
    "evaluate-sequences": (["--submission", "none.json", "--truth", "none.csv"], "none.json"),
    "embeddings": (["--signatures", "none.pkl", "--input", ".", "--output", "o"], "none.pkl"),
    "check-split": (["--train", "none.tar", "--test", "none.tar"], "none.tar"),
    "export": (["--model", "m,1", "--output", "o.onnx", "--pack", "none.bin"], "none.bin"),
    "convert-model": (["--model", "none,1"], "none-0001.safetensors: no such model"),
    "check-model": (["--model", "m,1", "--pack", "none.bin"], "none.bin"),
    "train-quality": (["--model", "m,1", "--input", "none", "--output", "o"], "none: expected train.rec"),
    "overlay": (["--input", "none.mp4", "--output", "o.mp4"], "none.mp4"),
    "montage": (["index", "--videos", "none.csv"], "none.csv"),
    "make-montage": (["--input", "none", "--output", "o"], "none"),
    "host": (["none"], "none"),
    "submit": (["none.txt", "--challenge", "http://127.0.0.1:1", "--track", "a"], "none.txt"),
    "new-challenge": (["lfw.bin", "--template", "landmarks"], "lfw.bin: is there and not an empty folder"),
    "score-challenge": (["none", "landmarks", "f.txt"], "none: "),
    "make-bundle": (["none", "--output", "o.zip"], "none: "),
    "make-models": (["--notes", "none.json"], "none.json: "),
    "search": (["--track", "deepglint-light", "--dataset", "retina", "--root", "."], "there is no data set 'retina'"),
}
READS_NOTHING = {"make-synthetic", "make-people", "make-heads", "demo"}
# Runs commands up to load(), all in one process, and prints what each said and which of these modules it brought along.
PROGRAM = """
import contextlib, importlib, io, json, sys
import lwface.base.commands as base

def load(*modules):
    raise SystemExit(99)

base.load = load
told = []
for name, arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            module = importlib.import_module("lwface.commands." + name.replace("-", "_"))
            base.run_command(lambda: module.main(arguments))
        except SystemExit as end:
            status = end.code
    heavy = [module for module in ("torch", "cv2", "numpy", "matplotlib", "onnx") if module in sys.modules]
    told.append((status, out.getvalue(), err.getvalue(), heavy))
json.dump(told, sys.stdout)
"""


def start(folder: Path, *typed: tuple[str, list[str]]) -> list[tuple[int, str, str, list[str]]]:
    """Exit status, stdout, stderr and heavy modules of each command, started in ``folder``."""
    (folder / "m-0001.safetensors").touch()
    (folder / "lfw.bin").touch()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(typed), cwd=folder, capture_output=True, text=True, check=True
    )
    told: list[tuple[int, str, str, list[str]]] = json.loads(done.stdout)
    return told


def test_help_brings_nothing_along(tmp_path):
    for name, (status, out, err, heavy) in zip(
        COMMANDS, start(tmp_path, *((name, ["--help"]) for name in COMMANDS)), strict=True
    ):
        assert (name, status, err, heavy) == (name, 0, "", [])
        assert out.startswith("usage: ")


def test_an_unknown_flag_brings_nothing_along(tmp_path):
    given = [(name, [*MISSING.get(name, ([], ""))[0], "--nonsense"]) for name in COMMANDS]
    for name, (status, out, err, heavy) in zip(COMMANDS, start(tmp_path, *given), strict=True):
        assert (name, status, out, heavy) == (name, 2, "", [])
        assert err.splitlines()[-1].endswith("error: unrecognized arguments: --nonsense")


def test_a_missing_file_is_one_line_that_names_it(tmp_path):
    assert set(COMMANDS) == set(MISSING) | READS_NOTHING
    given = [(name, arguments) for name, (arguments, _) in MISSING.items()]
    for (name, (_, named)), (status, out, err, heavy) in zip(MISSING.items(), start(tmp_path, *given), strict=True):
        assert (name, status, out, heavy) == (name, 2, "", [])
        assert (name, err.startswith("error: "), err.count("\n")) == (name, True, 1), err
        assert named in err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_once(name):
    source = (MODULES / f"{name.replace('-', '_')}.py").read_text()
    assert len(re.findall(r"(?<![\w.])load(?:ing)?\(", source)) == 1


ROOT = MODULES.parents[1]
SCORES = ["--features", "f.bin", "--labels", "l.txt"]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "lwface", "gate", "--network", "y2"],
        [str(ROOT / "common" / "flops_counter.py"), "--network", "y2"],
        [str(ROOT / "eval" / "tar_far.py"), *SCORES],  # which reads its files meanwhile
    ],
)
def test_ctrl_c_while_pytorch_is_imported_is_one_line(command, tmp_path):
    """A package called torch says when it is being imported, and then waits for what never comes."""
    write_features(tmp_path / "f.bin")
    (tmp_path / "l.txt").write_text("0\n0\n1\n1\n")
    reached, says = os.pipe()
    waits, never = os.pipe()
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"import os\nos.write({says}, b'!')\nos.read({waits}, 1)\n")
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        pass_fds=(says, waits),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # as from a terminal
    )
    os.close(says)
    os.close(waits)
    assert os.read(reached, 1) == b"!"  # nothing: it ended before
    process.send_signal(signal.SIGINT)
    assert process.communicate() == (b"", b"interrupted\n")
    assert process.returncode == 130
    os.close(reached)
    os.close(never)


def write_features(path):
    with FeatureWriter(path, 4, 2) as writer:
        writer.write(np.eye(2, dtype=np.float32)[[0, 0, 1, 1]])


def test_a_pytorch_that_cannot_be_imported_is_told_after_the_files(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    write_features(tmp_path / "f.bin")
    (tmp_path / "l.txt").write_text("0\n0\n1\n1\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "eval" / "tar_far.py"), *SCORES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "no torch here" in done.stderr
