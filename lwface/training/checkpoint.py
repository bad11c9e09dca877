"""The resume state of a run: ``last.ckpt``, and beside it the folder ``last.ckpt.STEP`` with the tensors.

``last.ckpt`` is JSON: the format, the folder's name, the length of each of its files, and all that is no tensor. The
folder holds safetensors files written by PyTorch's ``torch.distributed.checkpoint`` (its storage of Hugging Face's
kind), one a process: rows of a classifier as each process has them, everything else once. Any number of processes reads
what any other wrote. Nothing of it is unpickled.

A checkpoint is there when ``last.ckpt`` has been renamed to its name: until then the one before is whole, and so is its
folder. Folders that no ``last.ckpt`` names are what a killed process left; the next save removes them.

Files are written by a thread while the run goes on, from a copy of the state in the computer's memory.

``last.ckpt`` of format 2, one file by ``torch.save``, is still read, with ``weights_only``.
"""

from __future__ import annotations

import inspect
import json
import shutil
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lwface.base.errors import UserError
from lwface.base.files import naming, sync_folder, write_text
from lwface.settings.run import RUN_SETTINGS
from lwface.training.processes import Processes, processes

CHECKPOINT = "last.ckpt"  # in a run's folder
FORMAT, OLD_FORMAT = 3, 2
REMEDY = "delete it to start afresh"

# Settings that may change between the parts of one run: they choose what is printed and kept, where things lie, how
# long the run is, and not what is learnt. With the policies cosine and poly, a run's length is in total_steps too.
CHANGEABLE = frozenset(name for name, setting in RUN_SETTINGS.items() if setting.changeable)

# Settings that some checkpoints are older than, and what was so before.
YOUNGER = {
    "ema": 0.0,
    "leave_out": "",
    "fc7_products": "highest",
    "sample_rate": 1.0,
    "sample_policy": "constant",
    "sample_full": 0.5,
    "distill": "",
    "distill_weight": 0.0,
    "identity_weight": 1.0,
    "distill_rounds": 1,
    "head_warmup_steps": 0,
    "backbone_lr_mult": 1.0,
    "freeze": "",
    "freeze_bn": False,
    "start_share": 0.0,
    "margin_warmup_steps": 0,
    "clip_norm": 0.0,
    "augment": 0.0,
    "join": "",
}


class SavedTensor(NamedTuple):
    """What a checkpoint says of a tensor, before it is read."""

    shape: torch.Size
    dtype: torch.dtype


