"""The demo's steps, as they are printed and run: by the doors of a checkout, or by ``lwface`` where it is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.commands import COMMANDS, demo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def started(monkeypatch):
    """What is started, none of which runs: the commands and their folders."""
    calls = []

    class Process:
        def __init__(self, command, cwd):
            calls.append((command, cwd))

        def wait(self):
            return 3 if "fails" in calls[-1][0] else 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    return calls


def test_in_a_checkout_the_doors_run_from_its_root(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    demo.Road().step("Pass the gate", "gate", "--model", "a b,1")
    assert capsys.readouterr().out == "\n== Pass the gate\n$ python common/flops_counter.py --model 'a b,1'\n"
    assert started == [([sys.executable, "-u", "common/flops_counter.py", "--model", "a b,1"], ROOT)]


def test_installed_lwface_runs_in_this_folder(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "checkout", lambda: None)
    demo.Road().step("Pass the gate", "gate", "--model", "m,1")
    assert capsys.readouterr().out == "\n== Pass the gate\n$ lwface gate --model m,1\n"
    assert started == [([sys.executable, "-u", "-m", "lwface", "gate", "--model", "m,1"], tmp_path)]


def test_what_is_made_is_not_made_again_and_a_failure_is_told(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "checkout", lambda: None)
    road = demo.Road()
    Path("made").touch()
    road.step("Make", "train", makes=[Path("made")])
    assert (started, capsys.readouterr().out.endswith("\nup to date\n")) == ([], True)
    with pytest.raises(UserError, match="the step 'Make' ended with status 3; run the demo again"):
        road.step("Make", "train", "fails")


def test_its_doors_are_there():
    assert set(demo.DOORS) <= set(COMMANDS)
    assert all((ROOT / door).is_file() for door in demo.DOORS.values())
