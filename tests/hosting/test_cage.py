"""The cage of a scoring: what it lets through, what it does not, and how a site says whether there is one."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hosting.conftest import Hosted, solution

from lwface.base.errors import UserError
from lwface.hosting import cage
from lwface.hosting.cage import caged, choose_cage, exit_status, needed_paths, no_others, why_not
from lwface.hosting.limits import CAGED_PROCESSES
from lwface.hosting.scorer import Scorer, Watched

TRIES = """
import ctypes, json, os, socket, sys
folder, outside, port = sys.argv[1], sys.argv[2], int(sys.argv[3])

def tried(what):
    try:
        return what() or "done"
    except OSError as error:
        return type(error).__name__

print(json.dumps({
    "own folder": tried(lambda: open(folder + "/a", "w").close()),
    "loopback": tried(lambda: socket.create_connection(("127.0.0.1", port), 5).close()),
    "unix socket": tried(lambda: socket.socket(socket.AF_UNIX).connect(chr(0) + "lwface-" + str(port))),
    "write": [tried(lambda: open(path + "/a", "w").close()) for path in (outside, "", "/tmp", "/dev/shm", "/usr")],
    "read": [tried(lambda: open(path).close()) for path in (outside + "/secret", outside + "/challenge.sqlite3")],
    "processes": sum(name.isdigit() for name in os.listdir("/proc")),
    "namespace": ctypes.CDLL(None).unshare(0x10000000),  # CLONE_NEWUSER; the last, as it changes this process
}))
"""


def test_the_command_line(course, site, tmp_path):
    words = caged(site, tmp_path / "work" / "x", ["python", "-m", "a"])
    assert words[0] == "bwrap"
    assert {"--unshare-all", "--die-with-parent", "--new-session"} <= set(words)
    assert words[-4:] == ["--", "python", "-m", "a"]
    assert "--bind" not in words
    shown = [place for place, word in enumerate(words) if word == "--ro-bind"]
    assert words[shown[-1] + 1] == str(tmp_path / "work" / "x")
    assert words.index("--tmpfs") < shown[-1]  # other teams' files and the database are hidden first
    assert words[words.index("--tmpfs") + 1] == str(site.files)
    assert "--share-net" not in words
    wanted = {sys.prefix, str(course / "challenge.toml"), str(course / "reference" / "points")}
    assert wanted <= set(needed_paths(course))
    assert str(course) not in needed_paths(course)


def test_an_sqlite_elsewhere_is_hidden(site, tmp_path):
    other = tmp_path / "other.sqlite3"
    other.touch()
    words = caged(dataclasses.replace(site, database=f"sqlite:///{other}"), tmp_path / "work", [])
    assert words[words.index(str(other)) - 1] == "/dev/null"


def test_whether_there_is_one(site, monkeypatch):
    monkeypatch.setattr(cage, "PROGRAM", "no-such-program")
    assert "install bubblewrap" in why_not(site)
    assert choose_cage("auto", site) == why_not(site)
    assert choose_cage("never", site) == "--cage never"
    with pytest.raises(UserError, match="--cage always: install bubblewrap"):
        choose_cage("always", site)


def test_one_that_does_not_work_says_why(site, tmp_path, monkeypatch):
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(cage, "PROGRAM", str(refusing))
    assert why_not(site) == "bwrap: No permissions to create new namespace"


def test_status_of_what_a_signal_killed():
    assert [exit_status(status) for status in (0, 1, 128 + signal.SIGKILL, -signal.SIGKILL)] == [0, 1, -9, -9]


@pytest.fixture
def in_cage(site):
    """A site whose scorings are caged; skipped where bubblewrap is not, which under ``CI`` is a failure.

    Where it is and the kernel allows no namespace it is skipped there too: no test can do anything about it.
    """
    why = why_not(site)
    if shutil.which(cage.PROGRAM) is None and os.environ.get("CI"):
        pytest.fail(str(why))
    if why is not None:
        pytest.skip(why)
    return dataclasses.replace(site, cage=True)


def test_a_link_that_has_nothing_behind_it_there(in_cage, tmp_path, course):
    folder = tmp_path / "linked"
    shutil.copytree(course, folder)
    truth = folder / "reference" / "points" / "truth.txt"
    shutil.move(truth, tmp_path / "elsewhere.txt")
    truth.symlink_to(tmp_path / "elsewhere.txt")
    assert "truth.txt" in why_not(dataclasses.replace(in_cage, challenge=str(folder)))


def test_a_site_inside_what_is_shown(in_cage, tmp_path, monkeypatch):
    """As where the challenge lies in a checkout that ``PYTHONPATH`` names."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    inside = dataclasses.replace(in_cage, data=str(tmp_path / "course" / "hosted"))
    assert why_not(inside) is None
    assert not list(inside.work.iterdir())


