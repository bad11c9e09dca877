"""Kills a hosted challenge at random moments, everywhere, and looks whether anything was lost or counted twice.

    python tests/hosting_kills.py --kills 200
    python tests/hosting_kills.py --kills 200 --postgres

A command, not a test: it takes some minutes. Five teams hand in 40 submissions in small pieces, while SIGKILL hits
the server, its web processes, its scoring processes, the sub-processes that score, and the programs that upload, at
random. With PostgreSQL a second server, which only scores, shares the database, as on another machine. What is killed
is started anew, by the server or here, as by a user. When all is scored before the kills are used up, the organiser has
everything scored again. Then every submission that was accepted has to have exactly one score with the last version of
the reference and at most one with each other, and the leaderboards of both halves have to be byte for byte those of a
run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from hosting_people import Visitor, organiser, team
from hosting_postgres import free_port, postgres

ROOT = Path(__file__).resolve().parents[1]
TEAMS, EACH, TRACK = 5, 8, "landmarks"
PIECE, PAUSE_S = 4096, 0.05
PAUSE_OF_KILLS_S, PATIENCE_S = 0.3, 15.0  # mean pause between kills; how long one waits for what it kills
START_S = 300.0  # that a server may take on a busy machine
ENDED = ("scored", "refused", "failed", "cancelled")
SHARES = {"server": 0.08, "web": 0.24, "scorer": 0.27, "scoring": 0.27, "uploader": 0.14}  # of the kills, about


def make_challenge(folder: Path) -> Path:
    """A challenge whose quotas are no matter."""
    made = [
        sys.executable,
        str(ROOT / "challenge" / "new.py"),
        str(folder),
        "--template",
        "landmarks",
        "--samples",
        "30",
    ]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    path = folder / "challenge.toml"
    text = re.sub(r"(submissions_(?:a_day|in_all)) *= *\d+", r"\1 = 1000", path.read_text())
    path.write_text(text)
    return folder


def make_submissions(challenge: Path, folder: Path) -> dict[tuple[int, int], Path]:
    """Solutions of each team, each worse than truth by another noise."""
    lines = (challenge / "reference" / TRACK / "truth.txt").read_text().splitlines()
    found = {}
    for one in range(TEAMS):
        for number in range(EACH):
            draws = np.random.default_rng(100 * one + number)
            noise = 1 + draws.random() * 10
            made = []
            for line in lines:
                name, *values = line.split(",") if "," in line else line.split()
                moved = np.asarray(values, float) + draws.normal(0, noise, len(values))
                made.append((" " if "," not in line else ",").join([name, *(f"{value:.3f}" for value in moved)]))
            path = folder / f"team{one}" / str(number) / "solution.txt"
            path.parent.mkdir(parents=True)
            path.write_text("\n".join(made) + "\n")
            found[one, number] = path
    return found


class Hosted:
    """The server, started as users start it; killed, it is started anew. With PostgreSQL a second one, which scores."""

    def __init__(self, challenge: Path, data: Path, database: str | None, *, web: int = 2, scorers: int = 2) -> None:
        self.log, port = data.with_suffix(".log"), free_port()
        self.challenge, self.url = challenge, f"http://127.0.0.1:{port}"
        both = [sys.executable, "-m", "lwface", "host", str(challenge), "--site-data", str(data), "--lease", "2"]
        both += ["--database", database] if database else []
        self.commands = [[*both, "--port", str(port), "--scorers", str(scorers), "--web", str(web)]]
        self.commands += [[*both, "--url", self.url, "--scorers", "1", "--web", "0"]] if database else []
        self.processes: list[subprocess.Popen[bytes]] = []
        for command in self.commands:
            self.processes.append(self.start(command))
            self.link()  # one after the other: the first one makes the link

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self.log, "ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def tend(self) -> None:
        for place, process in enumerate(self.processes):
            if process.poll() is not None:
                self.processes[place] = self.start(self.commands[place])

    def below(self) -> dict[int, str]:
        """What the servers have started."""
        return {pid: command for one in self.processes for pid, command in below(one.pid).items()}

    def link(self) -> str:
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            if found := re.search(r"comes by (\S+)", self.log.read_text()):
                return found[1]
            time.sleep(0.1)
        self.end()
        raise SystemExit(f"the server does not start within {START_S:g} s: {self.log.read_text()}")

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def below(pid: int) -> dict[int, str]:
    """The processes that a process has started, and those by these, with their command lines."""
    found: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split()):
                with contextlib.suppress(OSError):
                    found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                found |= below(child)
    return found


def targets(hosted: Hosted, uploaders: list[Uploader]) -> dict[str, list[int]]:
    """What there is to kill, by kind."""
    found: dict[str, list[int]] = {"server": [process.pid for process in hosted.processes]}
    for pid, command in hosted.below().items():
        kind = {"processes web": "web", "processes score": "scorer", "hosting.child": "scoring"}
        for sign, name in kind.items():
            if sign in command:
                found.setdefault(name, []).append(pid)
    found["uploader"] = [one.process.pid for one in uploaders if one.process is not None and one.process.poll() is None]
    return found


class Uploader:
    """A team's program, which hands in one submission after the other; killed, it is started anew with the same."""

    def __init__(self, url: str, key: str, files: list[Path]) -> None:
        self.url, self.key, self.files = url, key, files
        self.process: subprocess.Popen[bytes] | None = None

    def tend(self) -> None:
        if self.process is not None and self.process.poll() == 0:
            self.process = None
            self.files.pop(0)
        elif self.process is not None and self.process.poll() not in (None, -signal.SIGKILL):
            raise SystemExit(f"an uploader ended with status {self.process.poll()}")
        elif self.process is not None and self.process.poll() is not None:
            self.process = None
        if self.process is None and self.files:
            command = [sys.executable, __file__, "--upload", self.url, str(self.files[0])]
            self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "LWFACE_KEY": self.key})


