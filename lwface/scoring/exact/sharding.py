"""Work shared out among processes and kept on disk as it goes: what makes a sweep over trillions of pairs practical.

A sweep visits tiles; consumers add up what they see and can merge with each other. So any number of processes, each
with its share of the tiles, ends with the same sums, and a run that was killed goes on from the tiles that are in its
files, with another number of processes if need be.

Files of a sweep are ``NAME.GENERATION.RANK.npz`` in the state folder. One generation holds each tile at most once:
whoever goes on merges the latest generation into the first file of the next before anything is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from lwface.base.device import select_device
from lwface.base.errors import UserError
from lwface.base.files import replacing, sync_folder
from lwface.base.progress import progress
from lwface.scoring.exact.tiles import Consumer, PairTile, State, libraries

Found = TypeVar("Found")

LOCK = "lock"
REMEDY = "start without --resume"
PATIENCE = timedelta(days=7)  # a process may have much more to do than another; torchrun notices a dead one


@contextlib.contextmanager
def processes() -> Iterator[None]:
    """Join the processes that torchrun started; alone, do nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def first_process() -> bool:
    """Whether this is the process that reads and writes for all."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


def own_device(name: str) -> torch.device:
    """The device called ``name`` of this process: of several on one machine, each takes another card.

    Raises:
        UserError: there is none of this name.
    """
    device = select_device(name)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return device


@contextlib.contextmanager
def kept_work(folder: Path | None, *, resume: bool) -> Iterator[None]:
    """Hold the folder in which a run keeps what is done; it is emptied first unless ``resume``, and gone at the end.

    Raises:
        UserError: another run holds it.
    """
    if folder is None or not first_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is at work here: let it end, or give another --json") from None
        if not resume:
            for path in folder.iterdir():
                if path.name != LOCK:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        try:
            yield
        except BaseException:
            if any(folder.rglob("*.npz")):
                print(
                    f"{folder}: what is done is kept; the same command with --resume goes on from there",
                    file=sys.stderr,
                )
            raise
        shutil.rmtree(folder, ignore_errors=True)


class Workers:
    """The processes at work, their threads, and where what they found is kept.

    Args:
        state_folder: where the sweeps are kept; what is there is gone on from. None: nothing is kept.
        identity: gives a text that tells the run's input and settings: a run with another one does not go on from its
            files. It is asked for once, when something is kept or found.
        save_every: seconds between saves.
        threads: of this process.
        silent: show no progress.
    """

    def __init__(
        self,
        state_folder: Path | None = None,
        *,
        identity: Callable[[], str] = str,
        save_every: float = 30.0,
        threads: int | None = None,
        silent: bool = False,
    ) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.world = dist.get_world_size() if together else 1
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.threads = threads or max(1, len(os.sched_getaffinity(0)) // local)
        self._folder = state_folder
        self._identity_of = identity
        self._started = time.monotonic()
        self._save_every = save_every
        self._run = 0
        self._shows = self.rank == 0 and not silent
        if together:
            dist.barrier()

    def sweep(
        self,
        name: str,
        tiles: Sequence[PairTile],
        look: Callable[[PairTile], Found],
        take: Callable[[Found], None],
        consumers: Sequence[Consumer],
        *,
        label: str,
    ) -> None:
        """Visit every tile once; afterwards the consumers of each process hold the sum over all processes.

        Args:
            name: of the sweep's files, another one for each sweep of a run.
            tiles: the same in every process.
            look: computes what there is in a tile; called from several threads.
            take: gives it to the consumers; called from one thread, a tile at a time.
            consumers: what is saved and merged.
            label: what progress calls it.

        Raises:
            UserError: what is kept is damaged or belongs to another run.
        """
        done, generation = self._begin(name, len(tiles), consumers)
        by_size = sorted(np.flatnonzero(~done).tolist(), key=lambda index: -tiles[index].area)
        mine = by_size[self.rank :: self.world]
        saved = time.monotonic()
        own = done.copy() if self.rank == 0 else np.zeros_like(done)
        pairs = sum(tiles[index].area for index in mine)
        bar = progress(total=pairs, label=label, unit="pair", scaled=True) if self._shows else contextlib.nullcontext()
        with bar as shown, libraries().limit(limits=1, user_api="blas"):
            for index, found in self._looking(mine, lambda index: look(tiles[index])):
                take(found)
                own[index] = True
                if shown is not None:
                    shown.update(tiles[index].area)
                if time.monotonic() - saved >= self._save_every:
                    self._save(name, generation, own, consumers)
                    saved = time.monotonic()
        self._merge(consumers)
        lasting = time.monotonic() - self._started >= self._save_every  # a short run is sooner repeated than read
        if self.rank == 0 and self._folder is not None and len(mine) and lasting:
            self._save(name, generation + 1, np.ones_like(done), consumers)
            self._remove_before(name, generation + 1)

    @cached_property
    def _identity(self) -> str:
        return self._identity_of()

    # -- threads ------------------------------------------------------------------------------------------------------

    def _looking(self, indices: Sequence[int], look: Callable[[int], Found]) -> Iterator[tuple[int, Found]]:
        """Each index with what was found, in the order of completion; some are looked at ahead.

        Every thread computes alone: threads of a matrix product that wait for each other lose much where other work
        runs on the machine.
        """
        if len(indices) == 1:  # no thread is worth starting
            yield indices[0], look(indices[0])
            return
        pool = ThreadPoolExecutor(self.threads, "score", initializer=torch.set_num_threads, initargs=(1,))
        running: dict[Future[Found], int] = {}
        ahead = iter(indices)
        try:
            while True:
                while len(running) < 2 * self.threads and (index := next(ahead, None)) is not None:
                    running[pool.submit(look, index)] = index
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    # -- processes ----------------------------------------------------------------------------------------------------

    def _merge(self, consumers: Sequence[Consumer]) -> None:
        """Give every process the sum of all."""
        if self.world == 1:
            return
        for consumer in consumers:
            states = [self._send_or_receive(source, consumer.state()) for source in range(1, self.world)]
            if self.rank == 0:
                consumer.merge([consumer.state(), *(state for state in states if state is not None)])
            consumer.merge([self._share(consumer.state())])

    def _send_or_receive(self, source: int, own: State) -> State | None:
        """``source`` sends its state to process 0, which returns it."""
        if self.rank not in (0, source):
            return None
        received = {}
        for key, array in own.items():
            length = torch.tensor([len(array)])
            if self.rank == source:
                dist.send(length, 0)
                dist.send(torch.from_numpy(np.ascontiguousarray(array)), 0)
                continue
            dist.recv(length, source)
            values = torch.from_numpy(np.empty(int(length), dtype=array.dtype))
            dist.recv(values, source)
            received[key] = values.numpy()
        return received if self.rank == 0 else None

    def _share(self, own: State) -> State:
        """The state of process 0, in every process."""
        shared = {}
        for key, array in own.items():
            length = torch.tensor([len(array)])
            dist.broadcast(length, 0)
            values = np.ascontiguousarray(array) if self.rank == 0 else np.empty(int(length), dtype=array.dtype)
            dist.broadcast(torch.from_numpy(values), 0)
            shared[key] = values
        return shared

    # -- files --------------------------------------------------------------------------------------------------------

    def _begin(self, name: str, count: int, consumers: Sequence[Consumer]) -> tuple[NDArray[np.bool_], int]:
        """Which tiles are done, and the generation of files to write; their sum goes to the consumers of process 0."""
        progress_made = np.zeros(count + 2, dtype=np.int64)  # done or not; the generation; a number of this run
        progress_made[-1] = secrets.randbits(62)
        if self.rank == 0 and self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            files = self._files(name)
            latest = max(files, default=0)
            if files:
                done, states = self._load(files[latest], count, consumers)
                for consumer, parts in zip(consumers, states, strict=True):
                    consumer.merge(parts)
                progress_made[:-2] = done
                self._run = int(progress_made[-1])
                self._save(name, latest + 1, done, consumers)
                self._remove_before(name, latest + 1)
            progress_made[-2] = latest + 1
        if self.world > 1:
            dist.broadcast(torch.from_numpy(progress_made), 0)
        self._run = int(progress_made[-1])
        return progress_made[:-2].astype(bool), int(progress_made[-2])

    def _files(self, name: str) -> dict[int, list[Path]]:
        """The sweep's files by generation."""
        found: dict[int, list[Path]] = {}
        for path in sorted(self._folder.iterdir()) if self._folder else ():
            if match := re.fullmatch(rf"{re.escape(name)}\.(\d+)\.(\d+)\.npz", path.name):
                found.setdefault(int(match[1]), []).append(path)
        return found

    def _load(
        self, paths: Sequence[Path], count: int, consumers: Sequence[Consumer]
    ) -> tuple[NDArray[np.bool_], list[list[State]]]:
        done = np.zeros(count, dtype=bool)
        states: list[list[State]] = [[] for _ in consumers]
        runs = set()
        for path in paths:
            try:
                with np.load(path, allow_pickle=False) as file:
                    arrays = dict(file)
                other = str(arrays["identity"]) != self._identity or arrays["done"].shape != done.shape
                if not other:
                    runs.add(int(arrays["run"]))
                    if len(runs) > 1 or (done & arrays["done"]).any():
                        raise ValueError("the files beside it are of another run")
                    done |= arrays["done"].astype(bool)
                    for index, (consumer, parts) in enumerate(zip(consumers, states, strict=True)):
                        own = consumer.state().items()
                        parts.append({key: arrays[f"{index}.{key}"].astype(array.dtype) for key, array in own})
            except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
                raise UserError(f"{path}: is damaged ({error}): {REMEDY}") from None
            if other:
                raise UserError(f"{path}: was kept for other features, labels or settings: {REMEDY}")
        return done, states

    def _save(self, name: str, generation: int, done: NDArray[np.bool_], consumers: Sequence[Consumer]) -> None:
        if self._folder is None:
            return
        arrays = {f"{index}.{key}": array for index, c in enumerate(consumers) for key, array in c.state().items()}
        with replacing(self._folder / f"{name}.{generation}.{self.rank}.npz") as file:
            np.savez(file, identity=np.array(self._identity), run=np.array(self._run), done=done, **arrays)  # type: ignore[arg-type]

    def _remove_before(self, name: str, generation: int) -> None:
        for older, paths in self._files(name).items():
            if older < generation:
                for path in paths:
                    path.unlink(missing_ok=True)
        if self._folder is not None:
            sync_folder(self._folder)
