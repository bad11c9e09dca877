"""Whether a run may begin in its folder, and how one that is there goes on in these processes."""

from __future__ import annotations

from pathlib import Path

from lwface.base.errors import UserError
from lwface.settings.run import Run
from lwface.training.checkpoint import CHECKPOINT, SavedRun
from lwface.training.processes import launch, processes, restarted


def check_new(folder: Path, *, resume: bool) -> None:
    """Refuse to begin where a run has been, unless it is to be resumed.

    Processes that torchrun starts again, after some had died, go on by themselves.

    Raises:
        UserError: there is a checkpoint.
    """
    path = folder / CHECKPOINT
    if path.exists() and not resume and not restarted() and not (launch() and _launch_of(path) == launch()):
        remedy = "add --resume to continue it, or another --models-root for a new one"
        raise UserError(f"{folder / CHECKPOINT}: there is a run: {remedy}")


def _launch_of(path: Path) -> str:
    return str(SavedRun(path).facts.get("launch", ""))


def parts_of_a_step(path: Path, run: Run) -> int:
    """How many parts a step has: those of the checkpoint at ``path``, where there is one.

    Raises:
        UserError: the processes cannot share them alike.
    """
    count = processes().count
    parts = run.accumulate * count
    if path.exists():
        facts = SavedRun(path).facts
        begun = facts["config"]["accumulate"]
        parts = facts.get("parts", begun) if begun == run.accumulate else parts
    if parts % count:
        shares = ", ".join(str(number) for number in range(1, parts + 1) if parts % number == 0)
        raise UserError(
            f"{path}: a step of this run has {parts} parts of {run.per_batch_size} images, which {count} processes "
            f"cannot share alike: start {shares}"
        )
    return parts