def upload(url: str, path: Path) -> None:
    """What an uploader's process does: hands one file in, in small pieces."""
    from lwface.hosting import client

    client.PIECE = PIECE
    talks = client.ChallengeClient(url, os.environ["LWFACE_KEY"], path.with_suffix(".state"))
    talks.hand_in(TRACK, {"submission": path}, path.parent.name, lambda share, doing: time.sleep(PAUSE_S))


def patiently(ask, good=lambda got: got.status < 400):
    """Ask until the server, which may be away, answers well."""
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        with contextlib.suppress(OSError, ValueError):
            got = ask()
            if good(got):
                return got
        time.sleep(0.2)
    raise SystemExit("the server does not come back")


def run(folder: Path, challenge: Path, database: str | None, kills: int, seed: int) -> tuple[str, str, dict]:
    """Both boards and everything else, after ``kills`` kills."""
    folder.mkdir()
    hosted = Hosted(challenge, folder / "hosted", database)
    try:
        olga = organiser(hosted.url, hosted.link())
        leaders = [team(olga, f"Team {number}") for number in range(TEAMS)]
        files = make_submissions(challenge, folder / "files")
        uploaders = [
            Uploader(hosted.url, leader.made("/keys", label="kills"), [files[number, one] for one in range(EACH)])
            for number, leader in enumerate(leaders)
        ]
        disturb(hosted, uploaders, olga, kills, Killer(seed))
        public, private = (
            patiently(lambda half=half: olga.get(f"/board/{TRACK}.json?half={half}")).text
            for half in ("public", "private")
        )
        return public, private, patiently(lambda: olga.get("/organise/everything.json")).json
    finally:
        hosted.end()


