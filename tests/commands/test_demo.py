"""The demo's steps, as they are printed and run: by the doors of a checkout, or by ``lwface`` where it is installed."""

import os
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
        def __init__(self, command, cwd, **pipes):
            self.command, self.pipes = command, pipes
            calls.append((command, cwd))

        def wait(self):
            self.returncode = 3 if "fails" in self.command else 0
            return self.returncode

        def communicate(self):
            self.wait()
            assert self.pipes == {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            return f"{self.command[-1]} says\n", None

    monkeypatch.setattr(subprocess, "Popen", Process)
    return calls


@pytest.fixture
def installed(started, tmp_path, monkeypatch):
    """The road of an installed package, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "checkout", lambda: None)
    return demo.Road()


def test_in_a_checkout_the_doors_run_from_its_root(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    demo.Road().run(demo.Step("Pass the gate", "gate", ["--model", "a b,1"]))
    assert capsys.readouterr().out == "\n== Pass the gate\n$ python common/flops_counter.py --model 'a b,1'\n"
    assert started == [([sys.executable, "-u", "common/flops_counter.py", "--model", "a b,1"], ROOT)]


def test_installed_lwface_runs_in_this_folder(installed, started, tmp_path, capsys):
    installed.run(demo.Step("Pass the gate", "gate", ["--model", "m,1"]))
    assert capsys.readouterr().out == "\n== Pass the gate\n$ lwface gate --model m,1\n"
    assert started == [([sys.executable, "-u", "-m", "lwface", "gate", "--model", "m,1"], tmp_path)]


def test_what_is_made_is_not_made_again_and_a_failure_is_told(installed, started, capsys):
    Path("made").touch()
    installed.run(demo.Step("Make", "train", [], makes=[Path("made")]))
    assert (started, capsys.readouterr().out.endswith("\nup to date\n")) == ([], True)
    with pytest.raises(UserError, match="the step 'Make' ended with status 3; run the demo again"):
        installed.run(demo.Step("Make", "train", ["fails"]))


def test_what_is_older_than_what_it_is_made_of_is_made_again(installed, started):
    for name, time in (("used", 2000), ("made", 1000)):
        Path(name).touch()
        os.utime(name, (time, time))
    step = demo.Step("Make", "gate", [], makes=[Path("made")], uses=[Path("used")])
    installed.run(step)
    assert len(started) == 1
    os.utime("made", (3000, 3000))
    installed.run(step)
    assert len(started) == 1


def test_lanes_run_to_their_ends_and_a_failure_is_told(installed, started, capsys):
    Path("made").touch()
    one = [demo.Step("One", "gate", ["a"]), demo.Step("Two", "gate", [], makes=[Path("made")])]
    other = [demo.Step("Three", "train", ["fails"]), demo.Step("Four", "train", ["never"])]
    with pytest.raises(UserError, match="the step 'Three' ended with status 3"):
        installed.run_together(one, other)
    said = capsys.readouterr().out
    assert "\n== One\n$ lwface gate a\na says\n" in said
    assert "\n== Two\n$ lwface gate\nup to date\n" in said
    assert "fails says\n" in said
    assert [command[-1] for command, _ in started if command[-1] != "a"] == ["fails"]


def test_no_lane_goes_on_after_ctrl_c(installed, started, monkeypatch):
    class Future:
        def result(self):
            raise KeyboardInterrupt

    class Pool:
        def __init__(self, workers):
            self.workers, self.lanes = workers, []

        def submit(self, work, lane):
            self.lanes.append((work, lane))
            return Future()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            for work, lane in self.lanes:  # what threads that still run do
                work(lane)

    monkeypatch.setattr(demo, "ThreadPoolExecutor", Pool)
    with pytest.raises(KeyboardInterrupt):
        installed.run_together([demo.Step("One", "gate", [])], [demo.Step("Two", "gate", [])])
    assert started == []


def test_after_training_three_lanes_use_the_model():
    lanes = demo.judging("models/a-b-c/model,1", Path("out"))
    assert [[step.name for step in lane] for lane in lanes] == [
        ["gate"], ["gen-image-feature", "tar-far"], ["gen-video-feature", "tar-far"],
    ]  # fmt: skip
    write, score = lanes[1]
    assert (write.makes, write.uses) == ([Path("out/image.bin")], [Path("models/a-b-c/model-0001.safetensors")])
    assert (score.makes, score.uses) == ([Path("out/image.json")], [Path("out/image.bin")])


def test_its_doors_are_there():
    assert set(demo.DOORS) <= set(COMMANDS)
    assert all((ROOT / door).is_file() for door in demo.DOORS.values())
