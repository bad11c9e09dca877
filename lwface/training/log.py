"""What a run says while it trains: the original's lines, a JSON-lines file and TensorBoard.

The speed and accuracy lines are those of MXNet's Speedometer and module, to the character, on stderr as there::

    INFO:root:Epoch[0] Batch [0-20]\tSpeed: 123.45 samples/sec\tacc=0.012500\tlossvalue=12.345678

Where an epoch is shorter than ``frequent`` steps, the lines of several epochs are one, of the last of them.
``log.jsonl`` holds one object every ``frequent`` steps, and one for the last step, with ``step, epoch, loss, acc, lr,
images_per_s``; loss and accuracy are means since the object before, over the steps that were made: ``left_out`` counts
others, where there are any. A verification adds one object a pack with ``step,
epoch, verification, accuracy, std, xnorm, folds``. On resuming, what lies after the checkpoint is cut off, so that in
the end the file is that of a run that was never interrupted, times aside.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from lwface.base.files import replacing
from lwface.training.task import Score

TIME_LEFT_INTERVAL_S = 10.0
LOSS_RISE = 2


class Meter:
    """Means of loss and figures over some steps; sums are kept, so they go into a checkpoint without loss."""

    def __init__(self) -> None:
        self.steps = 0
        self.images = 0
        self.loss_sum = 0.0
        self.sums: dict[str, float] = {}
        self.left_out = 0

    def add(self, loss: float, sums: Mapping[str, float], images: int, *, updated: bool = True) -> None:
        """Take one step in: the mean loss and the sums of the figures over its images; or that it was left out."""
        if not updated:
            self.left_out += 1
            return
        self.steps += 1
        self.images += images
        self.loss_sum += loss
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    @property
    def means(self) -> dict[str, float]:
        """Of each figure, the mean over the images."""
        return {name: value / self.images for name, value in self.sums.items()}

    @property
    def loss(self) -> float:
        """Mean of the steps' losses; NaN where all were left out."""
        return self.loss_sum / self.steps if self.steps else math.nan


