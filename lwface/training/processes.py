"""The processes that train together, as torchrun started them; alone, all of it does nothing.

Each has a copy of the network and its share of every step's images; a task may share out more, as the classifier's rows
are. What only one can do (print, write, judge) the process of rank 0 does, while the others wait.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from lwface.base.commands import EXIT_INTERRUPTED, one_line
from lwface.base.errors import EXIT_ERROR, UserError

PATIENCE = timedelta(days=7)  # one process verifies while the others wait; a dead one is noticed at once all the same
TOLD = "lwface/told"  # in the store of the run's processes: how many had something to say of its end
NO_LAUNCH = ("", "none")  # what torchrun calls a run that it was given no name for


@dataclass(frozen=True)
class Processes:
    """Those of a run, seen from one of them.

    Attributes:
        rank: of this process.
        count: of all.
        saving: their group for what goes on beside the steps, on the CPU; None: there is one process.
    """

    rank: int = 0
    count: int = 1
    saving: dist.ProcessGroup | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the one that prints and writes for all."""
        return self.rank == 0

    @property
    def group(self) -> dist.ProcessGroup | None:
        """Their group for the steps; None: there is one process."""
        return dist.group.WORLD if self.count > 1 else None

    def sum_(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def share_(self, tensor: Tensor) -> Tensor:
        """What the first process has, in place."""
        if self.count > 1:
            dist.broadcast(tensor, 0)
        return tensor

    def shared(self, row: Tensor) -> Tensor:
        """The integers (N,) that the first process has, any number of them."""
        if self.count == 1:
            return row
        length = self.share_(torch.tensor([len(row)]))
        return self.share_(row.long().clone() if self.leads else torch.empty(int(length), dtype=torch.int64))

    def wait(self) -> None:
        """Until all are here. On the CPU: a GPU would work at waiting."""
        self.sum_(torch.zeros(1))

    def collected(self, found: dict[Any, Any]) -> dict[Any, Any]:
        """The dictionaries of all processes as one."""
        if self.count == 1:
            return found
        parts: list[Any] = [None] * self.count
        dist.all_gather_object(parts, found)
        return {key: value for part in parts for key, value in part.items()}


_here = Processes()


def processes() -> Processes:
    """Those that :func:`joined` joined, or this one alone."""
    return _here


@contextlib.contextmanager
def joined(device: str | None = "auto") -> Iterator[Processes]:
    """Join the processes that torchrun started; alone, do nothing.

    Only the first of them prints. An error in one ends all: the first that has something to say of it says it.

    Args:
        device: as the user gave it: of CUDA, each process takes a card of its own (:func:`own_card`).
    """
    global _here
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield _here
        return
    on_cuda = device != "cpu" and torch.cuda.is_available()
    backend = "cpu:gloo,cuda:nccl" if on_cuda else "gloo"
    errors = sys.stderr
    try:
        if on_cuda:
            torch.cuda.set_device(own_card(device))
        rank = int(os.environ["RANK"])
        dist.init_process_group(backend, store=_store(rank, count), rank=rank, world_size=count, timeout=PATIENCE)
        _here = Processes(dist.get_rank(), count, dist.new_group(backend="gloo", timeout=PATIENCE))
        with contextlib.ExitStack() as quiet:
            if not _here.leads:
                nowhere = quiet.enter_context(open(os.devnull, "w", encoding="utf-8"))
                quiet.enter_context(contextlib.redirect_stdout(nowhere))
                quiet.enter_context(contextlib.redirect_stderr(nowhere))
            yield _here
        _here.wait()  # whoever leaves takes its connections along
    except BaseException as error:
        sys.stderr = errors
        _end(error)
    finally:
        _here = Processes()
    dist.destroy_process_group()


def _store(rank: int, count: int) -> dist.Store:
    """Where the processes tell each other where they are.

    torchrun keeps one store for all its restarts, with what the dead processes wrote (findings/): each start has names
    of its own.
    """
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun has it, or else the first process
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(
        address, port, count, is_master=rank == 0 and not shared, timeout=PATIENCE, multi_tenant=not shared
    )
    return dist.PrefixStore(f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}-{count}", store)


def own_card(device: str | None) -> torch.device:
    """The CUDA device of this process among those of its machine.

    Raises:
        UserError: one was named, or there are fewer than processes.
    """
    local, here = (int(os.environ.get(name, "0")) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    if device not in (None, "", "auto", "cuda"):
        raise UserError(f"device {device!r}: each process takes a card of its own, choose cuda or cpu")
    if here > torch.cuda.device_count():
        raise UserError(
            f"torchrun started {here} processes here, there are {torch.cuda.device_count()} CUDA devices: give it "
            "--nproc-per-node as many, or --device cpu"
        )
    return torch.device("cuda", local)


def launch() -> str:
    """The name of torchrun's run that this process is of; empty: there is none, or it has no name."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return "" if name in NO_LAUNCH else name


def restarted() -> bool:
    """Whether torchrun started these processes anew after others had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def _end(error: BaseException) -> NoReturn:
    """Leave at once, as the other processes may wait for what will never come; one of all says why."""
    status = 1
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else 1
    elif isinstance(error, KeyboardInterrupt):
        status = EXIT_INTERRUPTED
    elif isinstance(error, (UserError, OSError)):
        status = error.exit_status if isinstance(error, UserError) else EXIT_ERROR
    if _is_first(otherwise=not is_loss_of_a_process(error)):
        if isinstance(error, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
        elif isinstance(error, (UserError, OSError)):
            print(f"error: {one_line(error)}", file=sys.stderr)
        elif is_loss_of_a_process(error):
            rank = f"process {_here.rank} of {_here.count}"
            print(
                f"error: {rank} lost another one: look above for what that said; if nothing, it was killed",
                file=sys.stderr,
            )
        elif not isinstance(error, SystemExit):
            traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def is_loss_of_a_process(error: BaseException) -> bool:
    """Whether the connection to another process broke."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower())


def _is_first(*, otherwise: bool) -> bool:
    """Whether this process is the first to have something to say; ``otherwise``: where that cannot be known."""
    try:
        store = dist.distributed_c10d._get_default_store()
        return int(store.add(TOLD, 1)) == 1
    except Exception:  # there are no processes yet, or none any more
        return otherwise
