"""The command for LFW-style packs: its lines, its JSON, and what it refuses."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lwface.commands.verification as script
from lwface.base.errors import UserError
from lwface.formats.verification_pack import write_pack
from lwface.scoring.pack_accuracy import evaluate, normalise_rows, validation_rate, verify

DOOR = str(Path(__file__).resolve().parents[2] / "eval" / "verification.py")


@pytest.fixture
def pack(tmp_path):
    generator = np.random.default_rng(6)
    same = np.arange(80) % 3 > 0
    first = generator.normal(size=(80, 12))
    second = np.where(same[:, np.newaxis], first, 0) + generator.normal(size=(80, 12))
    rows = (9 * np.stack([first, second], axis=1).reshape(160, 12)).astype(np.float32)
    mirrored = (rows + np.random.default_rng(7).normal(size=rows.shape)).astype(np.float32)
    for name, features in (("lfw.bin", rows), ("mirrored.bin", mirrored)):
        (tmp_path / name).write_bytes(struct.pack("<4i", 160, 12, 48, 5) + features.tobytes())
    write_pack(tmp_path / "pack.bin", [b"never decoded"] * 160, same)
    (tmp_path / "same.txt").write_text("".join(f"{int(value)}\n" for value in same))
    return tmp_path, rows, mirrored, same


def run(*arguments):
    script.main([str(argument) for argument in arguments])


def test_the_command_with_mirrored_features(pack, capsys):
    folder, rows, mirrored, same = pack
    run("--features", folder / "lfw.bin", "--mirrored", folder / "mirrored.bin", "--pack", folder / "pack.bin")
    accuracy, std, xnorm = verify(rows, mirrored, same)
    embeddings = normalise_rows(rows.astype(np.float64) + mirrored)
    rate, deviation, far = validation_rate(embeddings, same)
    assert capsys.readouterr().out.splitlines() == [
        f"[lfw]XNorm: {xnorm:f}",
        f"[lfw]Accuracy-Flip: {accuracy:1.5f}+-{std:1.5f}",
        f"[lfw]Validation rate: {rate:2.5f}+-{deviation:2.5f} @ FAR={far:2.5f}",
    ]


def test_the_command_with_labels_as_text(pack, capsys):
    folder, rows, _, same = pack
    run("--features", folder / "lfw.bin", "--issame", folder / "same.txt", "--far", "0.1", "--json", folder / "o.json")
    found = json.loads((folder / "o.json").read_text())
    embeddings = normalise_rows(rows.astype(np.float64))
    accuracy, std = evaluate(embeddings, same)[:2]
    rate, deviation, far = validation_rate(embeddings, same, 0.1)
    assert (found["accuracy"], found["std"]) == (accuracy, std)
    assert found["validation"] == {"target_far": 0.1, "rate": rate, "std": deviation, "far": far}
    assert "XNorm" in capsys.readouterr().out


def test_the_command_says_no_norm_of_unit_rows_and_has_no_figure_of_pairs_of_one_kind(pack, capsys):
    folder, rows, _, _ = pack
    units = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    (folder / "units.bin").write_bytes(struct.pack("<4i", 160, 12, 48, 5) + units.tobytes())
    (folder / "ones.txt").write_text("1\n" * 80)
    run("--features", folder / "units.bin", "--issame", folder / "ones.txt", "--json", folder / "o.json")
    first, second = capsys.readouterr().out.splitlines()
    reason = "all 80 pairs are of one person"
    assert first == f"[units]Accuracy: none, {reason}; add pairs of two persons"
    assert second == f"[units]Validation rate: none, {reason}"
    found = json.loads((folder / "o.json").read_text())
    assert (found["accuracy"], found["std"], found["validation"]) == (None, None, None)


def test_what_the_command_refuses(pack, capsys):
    folder, _, _, _ = pack
    (folder / "few.txt").write_text("1\n" * 79)
    with pytest.raises(
        UserError, match=r"lfw.bin: 160 rows for the 79 pairs of .*few.txt; pair i is rows 2i and 2i\+1"
    ):
        run("--features", folder / "lfw.bin", "--issame", folder / "few.txt")
    (folder / "bad.txt").write_text("1\n0\nyes\n")
    with pytest.raises(UserError, match=r"bad.txt, line 3: 'yes' is not 1"):
        run("--features", folder / "lfw.bin", "--issame", folder / "bad.txt")
    with pytest.raises(SystemExit):
        run("--features", folder / "lfw.bin", "--issame", folder / "same.txt", "--far", "1")
    assert "--far 1 is not above 0 and below 1" in capsys.readouterr().err


def test_it_runs_as_a_file_from_anywhere(pack):
    folder = pack[0]
    command = [sys.executable, DOOR, "--features", "lfw.bin", "--pack", "pack.bin"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "[lfw]Accuracy: " in done.stdout
