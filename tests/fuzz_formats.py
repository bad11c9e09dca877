"""Read thousands of damaged files: each must be read or refused with one line, never crash, hang or take memory.

    python tests/fuzz_formats.py --count 20000 --seed 0

Small valid files of every format (``.params``, ``-symbol.json``, ``.rec``, ``.idx``, packs and feature files) are
changed at random and read by the project's own readers; networks that are accepted are also run. Readers run in
processes of their own, which may take 1 GiB more memory and a few seconds a file. What goes wrong is saved with what
happened, and the exit status is 1. File number i of a seed is always the same: ``--only i`` repeats it in this process.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import resource
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from fuzz_targets import Files, Target, make_targets

from lwface.base.errors import UserError

ROOT = Path(__file__).resolve().parents[1]

MEMORY_BYTES = 2**30  # a reader may take beyond what the process has before it
CPU_SECONDS, WALL_SECONDS = 20, 180  # a file; the second is for waits that take no CPU
WARM_UP = 60  # files that are read before: what is imported or allocated once is no reader's fault
READ, REFUSED = "read", "refused"


@dataclass
class Report:
    """What became of the files."""

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)  # "target outcome" -> how many
    failures: list[str] = field(default_factory=list)  # one line each
    slowest: float = 0.0  # seconds of CPU that one file took


def choose(targets: list[Target], seed: int, number: int) -> tuple[Target, Files]:
    """The target and the damaged files of file ``number``."""
    dice = random.Random(f"{seed} {number}")
    target = dice.choices(targets, [t.share for t in targets])[0]
    return target, target.damage(dice)


def outcome_of(target: Target, files: Files, folder: Path) -> str:
    """``read``, ``refused``, or what went wrong."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    try:
        target.read(folder)
    except UserError as error:
        return _refusal(error)
    except BaseException:
        return traceback.format_exc()
    finally:
        for name in files:
            (folder / name).unlink()
    return READ


def _refusal(error: UserError) -> str:
    """A refusal is one line that can be printed, and does not hide that memory ran out."""
    text, cause = str(error), error.__context__
    while cause is not None:
        if isinstance(cause, MemoryError) or "memory" in str(cause).lower():
            return f"memory ran out before: {text}\n{cause!r}"
        cause = cause.__context__
    if not text or "\n" in text or not text.isprintable() or len(text) > 1000:
        return f"not one line that can be printed: {text[:2000]!r}"
    return REFUSED


def run(targets: list[Target], numbers: range, seed: int, folder: Path, workers: int) -> Report:
    """Read the files ``numbers`` in ``workers`` processes; what fails is saved in ``folder``."""
    report = Report()
    with selectors.DefaultSelector() as waiting:
        for first in range(min(workers, len(numbers))):
            _start(targets, numbers[first::workers], seed, waiting)
        while waiting.get_map():
            for key, _ in waiting.select():
                worker: Worker = key.data
                line = worker.lines.readline()
                if line.endswith("\n"):
                    _note(report, targets, seed, folder, worker, json.loads(line))
                    continue
                waiting.unregister(worker.lines)
                worker.lines.close()
                _, status = os.waitpid(worker.pid, 0)
                if worker.running is not None:
                    _fail(report, targets, seed, folder, worker.running, _ending(status))
                    _start(targets, worker.numbers[worker.done + 1 :], seed, waiting)
                elif worker.done != len(worker.numbers):
                    number = worker.numbers[worker.done]
                    raise RuntimeError(f"file {number} could not be made: {_ending(status)}; --only {number} shows why")
    if sum(report.outcomes.values()) != len(numbers):
        raise RuntimeError(f"{len(numbers)} files, but {sum(report.outcomes.values())} outcomes")
    return report


@dataclass
class Worker:
    """A process that reads files one after the other and says which."""

    pid: int
    lines: TextIO
    numbers: range
    done: int = 0
    running: int | None = None


def _start(targets: list[Target], numbers: range, seed: int, waiting: selectors.BaseSelector) -> None:
    if not numbers:
        return
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        status = 1
        try:
            _work(targets, numbers, seed, os.fdopen(writing, "w", buffering=1))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    lines = os.fdopen(reading)
    waiting.register(lines, selectors.EVENT_READ, Worker(pid, lines, numbers))


def _work(targets: list[Target], numbers: range, seed: int, say: TextIO) -> None:
    """In a process of its own: limits, then the files. A limit on time ends the process, also in compiled code."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(kind, signal.SIG_DFL)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)  # decoders print warnings
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        for number in numbers:
            target, files = choose(targets, seed, number)
            say.write(json.dumps({"number": number}) + "\n")
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            start = time.process_time()
            outcome = outcome_of(target, files, Path(scratch))
            seconds = time.process_time() - start
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            say.write(json.dumps({"target": target.name, "outcome": outcome, "seconds": seconds}) + "\n")


def _note(report: Report, targets: list[Target], seed: int, folder: Path, worker: Worker, said: dict) -> None:
    if "number" in said:
        worker.running = said["number"]
        return
    number, worker.running = worker.running, None
    worker.done += 1
    report.slowest = max(report.slowest, said["seconds"])
    if said["outcome"] in (READ, REFUSED):
        report.outcomes[f"{said['target']}: {said['outcome']}"] += 1
    else:
        _fail(report, targets, seed, folder, number, said["outcome"])


def _fail(report: Report, targets: list[Target], seed: int, folder: Path, number: int, what: str) -> None:
    """Save the files of a failure and what happened."""
    target, files = choose(targets, seed, number)
    place = folder / f"{number}-{target.name}"
    place.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (place / name).write_bytes(data)
    (place / "what_happened.txt").write_text(what + "\n")
    last = what.strip().splitlines()[-1]
    report.outcomes[f"{target.name}: FAILED"] += 1
    report.failures.append(f"{place}: {last[:200]}")
    print(report.failures[-1], flush=True)


def _ending(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return f"the process ended with status {os.WEXITSTATUS(status)}"
    name = signal.Signals(os.WTERMSIG(status)).name
    hangs = {"SIGPROF": f": more than {CPU_SECONDS} s of CPU", "SIGALRM": f": more than {WALL_SECONDS} s"}
    return f"the process was ended by {name}{hangs.get(name, '')}"


def main() -> int:
    """Parse the command line, read all files, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000, help="files to read (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other files (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--only", type=int, metavar="I", help="read file number I alone, here, and show what happens")
    folder = ROOT / "build" / "fuzz"
    parser.add_argument(
        "--folder", type=Path, default=folder, help="where failures go, emptied first (default: %(default)s)"
    )
    arguments = parser.parse_args()
    targets = make_targets()
    if arguments.only is not None:
        target, files = choose(targets, arguments.seed, arguments.only)
        with tempfile.TemporaryDirectory() as scratch:
            print(target.name, {name: len(data) for name, data in files.items()})
            print(outcome_of(target, files, Path(scratch)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(WARM_UP):
            outcome_of(*choose(targets, -1, number), Path(scratch))
    shutil.rmtree(arguments.folder, ignore_errors=True)
    start = time.monotonic()
    report = run(targets, range(arguments.count), arguments.seed, arguments.folder, arguments.workers)
    for what, how_many in sorted(report.outcomes.items()):
        print(f"{how_many:7d}  {what}")
    seconds = time.monotonic() - start
    print(f"{arguments.count} files in {seconds:.0f} s, the slowest took {report.slowest:.1f} s of CPU")
    print(f"{len(report.failures)} failures" + (f", saved in {arguments.folder}" if report.failures else ""))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
