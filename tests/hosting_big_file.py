"""One submission of gigabytes through ``lwface submit``, while its program and the server are killed. Loopback.

    python tests/hosting_big_file.py
    python tests/hosting_big_file.py --gigabytes 1 --kills 4 --work /mnt/large

A command, not a test: it takes minutes, and twice the size of the file on the disk. Between every two kills of the
program that uploads it goes on with the same command; half way the whole server is killed, too, and started anew. It
fails unless the file that arrives has the bytes that were sent, no byte that was safe was sent again, and the
high-water mark of each web process's memory (``VmHWM``) stays within 64 MiB of what it was after its first piece.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from hosting_kills import ROOT, Hosted
from hosting_people import organiser, team

from lwface.hosting.client import sha256_of

BLOCK, GROWTH = 16 * 1024**2, 64 * 1024**2
STUCK_S = 600.0  # without a byte more
TOML = """
title = "Large files"
opens = 2026-01-01T00:00:00+00:00
closes = 2099-01-01T00:00:00+00:00
[tracks.faces]
kind = "recognition-images"
"""


@dataclass
class Watched:
    """What is seen: the highest offset, and of each web process its memory's mark after the first piece and at last."""

    offset: int = 0
    marks: dict[int, list[int]] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def look(self, hosted: Hosted, database: Path) -> None:
        """Look again; exit where an offset goes back, or nothing comes for long."""
        offset = safe_bytes(database)
        if offset < self.offset:
            sys.exit(f"FAILED: {self.offset} bytes were safe, now {offset} are")
        if offset > self.offset:
            self.offset, self.since = offset, time.monotonic()
            for pid, command in hosted.below().items():
                if "processes web" in command and (mark := high_water(pid)):
                    self.marks[pid] = [*self.marks.get(pid, [mark])[:1], mark]
        elif time.monotonic() - self.since > STUCK_S:
            sys.exit(f"FAILED: no byte came in {STUCK_S:g} s")


def safe_bytes(database: Path) -> int:
    """How much of the one upload is safe, by the database; 0 before it has begun."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as one,
    ):
        return sum(offset for (offset,) in one.execute('select "offset" from upload'))
    return 0


def high_water(pid: int) -> int:
    """The most memory that a process has had, bytes; 0 where it is gone."""
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()):
            return 1024 * int(found[1])
    return 0


def write_file(path: Path, size: int) -> None:
    """``size`` bytes, whose blocks differ by their number."""
    noise = random.Random(0).randbytes(BLOCK - 8)
    with open(path, "wb") as file:
        for start in range(0, size, BLOCK):
            file.write((start.to_bytes(8, "little") + noise)[: size - start])


def send(hosted: Hosted, key: str, file: Path, kills: int, database: Path, state: Path) -> Watched:
    """Hand ``file`` in; kill the program ``kills`` times at random places, and the server once half way."""
    size, draws, seen = file.stat().st_size, random.Random(1), Watched()
    places = sorted(draws.randrange(size) for _ in range(kills))
    command = [sys.executable, "-m", "lwface", "submit", str(file), "--challenge", hosted.url, "--track", "faces"]
    environment = {**os.environ, "LWFACE_KEY": key, "XDG_STATE_HOME": str(state)}
    server_lives = True
    while True:
        program = subprocess.Popen(
            [*command, "--no-wait"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        with program:
            while program.poll() is None:
                seen.look(hosted, database)
                if places and seen.offset > places[0]:
                    program.kill()
                    print(f"program killed, {seen.offset:,} bytes safe", flush=True)
                    del places[0]
                if server_lives and seen.offset > size // 2:
                    os.kill(hosted.processes[0].pid, signal.SIGKILL)
                    hosted.processes[0].wait()
                    server_lives = False
                    hosted.tend()
                    print(f"server killed, {seen.offset:,} bytes safe", flush=True)
                time.sleep(0.2)
            said = program.stderr.read().decode() if program.stderr else ""
        if program.returncode == 0:
            seen.look(hosted, database)
            return seen
        if program.returncode != -signal.SIGKILL:
            sys.exit(f"FAILED: the program ended with status {program.returncode}: {said[-500:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=3.8)
    parser.add_argument("--kills", type=int, default=5, help="of the program that uploads")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()), metavar="DIR", help="for both files")
    arguments = parser.parse_args()
    size = int(arguments.gigabytes * 1e9)
    if shutil.disk_usage(arguments.work).free < 2 * size + 2e9:
        sys.exit(f"error: {arguments.work} has too little space for two files of {arguments.gigabytes} GB")
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        folder = Path(name)
        (folder / "challenge" / "reference" / "faces").mkdir(parents=True)
        (folder / "challenge" / "challenge.toml").write_text(TOML)
        (folder / "challenge" / "reference" / "faces" / "labels.txt").write_text("0\n0\n1\n1\n")
        write_file(folder / "image.bin", size)
        hosted = Hosted(folder / "challenge", folder / "hosted", None, web=1, scorers=0)
        try:
            key = team(organiser(hosted.url, hosted.link()), "Elm").made("/keys", label="large")
            database = folder / "hosted" / "challenge.sqlite3"
            seen = send(hosted, key, folder / "image.bin", arguments.kills, database, folder)
        finally:
            hosted.end()
        report(seen, folder, size)


def report(seen: Watched, folder: Path, size: int) -> None:
    """Print the figures; exit where one is not good."""
    (arrived,) = (folder / "hosted" / "files").iterdir()
    same = sha256_of(arrived) == sha256_of(folder / "image.bin")
    print(f"{seen.offset:,} bytes safe of {size:,}; digests {'equal' if same else 'DIFFER'}")
    for pid, (first, last) in seen.marks.items():
        print(f"web process {pid}: VmHWM {last / 2**20:.0f} MiB, {(last - first) / 2**20:+.0f} since its first piece")
    if not same or seen.offset != size or any(last - first > GROWTH for first, last in seen.marks.values()):
        sys.exit("FAILED")
    print("ok")


if __name__ == "__main__":
    main()
