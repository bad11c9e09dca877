"""Random frames out of one tar: reads/s, ours against Python's tarfile and against loose files.

    python benchmarks/tar_reading.py --frames 200000

A tar of noise as large as the faceless challenge's frames, and the same frames unpacked, are made in a temporary folder
and read in the same random order, in turns, one thread, from the system's cache. Bytes are read, nothing is decoded.

* tarfile: ``tar.extractfile(name).read()``, as people type it. It looks through the members for each name.
* tarfile, members at hand: the same with a dictionary of members that ``tar.getmembers()`` gave.
* loose files: ``open``, ``read``, ``close``.
"""

from __future__ import annotations

import argparse
import io
import random
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lwface.base.commands import HelpFormatter, run_command
from lwface.formats.tar_index import build_index, index_path
from lwface.sequences.images import Images

SMALLEST, LARGEST = 900, 2300  # bytes of a frame: 64x64 JPEG
FRAMES_A_SEQUENCE, SEQUENCES_A_VIDEO, VIDEOS_A_PERSON = 100, 2, 5
SECONDS = 3.0  # of one reader in one round, at most
Read = Callable[[str], bytes]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--frames", type=int, default=5000, metavar="N", help="in the tar; the goal is set for 200000")
    parser.add_argument("--reads", type=int, default=20_000, metavar="N", help="of each reader in a round")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds; the fastest counts")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to make the files; not given: the system's")
    return parser.parse_args()


def name_of(frame: int) -> str:
    """The path of a frame in the tar."""
    sequence, number = divmod(frame, FRAMES_A_SEQUENCE)
    video, place = divmod(sequence, SEQUENCES_A_VIDEO)
    return f"person_{video // VIDEOS_A_PERSON:04}/video_{video:04}/seq_{place:04}/frame_{number:05}.jpg"


def make(folder: Path, frames: int) -> Path:
    """Write the tar and the loose files; the tar's path."""
    dice = random.Random(0)
    with tarfile.open(folder / "images.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for frame in range(frames):
            data = dice.randbytes(dice.randrange(SMALLEST, LARGEST))
            member = tarfile.TarInfo(name_of(frame))
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
            path = folder / member.name
            if frame % FRAMES_A_SEQUENCE == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(data)
    return folder / "images.tar"


def timed(action: Callable[[], object]) -> float:
    """Seconds of the processor: what else the machine does counts less."""
    start = time.process_time()
    action()
    return time.process_time() - start


def reads_a_second(read: Read, names: list[str]) -> float:
    """How many of ``names``, in their order, are read a second; stops after some seconds."""
    start, done = time.perf_counter(), 0
    for name in names:
        read(name)
        done += 1
        if time.perf_counter() - start > SECONDS:
            break
    return done / (time.perf_counter() - start)


def loose(path: str) -> bytes:
    """A file's content."""
    with open(path, "rb") as file:
        return file.read()


def by_tarfile(path: Path) -> list[tarfile.TarInfo]:
    """All members, as Python lists them."""
    with tarfile.open(path) as tar:
        return tar.getmembers()


def indexing(tar: Path) -> None:
    """How long the tar is looked through, and how long it takes to open it again."""
    ours, theirs = timed(lambda: build_index(tar)), timed(lambda: by_tarfile(tar))
    Images(tar).close()
    kept = index_path(tar).stat().st_size / 1e6
    again = timed(lambda: Images(tar).close())
    print(f"index           {ours:8.2f} s of the processor   tarfile {theirs:.2f} s: {theirs / ours:.1f} times as long")
    print(f"opened again    {again:8.2f} s of the processor   {kept:.1f} MB beside the tar")


def main() -> None:
    """Make, read in turns, check that all give the same, print."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        tar = make(Path(scratch), arguments.frames)
        print(f"{arguments.frames} frames, {tar.stat().st_size / 1e6:.0f} MB", flush=True)
        indexing(tar)
        with Images(tar) as images, tarfile.open(tar) as packed:
            members = {member.name: member for member in packed.getmembers()}
            readers: dict[str, Read] = {
                "ours": images.read,
                "tarfile": lambda name: packed.extractfile(name).read(),  # type: ignore[union-attr]
                "tarfile, members at hand": lambda name: packed.extractfile(members[name]).read(),  # type: ignore[union-attr]
                "loose files": lambda name: open(f"{scratch}/{name}", "rb").read(),  # noqa: SIM115 - as people type it
            }
            best = dict.fromkeys(readers, 0.0)
            for turn in range(arguments.rounds):
                names = random.Random(turn).choices(images.paths, k=arguments.reads)
                assert len({read(names[0]) for read in readers.values()}) == 1
                for name, read in readers.items():
                    best[name] = max(best[name], reads_a_second(read, names))
    for name, speed in best.items():
        print(f"{name:26}{speed:12.0f} reads/s   ours is {best['ours'] / speed:.2f} times as fast")


if __name__ == "__main__":
    run_command(main)
