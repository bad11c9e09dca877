"""Recursive distillation: each run but the first begins with the student of the one before.

Yan et al., "VarGFaceNet", ICCV workshops 2019: the student of one generation initialises the next, which learns from
the same teacher again.
"""

from __future__ import annotations

from pathlib import Path

from lwface.recognition.train import prepare, run_folder, train
from lwface.settings.run import Run
from lwface.training.checkpoint import CHECKPOINT, SavedRun
from lwface.training.resuming import check_new


def train_in_rounds(run: Run, *, device: str = "auto", resume: bool = False, track: str | None = None) -> int:
    """Train ``run.distill_rounds`` times; the exit status. Arguments and errors are those of :func:`train`.

    The last round's folder is the run's own, round k's before it is ``roundK`` in it. A round takes over network,
    classifier and what belongs to the teacher as they were after the last step of the one before, not its momentum; its
    rate begins anew, and its seed is one higher, for another order of images. With ``resume``, rounds that are done are
    passed over.
    """
    if run.distill_rounds == 1:
        return train(run, device=device, resume=resume, track=track)
    before: Path | None = None
    for number in range(1, run.distill_rounds + 1):
        last = number == run.distill_rounds
        folder = run_folder(run) if last else run_folder(run) / f"round{number}"
        print(f"round {number} of {run.distill_rounds}: prefix {folder / 'model'}", flush=True)
        check_new(folder, resume=resume)
        loop = prepare(run.replace(seed=run.seed + number - 1), device=device, track=track, folder=folder)
        if before is not None and not (folder / CHECKPOINT).exists():
            loop.state.take_modules(SavedRun(before / CHECKPOINT))
        status = loop.start(resume=resume)
        if status:
            return status
        before = folder
    return 0
