"""A short run of the fuzzing command, and that it notices what it is there to notice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from tests import fuzz_formats

HERE = Path(__file__).parent


def test_some_damaged_files(tmp_path):
    command = [sys.executable, str(HERE / "fuzz_formats.py"), "--count", "240", "--seed", "1", "--workers", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    folder = tmp_path / "failures"
    done = subprocess.run(
        [*command, "--folder", str(folder)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failures" in done.stdout
    for target in ("params", "graph", "graph-params", "face-network", "records", "pack"):
        assert f" {target}: read\n" in done.stdout, target
        assert f" {target}: refused\n" in done.stdout, target
    assert not folder.exists()


def crash(folder):
    os.kill(os.getpid(), signal.SIGKILL)


def hang(folder):
    while True:
        pass


def take_memory(folder):
    return bytes(2 * fuzz_formats.MEMORY_BYTES)


def hide_memory(folder):
    try:
        take_memory(folder)
    except MemoryError:
        raise UserError("damaged") from None


def say_two_lines(folder):
    raise UserError("first\nsecond")


def fail(folder):
    return (folder / "file").read_bytes()[1000]


@pytest.mark.parametrize(
    ("reader", "what"),
    [
        (crash, "ended by SIGKILL"),
        (hang, "ended by SIGPROF: more than 0.3 s of CPU"),
        (take_memory, "MemoryError"),
        (hide_memory, "MemoryError"),
        (say_two_lines, "not one line that can be printed"),
        (fail, "IndexError"),
    ],
)
def test_what_goes_wrong_is_noticed_and_saved(reader, what, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fuzz_formats, "CPU_SECONDS", 0.3)

    def read(folder):
        data = (folder / "file").read_bytes()
        if data == b"3":
            return reader(folder)
        if data == b"5":
            raise UserError("damaged")
        return None

    targets = [fuzz_formats.Target("kind", 1, lambda dice: {}, read)]
    monkeypatch.setattr(
        fuzz_formats, "choose", lambda targets, seed, number: (targets[0], {"file": b"%d" % (number % 7)})
    )
    report = fuzz_formats.run(targets, range(14), 0, tmp_path / "failures", workers=2)
    assert report.outcomes == {"kind: read": 10, "kind: refused": 2, "kind: FAILED": 2}
    assert sorted(folder.name for folder in (tmp_path / "failures").iterdir()) == ["10-kind", "3-kind"]
    assert what in (tmp_path / "failures" / "3-kind" / "what_happened.txt").read_text()
    assert (tmp_path / "failures" / "3-kind" / "file").read_bytes() == b"3"
    assert capsys.readouterr().out.count("-kind: ") == 2


def test_a_number_always_makes_the_same_files():
    target = fuzz_formats.Target("kind", 1, lambda dice: {"file": dice.randbytes(9)}, print)
    first = fuzz_formats.choose([target], 1, 7)
    assert first == fuzz_formats.choose([target], 1, 7)
    assert first != fuzz_formats.choose([target], 2, 7)