def test_what_a_scoring_cannot_do_in_it(in_cage):
    folder, data = in_cage.work / "x", Path(in_cage.data)
    folder.mkdir(parents=True)
    (data / "secret").write_text("secret")
    (data / "challenge.sqlite3").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as other:
        port = listener.getsockname()[1]
        other.bind(f"\0lwface-{port}")
        other.listen()
        command = [sys.executable, "-c", TRIES, str(folder), str(data), str(port)]
        free = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        (folder / "a").unlink()
        held = subprocess.run(caged(in_cage, folder, command), check=True, capture_output=True, text=True)
    told = json.loads(held.stdout)
    assert (free["loopback"], free["unix socket"], free["read"]) == ("done", "done", ["done", "done"])  # it is the cage
    assert (free["own folder"], told["own folder"]) == ("done", "OSError")
    assert not list(folder.iterdir())
    assert told["loopback"] == told["unix socket"] == "ConnectionRefusedError"
    assert "done" not in told["write"]
    assert "done" not in told["read"]
    assert told["processes"] <= 3
    assert told["namespace"] == -1 or not no_others(cage.PROGRAM)


def test_processes_are_bounded_in_it_and_nowhere_else():
    """Outside, those of the whole server would be counted."""
    says = "import resource; from lwface.hosting.limits import set_limits; set_limits(2**32, 2**28, 9, caged={}); "
    says += "print(resource.getrlimit(resource.RLIMIT_NPROC)[0])"
    told = [
        int(subprocess.run([sys.executable, "-c", says.format(caged)], check=True, capture_output=True).stdout)
        for caged in (True, False)
    ]
    assert told == [CAGED_PROCESSES, resource.getrlimit(resource.RLIMIT_NPROC)[0]]


def child_of(pid):
    """The first process that another has started, when it has."""
    while not (found := Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        pass
    return int(found[0])


def killing_what_is_inside(scorer, process, held):
    """In place of watching: SIGKILL for the scoring itself, not for its cage."""
    os.kill(child_of(child_of(process.pid)), signal.SIGKILL)
    process.wait()
    return Watched()


def test_scorings_in_it(in_cage, monkeypatch):
    one = Hosted(in_cage)
    try:
        leader = one.team("Elm")
        numbers = [leader.hand_in(data, track="points", filename="solution.txt") for data in (solution(1.0), b"no")]
        one.score(apart=True)
        assert [leader.get(f"/api/submissions/{number}").json["state"] for number in numbers] == ["scored", "refused"]
        leader.hand_in(solution(2.0), track="points", filename="solution.txt")
        monkeypatch.setattr(Scorer, "_watch", killing_what_is_inside)
        assert Scorer(one.site).score_next()
        assert leader.get("/api/submissions/3").json["state"] == "queued"  # tried again, as when the outside is killed
        monkeypatch.undo()
        tight = dataclasses.replace(one.site, seconds=0.05)
        assert Scorer(tight).score_next()
        assert leader.get("/api/submissions/3").json["line"] == "its scoring took more than 0.05 seconds"
        assert not list(one.site.work.glob("*"))
    finally:
        one.end()


def test_libraries_that_want_a_folder_to_write_to(in_cage):
    """PyTorch's compiler, which is imported where a network of points is opened, makes one where it is told to."""
    folder = in_cage.work / "x"
    folder.mkdir(parents=True)
    imports = "import torch._dynamo; import tempfile; print(tempfile.gettempdir())"
    says = f"from pathlib import Path; from lwface.hosting.child import settle_for_nothing; {{}}; {imports}"
    commands = [
        [sys.executable, "-c", says.format(first)] for first in (f"settle_for_nothing(Path({str(folder)!r}))", 0)
    ]
    done = [
        subprocess.run(caged(in_cage, folder, command), capture_output=True, text=True, check=False, cwd=cage.PACKAGE)
        for command in commands
    ]
    assert (done[0].stdout.strip(), done[0].returncode) == (str(folder), 0)
    assert done[1].returncode
    assert "No usable temporary directory" in done[1].stderr or "Read-only file system" in done[1].stderr
