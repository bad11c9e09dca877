"""The ``lwface`` command: what it lists, and what it says to a name that it does not know."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from lwface.commands import ALIASES, COMMANDS, busy_machine, main


def said(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/lwface", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return (end.value.code or 0, *capsys.readouterr())


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_lists_every_command(arguments, monkeypatch, capsys):
    status, out, err = said(monkeypatch, capsys, *arguments)
    assert (status, err) == (0, "")
    assert out.startswith("usage: lwface COMMAND ...\n")
    for name, says in COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, says] for line in out.splitlines())


def test_version(monkeypatch, capsys):
    assert said(monkeypatch, capsys, "--version") == (0, f"lwface {version('lightweight-face-recognition')}\n", "")


def test_an_unknown_command_is_one_line_with_the_nearest(monkeypatch, capsys):
    status, out, err = said(monkeypatch, capsys, "tar-fra")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: unknown command 'tar-fra': did you mean 'tar-far'? choose from adapt-landmarks, ")


@pytest.mark.parametrize(("typed", "name"), [*ALIASES.items(), ("rec-info", "rec-info")])
def test_as_a_module_from_any_folder(typed, name, tmp_path):
    command = [sys.executable, "-m", "lwface", typed, "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: lwface {name} [-h] ")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_torchrun_of_a_command_that_does_not_share_its_work(rank):
    done = subprocess.run(
        [sys.executable, "-m", "lwface", "gate", "--network", "y2"],
        env={**os.environ, "WORLD_SIZE": "2", "RANK": rank},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    said = (
        "error: gate works in one process, torchrun started 2: type it with python (what is shared: tar-far, train)\n"
    )
    assert done.stderr == (said if rank == "0" else "")


@pytest.mark.parametrize(("running", "busy"), [(1, False), (2, False), (3, True), (9, True), (None, False)])
def test_a_machine_is_busy_when_others_run_on_half_of_its_cores(monkeypatch, tmp_path, running, busy):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    (tmp_path / "stat").write_text("cpu 1 2 3\n" + (f"procs_running {running}\n" if running else "") + "softirq 9\n")
    assert busy_machine(str(tmp_path / "stat")) == busy
    assert not busy_machine(str(tmp_path / "none"))