class TrainingLog:
    """Told about every step and verification, it prints and writes what is due.

    Args:
        folder: of the run; gets ``log.jsonl`` and ``tensorboard/``.
        frequent: steps between two lines and between two objects.
        show_loss: print ``lossvalue`` beside ``acc``.
        steps_per_epoch, last_step: for the batch number in the epoch and the time left.
        verbose, validation_images: steps between two validations, and the images of one: for the time left.
        hints: what to try where the loss rises far above its start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        frequent: int,
        show_loss: bool,
        steps_per_epoch: int,
        last_step: int,
        verbose: int = 0,
        validation_images: int = 0,
        hints: Sequence[str] = (),
    ) -> None:
        self.path = folder / "log.jsonl"
        self.frequent, self.show_loss = frequent, show_loss
        self.steps_per_epoch, self.last_step = steps_per_epoch, last_step
        self.verbose, self.validation_images, self.hints = verbose, validation_images, hints
        self.first_loss: float | None = None  # of the first object
        self.remarked = False
        self.meters = {"speedometer": Meter(), "object": Meter(), "epoch": Meter()}

    def open(self, step: int) -> None:
        """Begin after ``step`` finished steps; what the log has about later ones is cut off."""
        kept = _lines_up_to(self.path, step) if self.path.exists() and step > 0 else []
        with replacing(self.path) as file:
            file.writelines(kept)
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
        self._tensorboard = SummaryWriter(str(self.path.parent / "tensorboard"), purge_step=step + 1 if step else 0)
        self._first_step, self._start = step, time.monotonic()
        self._tics = dict.fromkeys(self.meters, self._start)
        self._tic_steps = dict.fromkeys(self.meters, step)
        self._time_left_shown = self._start
        self._validations: list[float] = []  # seconds of each
        self._paused = 0.0  # seconds since the first step that were not spent on steps

    def close(self) -> None:
        """Flush and close the files."""
        self._file.close()
        self._tensorboard.close()

    def flush(self) -> None:
        """Bring all that was written to the disk: before a checkpoint that relies on it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._tensorboard.flush()

    def state(self) -> dict[str, dict[str, Any]]:
        """For the checkpoint."""
        meters = {name: {**vars(meter), "sums": dict(meter.sums)} for name, meter in self.meters.items()}
        return {**meters, "remarks": {"first_loss": self.first_loss, "remarked": self.remarked}}

    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Undo :meth:`state`."""
        for name, meter in self.meters.items():
            vars(meter).update(state[name])
        vars(self).update(state.get("remarks", {}))

    def record(
        self, step: int, *, loss: float, sums: Mapping[str, float], images: int, rate: float, updated: bool = True
    ) -> None:
        """Take in step number ``step`` (counted from 1) on ``images`` images; ``updated``: it was not left out."""
        epoch, batch = divmod(step - 1, self.steps_per_epoch)
        for meter in self.meters.values():
            meter.add(loss, sums, images, updated=updated)
        short = self.steps_per_epoch <= self.frequent  # no batch of an epoch has a line of its own
        if step == self._first_step + 1:
            self._after_first = time.monotonic()
        if short:
            pass
        elif batch == 0:  # the Speedometer's clock starts when the first batch of an epoch is done
            self._tics["speedometer"], self._tic_steps["speedometer"] = time.monotonic(), step
        elif batch % self.frequent == 0:
            self._print_speed(epoch, batch - self.frequent, batch, step, images)
        if step % self.frequent == 0 or step == self.last_step:
            self._write_object(epoch, step, rate, images)
        meter = self.meters["epoch"]
        due = not short or meter.steps + meter.left_out >= self.frequent or step == self.last_step
        if batch == self.steps_per_epoch - 1 and due:
            if short:
                self._print_speed(epoch, 0, batch, step, images)
            self._print_epoch(epoch)
            self._reset("epoch", step)
            self._reset("speedometer", step)
        self._print_time_left(step, images)

    def validation(self, step: int, scores: Iterable[Score], *, seconds: float = 0.0) -> None:
        """Take in what the validation after ``step`` steps found, and how long it took."""
        epoch = max(step - 1, 0) // self.steps_per_epoch
        self._validations.append(seconds)
        self._paused += seconds if step > self._first_step else 0.0
        for score in scores:
            self._append({"step": step, "epoch": epoch, "verification": score.name, **score.figures})
            for name, value in score.figures.items():
                self._tensorboard.add_scalar(f"{score.name}/{name}", value, step)

    def _write_object(self, epoch: int, step: int, rate: float, images: int) -> None:
        meter = self.meters["object"]
        found = {"loss": meter.loss, **meter.means} if meter.steps else {}
        values = {**found, "lr": rate, "images_per_s": self._speed("object", step, images)}
        if meter.left_out:
            values["left_out"] = meter.left_out
        self._append({"step": step, "epoch": epoch, **values})
        if meter.steps:
            self._remark(step, meter.loss)
        for name, value in values.items():
            self._tensorboard.add_scalar(f"train/{name}", value, step)
        self._reset("object", step)

    def _append(self, value: dict[str, Any]) -> None:
        self._file.write(json.dumps(value, allow_nan=False) + "\n")
        self._file.flush()  # the file is followed while the run goes on

    def _remark(self, step: int, loss: float) -> None:
        """Say it once where the loss is far above its start: it may never come to be no number at all."""
        if self.first_loss is None:
            self.first_loss = loss
        elif loss > LOSS_RISE * self.first_loss > 0 and not self.remarked:
            self.remarked = True
            start = f"{LOSS_RISE} times that of the first steps, {self.first_loss:.2f}"
            print(f"[{step}]Loss: {loss:.2f} is more than {start}: {', '.join(self.hints)}", flush=True)

    def _print_speed(self, epoch: int, first: int, batch: int, step: int, images: int) -> None:
        speed = self._speed("speedometer", step, images)
        line = f"Epoch[{epoch}] Batch [{first}-{batch}]\tSpeed: {speed:.2f} samples/sec"
        _log_line("\t".join([line, *(f"{name}={value:f}" for name, value in self._values("speedometer"))]))
        self._reset("speedometer", step)

    def _print_epoch(self, epoch: int) -> None:
        for name, value in self._values("epoch"):
            _log_line(f"Epoch[{epoch}] Train-{name}={value:f}")
        _log_line(f"Epoch[{epoch}] Time cost={time.monotonic() - self._tics['epoch']:.3f}")

    def _values(self, meter: str) -> list[tuple[str, float]]:
        values = list(self.meters[meter].means.items())
        return [*values, ("lossvalue", self.meters[meter].loss)] if self.show_loss else values

    def _print_time_left(self, step: int, images: int) -> None:
        """Every few seconds, whatever ``frequent`` is: on a slow machine its lines are minutes apart."""
        now = time.monotonic()
        if now - self._time_left_shown >= TIME_LEFT_INTERVAL_S:
            self._time_left_shown = now
            left = datetime.timedelta(seconds=round(self._seconds_left(step, images, now)))
            print(f"[{step}]Time-left: {left} for {self.last_step - step} steps", flush=True)

    def _seconds_left(self, step: int, images: int, now: float) -> float:
        """Steps and validations to come, each as long as those before; the first step, which warms up, does not count.

        Before the first validation its length is that of as many images forward, a third of a step's work on them.
        """
        done = step - self._first_step - 1
        each = (now - self._after_first - self._paused) / done if done else now - self._start
        validation = self.validation_images * each / images / 3
        if self._validations:
            validation = sum(self._validations) / len(self._validations)
        every = self.verbose or self.last_step
        to_come = self.last_step // every - step // every + (self.last_step % every > 0)
        return each * (self.last_step - step) + validation * to_come

    def _speed(self, meter: str, step: int, images: int) -> float:
        """Images a second since the meter's last line."""
        elapsed = max(time.monotonic() - self._tics[meter], 1e-9)
        return (step - self._tic_steps[meter]) * images / elapsed

    def _reset(self, meter: str, step: int) -> None:
        self.meters[meter] = Meter()
        self._tics[meter], self._tic_steps[meter] = time.monotonic(), step


def _log_line(text: str) -> None:
    """What Python's logging prints for ``info`` when nothing is configured, as in the original."""
    print(f"INFO:root:{text}", file=sys.stderr, flush=True)


def _lines_up_to(path: Path, step: int) -> list[bytes]:
    """The whole lines of ``path`` about steps up to ``step``."""
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
        except (ValueError, KeyError, TypeError):  # a line cut short by the end of the machine
            break
        kept.append(line)
    return kept