def disturb(hosted: Hosted, uploaders: list[Uploader], olga: Visitor, kills: int, killer: Killer) -> None:
    """Keep all going until everything is scored and the kills are used up."""
    looked = 0.0
    while True:
        hosted.tend()
        for one in uploaders:
            one.tend()
        if killer.hit.total() < kills:
            killer.tend(hosted, uploaders)
        if time.monotonic() - looked > 2 and not any(one.files for one in uploaders):
            looked = time.monotonic()
            with contextlib.suppress(OSError, ValueError, KeyError):
                rows = olga.get("/organise/everything.json").json["submissions"]
                if all(row["state"] in (*ENDED, "uploading") for row in rows):
                    if killer.hit.total() >= kills:
                        print(f"kills: {dict(killer.hit)}; {len(rows)} submissions begun", flush=True)
                        return
                    olga.get("/organise")
                    olga.post("/organise/rescore")
        time.sleep(0.02)


class Killer:
    """Kills processes at random moments, each kind by its share; one that is not there is waited for."""

    def __init__(self, seed: int) -> None:
        self.draws, self.hit = random.Random(seed), collections.Counter()
        self.plan(0.0)

    def plan(self, pause_s: float) -> None:
        self.kind = self.draws.choices(list(SHARES), list(SHARES.values()))[0]
        self.due = time.monotonic() + self.draws.expovariate(1 / pause_s) if pause_s else 0.0

    def tend(self, hosted: Hosted, uploaders: list[Uploader]) -> None:
        if time.monotonic() < self.due:
            return
        there = targets(hosted, uploaders).get(self.kind, [])
        if there:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(self.draws.choice(there), signal.SIGKILL)
                self.hit[self.kind] += 1
            self.plan(PAUSE_OF_KILLS_S)
        elif time.monotonic() > self.due + PATIENCE_S:  # all is uploaded, or nothing is scored at the moment
            self.plan(0.0)


def check(everything: dict) -> list[str]:
    """What is wrong with the submissions; empty where nothing is."""
    rows = [row for row in everything["submissions"] if row["state"] != "uploading"]
    wrong = [f"{row['id']} is {row['state']}: {row['line']}" for row in rows if row["state"] != "scored"]
    for row in rows:
        versions = collections.Counter(score["version"] for score in row["scores"])
        if versions[row["version"]] != 1 or max(versions.values()) != 1:
            wrong.append(f"{row['id']}: scores by version: {dict(versions)}, wanted {row['version']}")
    done = collections.Counter((row["team"], row["note"]) for row in rows)
    wrong += [f"{team} {note}: accepted {count} times" for (team, note), count in done.items() if count != 1]
    if len(done) != TEAMS * EACH:
        wrong.append(f"{len(done)} of {TEAMS * EACH} submissions were accepted")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of Debian's package, not on SQLite")
    parser.add_argument("--upload", nargs=2, metavar=("URL", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and end what was started
    if arguments.upload:
        upload(arguments.upload[0], Path(arguments.upload[1]))
        return
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        work = Path(name)
        urls = [None, None]
        if arguments.postgres:
            urls = [stack.enter_context(postgres()) for _ in range(2)]
        challenge = make_challenge(work / "challenge")
        began = time.monotonic()
        calm = run(work / "calm", challenge, urls[0], 0, arguments.seed)
        print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        killed = run(work / "killed", challenge, urls[1], arguments.kills, arguments.seed)
        print(f"disturbed: {time.monotonic() - began:.0f} s", flush=True)
        wrong = [*check(calm[2]), *check(killed[2])]
        wrong += [
            f"the {half} board differs"
            for half, a, b in zip(("public", "private"), calm, killed, strict=False)
            if a != b
        ]
        attempts = sum(row["attempt"] for row in killed[2]["submissions"])
        print(f"attempts at scoring since the last order to score again: {attempts}")
        if wrong:
            sys.exit("\n".join(["FAILED", *wrong]))
        print(f"ok: {TEAMS * EACH} submissions, each scored once; both boards have the same bytes")


if __name__ == "__main__":
    main()
