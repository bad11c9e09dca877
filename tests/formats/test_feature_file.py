"""Golden bytes, damaged files, and a writer that is interrupted."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lwface.formats.feature_file as feature_file
from lwface.base.errors import UserError
from lwface.commands.feature_file import main
from lwface.formats.feature_file import FeatureFileError, FeatureWriter, read_features, validate
from lwface.gate.budgets import TRACKS, Track

ROOT = Path(__file__).resolve().parents[2]
# Two rows (0.6, -0.8, 0) and (0, 0, 1), typed from the format's description.
GOLDEN = bytes.fromhex("02000000 03000000 0c000000 05000000 9a99193f cdcc4cbf 00000000 00000000 00000000 0000803f")
ROWS = np.array([[0.6, -0.8, 0], [0, 0, 1]], np.float32)


def unit_rows(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, cols))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def raw(path: Path, features: np.ndarray, header: tuple[int, ...] | None = None) -> Path:
    rows, cols = features.shape
    path.write_bytes(struct.pack("<4i", *(header or (rows, cols, cols * 4, 5))) + features.astype("<f4").tobytes())
    return path


def test_golden_bytes_are_written_and_read(tmp_path):
    path = tmp_path / "new" / "f.bin"
    with FeatureWriter(path, 2, 3) as writer:
        writer.write(ROWS[:1])
        assert not path.exists()
        writer.write(ROWS[1:])
    assert path.read_bytes() == GOLDEN
    features = read_features(path)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, ROWS)
    with pytest.raises(ValueError, match="read-only"):
        features[0, 0] = 1
    assert os.listdir(path.parent) == ["f.bin"]


@given(rows=st.integers(1, 40), cols=st.integers(1, 20), cuts=st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=25, deadline=None)
def test_any_blocks_give_the_same_file(tmp_path_factory, rows, cols, cuts):
    features = unit_rows(rows, cols)
    path = tmp_path_factory.mktemp("blocks") / "f.bin"
    with FeatureWriter(path, rows, cols) as writer:
        for block in np.split(features, sorted(min(cut, rows) for cut in cuts)):
            writer.write(block)
    np.testing.assert_array_equal(read_features(path), features)
    assert validate(path).rows == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes, less than the 16 of its header"),
        (GOLDEN[:15], "15 bytes, less than the 16"),
        (GOLDEN[:-1], "cut short: 39 bytes, but 2 rows of 3 float32 make 40"),
        (GOLDEN + b"\0", "too long: 41 bytes"),
        (struct.pack("<4i", -1, 3, 12, 5), "its header is"),
        (struct.pack("<4i", 0, 3, 12, 5), "its header is"),
        (struct.pack("<4i", 1, 0, 0, 5), "its header is"),
        (
            struct.pack("<4i", 2, 3, 13, 5) + GOLDEN[16:],
            r"header is \(2, 3, 13, 5\), expected \(rows, cols, cols \* 4, 5\)",
        ),
        (struct.pack("<4i", 2, 3, 24, 6) + GOLDEN[16:] * 2, "its header is"),  # OpenCV's CV_64F
        (struct.pack(">4i", 2, 3, 12, 5) + GOLDEN[16:], "its header is"),  # the other byte order
        (b"\x93NUMPY" + GOLDEN, "its header is"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "damaged.bin"
    path.write_bytes(content)
    for function in (read_features, validate):
        with pytest.raises(FeatureFileError, match=message) as caught:
            function(path)
        assert str(path) in str(caught.value)


def test_validate_finds_every_bad_row(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_file, "BLOCK_BYTES", 7 * 16)  # blocks of seven rows: the bad ones lie in several
    features = unit_rows(50, 4)
    features[[9, 30]] *= 1.001
    features[[3, 20, 49], [0, 1, 2]] = [np.nan, np.inf, -np.inf]
    with pytest.raises(FeatureFileError) as caught:
        validate(raw(tmp_path / "f.bin", features), rows=51)
    assert caught.value.problems == (
        "50 rows, expected 51",
        "3 rows hold numbers that are not finite, the first is row 3 (from 0)",
        "2 rows do not have unit norm, the first is row 9 (from 0), whose norm is 1.001",
    )


def test_the_tolerance_of_unit_norm(tmp_path):
    inside, outside = 1 + 0.9 * feature_file.NORM_TOLERANCE, 1 - 1.1 * feature_file.NORM_TOLERANCE
    features = unit_rows(10, 512)
    features[4] *= inside
    summary = validate(raw(tmp_path / "f.bin", features))
    assert summary.largest_norm == pytest.approx(inside, abs=1e-6)
    assert summary.smallest_norm == pytest.approx(1, abs=1e-6)
    features[4] *= outside / inside
    with pytest.raises(FeatureFileError, match="1 rows do not have unit norm, the first is row 4"):
        validate(raw(tmp_path / "f.bin", features))


def test_a_track_fixes_rows_and_width(tmp_path, monkeypatch):
    monkeypatch.setitem(TRACKS, "tiny", Track("tiny", 1, None, 10, 0.1, "image"))
    assert validate(raw(tmp_path / "f.bin", unit_rows(10, 512)), track="tiny").cols == 512
    with pytest.raises(FeatureFileError) as caught:
        validate(raw(tmp_path / "f.bin", unit_rows(9, 513)), track="tiny")
    assert len(caught.value.problems) == 2
    assert "9 rows, but the official list of tiny has 10: --track is for features of the official" in str(caught.value)
    assert "leave it out for images of your own" in str(caught.value)
    assert "513 numbers a row, but tiny allows 512" in str(caught.value)
    with pytest.raises(UserError, match="deepglint-light"):
        validate(tmp_path / "f.bin", track="deepglint-lite")


def stop_after(path: Path, features: np.ndarray, rows: int, **options) -> None:
    """Write the first ``rows`` rows, then end as on Ctrl-C."""
    with pytest.raises(KeyboardInterrupt), FeatureWriter(path, *features.shape, **options) as writer:  # noqa: PT012
        writer.write(features[writer.rows_done : rows])
        raise KeyboardInterrupt


def test_an_interrupted_writer_goes_on(tmp_path):
    path, features = tmp_path / "f.bin", unit_rows(10, 4)
    path.write_bytes(b"an older file")
    stop_after(path, features, 3, identity={"model": "a"})
    stop_after(path, features, 7, identity={"model": "a"}, resume=True)
    assert path.read_bytes() == b"an older file"
    with FeatureWriter(path, 10, 4, identity={"model": "a"}, resume=True) as writer:
        assert writer.rows_done == 7
        writer.write(features[7:])
    np.testing.assert_array_equal(read_features(path), features)
    assert os.listdir(tmp_path) == ["f.bin"]


def test_without_resume_an_unfinished_file_is_replaced(tmp_path):
    path, features = tmp_path / "f.bin", unit_rows(10, 4)
    stop_after(path, features, 3)
    with FeatureWriter(path, 5, 6, identity={"model": "b"}) as writer:
        assert (writer.rows_done, writer.rows_discarded) == (0, 3)
        writer.write(unit_rows(5, 6))
    np.testing.assert_array_equal(read_features(path), unit_rows(5, 6))


def test_resume_with_something_else_names_what_differs(tmp_path):
    path, features = tmp_path / "f.bin", unit_rows(10, 4)
    stop_after(path, features, 3, identity={"model": "a", "flip": True, "list": "x"})
    with pytest.raises(UserError, match=r"another model a \(now b\), flip True \(now False\); give") as caught:
        FeatureWriter(path, 10, 4, identity={"model": "b", "flip": False, "list": "x"}, resume=True)
    assert "list" not in str(caught.value)
    with pytest.raises(UserError, match=r"another rows 10 \(now 11\)"):
        FeatureWriter(path, 11, 4, identity={"model": "a", "flip": True, "list": "x"}, resume=True)
    same = FeatureWriter(path, 10, 4, identity={"model": "a", "flip": True, "list": "x"}, resume=True)
    assert same.rows_done == 3  # the refusals have left the part alone


def test_rows_that_never_reached_the_disk_are_not_trusted(tmp_path):
    """After a power cut the part may be shorter than noted, and what lies beyond the note may be anything."""
    path, features = tmp_path / "f.bin", unit_rows(10, 4)
    stop_after(path, features, 6)
    part = tmp_path / ".f.bin.part"
    with open(part, "ab") as file:
        file.write(b"\xff" * 40)
    with FeatureWriter(path, 10, 4, resume=True) as writer:
        assert writer.rows_done == 6
        writer.write(features[6:])
    np.testing.assert_array_equal(read_features(path), features)
    stop_after(path, features, 6)
    os.truncate(part, 16 + 4 * 16 + 7)
    writer = FeatureWriter(path, 10, 4, resume=True)
    assert writer.rows_done == 4


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"rows_done": 3}', '{"identity": 5, "rows_done": 3}', "\0"])
def test_a_damaged_note_starts_anew(tmp_path, note):
    stop_after(tmp_path / "f.bin", unit_rows(10, 4), 6)
    state = tmp_path / ".f.bin.part.json"
    assert json.loads(state.read_text())["rows_done"] == 6
    state.write_text(note)
    assert FeatureWriter(tmp_path / "f.bin", 10, 4, resume=True).rows_done == 0


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    first = FeatureWriter(tmp_path / "f.bin", 10, 4)
    first.write(unit_rows(10, 4))
    with pytest.raises(UserError, match="another run is writing this file"):
        FeatureWriter(tmp_path / "f.bin", 10, 4)
    first.finish()
    np.testing.assert_array_equal(read_features(tmp_path / "f.bin"), unit_rows(10, 4))


def test_a_file_that_is_not_valid_never_appears(tmp_path):
    writer = FeatureWriter(tmp_path / "f.bin", 2, 3)
    writer.write(ROWS * np.float32(2))
    with pytest.raises(FeatureFileError, match="unit norm") as caught:
        writer.finish()
    assert str(tmp_path / "f.bin") in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_writer_that_never_wrote_leaves_nothing(tmp_path):
    stop_after(tmp_path / "f.bin", unit_rows(10, 4), 0)
    assert os.listdir(tmp_path) == []


def test_wrong_rows_are_the_programmers_error(tmp_path):
    writer = FeatureWriter(tmp_path / "f.bin", 2, 3)
    for wrong in (ROWS.astype(np.float64), ROWS[:, :2], ROWS[0], np.concatenate([ROWS, ROWS])):
        with pytest.raises(ValueError, match=r"f\.bin"):
            writer.write(wrong)
    with pytest.raises(ValueError, match="0 rows written, 2 announced"):
        writer.finish()
    for shape in ((0, 3), (2, 0), (2**31, 3), (2, 2**29)):
        with pytest.raises(UserError, match="cannot hold"):
            FeatureWriter(tmp_path / "g.bin", *shape)


def test_the_command_and_its_exit_status(tmp_path, capsys):
    good, bad = raw(tmp_path / "good.bin", ROWS), raw(tmp_path / "bad.bin", ROWS * 2)
    assert main([str(good), "--rows", "2"]) == 0
    assert "good.bin: valid, 2 rows of 3 float32, norms 1.000000 to 1.000000" in capsys.readouterr().out
    assert main([str(bad), "--rows", "3"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{bad}: 2 rows, expected 3",
        f"{bad}: 2 rows do not have unit norm, the first is row 0 (from 0), whose norm is 2",
    ]
    with pytest.raises(SystemExit, match="2"):
        main([str(good), "--track", "no-such-track"])
    command = [sys.executable, str(ROOT / "common" / "feature_file.py")]
    done = subprocess.run([*command, "none.bin"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: none.bin: No such file or directory\n")
    done = subprocess.run([*command, "bad.bin"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