class SavedRun:
    """A checkpoint that is there.

    Args:
        path: its ``last.ckpt``.

    Attributes:
        facts: all that is no tensor, by name.

    Raises:
        UserError: it is damaged or something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._old: dict[str, Tensor] | None = None
        self.facts = self._read_facts()
        self.folder = path.parent / str(self.facts.pop("folder", ""))

    def _read_facts(self) -> dict[str, Any]:
        data = self.path.read_bytes()
        if data[:1] != b"{":
            self._old, facts = _old_state(self.path)
            return facts
        try:
            facts = json.loads(data)
            files, folder = facts.pop("files"), facts["folder"]
            if facts.pop("format") != FORMAT or Path(folder).name != folder or not folder.startswith(self.path.name):
                raise UserError(f"{self.path}: not a checkpoint of format {FORMAT}: {REMEDY}")
            for name, length in files.items():
                part = self.path.parent / folder / Path(name).name
                found = part.stat().st_size if part.is_file() else None
                if found != length:
                    what = "is not there" if found is None else f"has {found} bytes instead of {length}"
                    raise UserError(f"{self.path}: damaged: {part} {what}: {REMEDY}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{self.path}: damaged or not a checkpoint ({error}): {REMEDY}") from None
        return dict(facts)

    def tensors(self) -> dict[str, SavedTensor]:
        """What there is.

        Raises:
            UserError: the files are damaged, or do not hold all of a tensor.
        """
        if self._old is not None:
            return {name: SavedTensor(tensor.shape, tensor.dtype) for name, tensor in self._old.items()}
        found = self._guarded(lambda: self._reader().read_metadata().state_dict_metadata)
        for name, about in found.items():
            # The reader gives the size as far as its chunks go, and would leave out what none of them has.
            if sum(chunk.sizes.numel() for chunk in about.chunks) != about.size.numel():
                raise UserError(f"{self.path}: damaged: a part of {name} is missing: {REMEDY}")
        return {name: SavedTensor(about.size, about.properties.dtype) for name, about in found.items()}

    def read(self, targets: Mapping[str, Tensor]) -> None:
        """Fill ``targets`` by name, which have the shapes of :meth:`tensors`; of a DTensor this process's part.

        Raises:
            UserError: the files are damaged.
        """
        from torch.distributed import checkpoint
        from torch.distributed.tensor import DTensor

        _one_process_is_no_mistake()
        if self._old is not None:
            for name, target in targets.items():
                source = self._old[name]
                if isinstance(target, DTensor):
                    here = target.to_local()
                    size = -(-len(source) // target.device_mesh.size())
                    start = size * target.device_mesh.get_local_rank()
                    here.copy_(source[start : start + len(here)])
                else:
                    target.copy_(source)
            return
        saving = processes().saving
        self._guarded(
            lambda: checkpoint.load(
                dict(targets), storage_reader=self._reader(), process_group=saving, no_dist=saving is None
            )
        )

    def _reader(self) -> Any:
        return _storage().HuggingFaceStorageReader(str(self.folder))

    def _guarded(self, read: Callable[[], Any]) -> Any:
        from torch.distributed.checkpoint.api import CheckpointException

        try:
            return read()
        except OSError:
            raise
        except (Exception, CheckpointException) as error:  # damaged bytes can fail in any way
            raise UserError(f"{self.path}: damaged ({_reason(error)}): {REMEDY}") from None


class Checkpoints:
    """Writes the checkpoints of a run, one after the other, beside its steps.

    Args:
        path: ``last.ckpt`` in the run's folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Copy the state and begin to write it; waits until the save before is done.

        Args:
            step: of the run, from 0 and another one each time.
            tensors: by name, alike in each process; DTensors where each has rows of its own.
            facts: what is no tensor, as JSON has it; those of the first process count.

        Raises:
            OSError: the save before failed.
        """
        self.wait()
        _storage()
        copies = {name: _copied(tensor) for name, tensor in tensors.items()}
        arguments = processes(), step, copies, dict(facts)
        self._thread = threading.Thread(target=self._run, args=arguments, name="checkpoint")
        self._thread.start()

    def check(self) -> None:
        """Raise what went wrong in a save that has ended, without waiting for one that has not."""
        if self._error is not None:
            self.wait()

    def wait(self) -> None:
        """Until all is written.

        Raises:
            OSError: it could not be.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    close = wait

    def _run(self, who: Processes, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        try:
            _write(self.path, who, step, tensors, facts)
        except BaseException as error:  # raised where the run can be ended
            self._error = _first_failure(error)


def _copied(tensor: Tensor) -> Tensor:
    """A copy on the CPU that nobody else has, laid out as safetensors wants it."""
    from torch.distributed.tensor import DTensor

    local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    copy = torch.empty(local.shape, dtype=local.dtype).copy_(local.detach())
    if not isinstance(tensor, DTensor):
        return copy
    return _on_cpu(tensor, copy)


def _on_cpu(like: Any, rows: Tensor) -> Tensor:
    """``rows`` as the part of a whole that they are of ``like``, a DTensor, for the group that saves."""
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor

    saving = processes().saving
    assert saving is not None
    mesh = DeviceMesh.from_group(saving, "cpu")
    stride = torch.empty(like.shape, device="meta").stride()
    return DTensor.from_local(rows, mesh, like.placements, run_check=False, shape=like.shape, stride=stride)


def _write(path: Path, who: Processes, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    import torch.distributed as dist
    from torch.distributed import checkpoint

    _one_process_is_no_mistake()
    folder = path.with_name(f"{path.name}.{step:08d}")
    with naming(folder):
        if who.leads:
            for left in _folders(path):
                if left.name != _named(path):
                    shutil.rmtree(left)
            folder.mkdir(parents=True)
        if who.saving is not None:
            dist.barrier(group=who.saving)
        writer = _storage().HuggingFaceStorageWriter(str(folder), save_distributed=True)
        # It returns in the first process when all have written, and brought to the disk, what is theirs.
        checkpoint.save(tensors, storage_writer=writer, process_group=who.saving, no_dist=who.saving is None)
        if not who.leads:
            return
        sync_folder(folder)
        sync_folder(path.parent)
    files = {part.name: part.stat().st_size for part in sorted(folder.iterdir())}
    write_text(path, json.dumps({"format": FORMAT, "folder": folder.name, "files": files, **facts}) + "\n")
    for left in _folders(path):
        if left != folder:
            shutil.rmtree(left, ignore_errors=True)


def _storage() -> Any:
    """PyTorch's safetensors storage.

    Raises:
        UserError: this PyTorch has none that processes can share.
    """
    try:
        from torch.distributed.checkpoint import hf_storage

        if "save_distributed" in inspect.signature(hf_storage.HuggingFaceStorageWriter).parameters:
            return hf_storage
    except ImportError:
        pass
    raise UserError(
        f"PyTorch {torch.__version__} cannot write checkpoints as safetensors: use that of requirements.txt"
    )


def _one_process_is_no_mistake() -> None:
    """PyTorch warns of it, also where it was told so."""
    warnings.filterwarnings("ignore", "torch.distributed is disabled")


def _folders(path: Path) -> list[Path]:
    """The folders of tensors beside ``path``, of whichever checkpoint."""
    return sorted(found for found in path.parent.glob(f"{path.name}.*") if found.is_dir())


def _named(path: Path) -> str:
    """The folder that the checkpoint at ``path`` names; empty: none."""
    try:
        return str(json.loads(path.read_bytes())["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _first_failure(error: BaseException) -> BaseException:
    """What was wrong in the first process that failed, where PyTorch has put it into an exception of its own.

    That is no ``Exception``, and its text is a traceback.
    """
    from torch.distributed.checkpoint.api import CheckpointException

    if not isinstance(error, CheckpointException):
        return error
    for _, (cause, _) in sorted(error.failures.items()):
        return cause
    return RuntimeError(str(error))


def _reason(error: BaseException) -> str:
    """In one line."""
    cause = _first_failure(error)
    text = str(cause).strip()
    return text.splitlines()[0] if text else type(cause).__name__


def read_checkpoint(path: Path) -> dict[str, Any]:
    """All of a checkpoint, in one process, on the CPU: for looking at it.

    Returns:
        The facts, and tensors by their names' parts: ``modules`` and ``average`` by module and name, ``optimizer`` by
        module, name and what the optimiser keeps.

    Raises:
        UserError: it is damaged or something else.
    """
    saved = SavedRun(path)
    tensors = {name: torch.empty(about.shape, dtype=about.dtype) for name, about in saved.tensors().items()}
    saved.read(tensors)
    state: dict[str, Any] = dict(saved.facts)
    for name, tensor in tensors.items():
        kind, module, rest = name.split("/", 2)
        place = state.setdefault(kind, {}).setdefault(module, {})
        place[rest] = tensor
    return state


def check_same_run(path: Path, saved: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Refuse to resume when a setting that shapes what is learnt has changed.

    Args:
        path: the checkpoint, for the message.
        saved, current: configurations as JSON values.

    Raises:
        UserError: names the first such setting with both values.
    """
    saved, current = {**YOUNGER, **saved}, {**YOUNGER, **current}
    for key in sorted(saved.keys() | current.keys()):
        if key not in CHANGEABLE and saved.get(key) != current.get(key):
            values = f"{key} = {saved.get(key)!r}, now it is {current.get(key)!r}"
            raise UserError(f"{path}: the run was started with {values}: change it back, or give another --models-root")


def _old_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a checkpoint of format 2."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes can fail in any way, all of them the file's fault
        raise UserError(f"{path}: damaged or not a checkpoint ({_reason(error)}): {REMEDY}") from None
    if not isinstance(state, dict) or state.get("format") != OLD_FORMAT:
        raise UserError(f"{path}: not a checkpoint of format {FORMAT} or {OLD_FORMAT}: {REMEDY}")
    tensors = {
        f"modules/{name}/{key}": tensor for name, found in state["modules"].items() for key, tensor in found.items()
    }
    kept = ("step", "facts", "config", "best", "before", "started_from", "chance", "merits", "saved", "log")
    facts = {name: state[name] for name in kept if name in state}
    facts["bad_images"] = {str(key): reason for key, reason in state["bad_images"].items()}
    # By number there, in the order of the parameter groups: whoever knows the parameters finds their names.
    facts["by_number"] = True
    for number, found in state["optimizer"]["state"].items():
        tensors |= {f"optimizer/{number}/{key}": value for key, value in found.items() if isinstance(value, Tensor)}
    for number, tensor in enumerate(state["average"] or []):
        tensors[f"average/{number}/"] = tensor
    return tensors, facts
