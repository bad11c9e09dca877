"""The training loop: steps, what follows them, and what it takes to continue after any interruption.

It knows a :class:`lwface.training.task.Task` and the settings of a run, and nothing of what is learnt.
"""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import torch

from lwface.base.errors import UserError
from lwface.base.files import shown, write_json
from lwface.base.lock import held
from lwface.settings.run import Run, step_list
from lwface.training.average import WeightAverage
from lwface.training.best import BestModel
from lwface.training.checkpoint import (
    check_same_run,
    random_states,
    read_checkpoint,
    restore_random_states,
    write_checkpoint,
)
from lwface.training.loader import load_batches
from lwface.training.log import TrainingLog
from lwface.training.optimizer import create_optimizer, set_learning_rate
from lwface.training.sampler import BatchSampler
from lwface.training.schedule import last_step, learning_rate, schedule_length
from lwface.training.stop import StopRequest, stop_request
from lwface.training.task import Batch, Task

RATE_LINE_STEPS = 1000  # steps between two lines with the learning rate, as in the original
SHARE_LEFT_OUT = 0.1  # of an epoch's images: from here on it is said
CHECKPOINT = "last.ckpt"  # in the run's folder


class NotFinite(UserError):
    """The training diverged."""


class Update(NamedTuple):
    """What one update of the weights did."""

    loss: float  # mean over the step's images, before the update
    sums: dict[str, float]  # the task's figures, summed over the step's images
    rate: float


def check_new(folder: Path, *, resume: bool) -> None:
    """Refuse to begin where a run has been, unless it is to be resumed.

    Raises:
        UserError: there is a checkpoint.
    """
    if (folder / CHECKPOINT).exists() and not resume:
        remedy = "add --resume to continue it, or another --models-root for a new one"
        raise UserError(f"{folder / CHECKPOINT}: there is a run: {remedy}")


class Loop:
    """A run between two steps.

    Args:
        task: what is learnt.
        run: the settings; ``total_steps`` is filled in.
        device: of the task.
        folder: of the run; made by :meth:`start`, so that what is refused leaves nothing behind.
        started_from: the model that the task's modules are before the first step, as ``--model`` takes it; empty: none.

    Attributes:
        step: updates done; with the seed it also is the position of sampler, mirroring and schedule.
        last_step: updates of the whole run.
    """

    def __init__(self, task: Task, run: Run, *, device: torch.device, folder: Path, started_from: str = "") -> None:
        self.task, self.folder, self.device = task, folder, device
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        self.optimizer = create_optimizer(task.parameter_groups(), run)
        self.images_per_step = run.per_batch_size * run.accumulate
        self.steps_per_epoch = BatchSampler(len(task.data), self.images_per_step, seed=0, stop=0).steps_per_epoch
        self.step, self.last_step = 0, last_step(run, self.steps_per_epoch)
        self.run = run.replace(total_steps=schedule_length(run, self.steps_per_epoch))
        self.rate_changes = step_list(run.lr_steps) if run.lr_policy == "step" else []
        self.average = WeightAverage(task.modules, run.ema) if run.ema else None
        self.best = BestModel()
        self.started_from = started_from
        self.before: list[float] = []  # merits of the model that training starts from, where it is a trained one
        self.chance = math.nan  # by how much another merit may differ from its last one without being told from it
        self.merits: list[float] = []  # the deciding one of each validation since
        self.saved: tuple[int, int] | None = None  # number of the last model saved, and its step
        self.bad_images: dict[int, str] = {}  # key and reason
        self.log = TrainingLog(
            folder,
            frequent=run.frequent,
            show_loss=run.ce_loss,
            steps_per_epoch=self.steps_per_epoch,
            last_step=self.last_step,
            verbose=run.verbose,
            validation_images=task.validation_images,
            hints=["lower --lr", *task.hints()],
        )

    def start(self, *, resume: bool) -> int:
        """Train from the beginning, or from the folder's checkpoint; the exit status.

        Raises:
            UserError: for all that stops a run before or while it trains.
        """
        print("lr_steps", self.rate_changes, flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        busy = f"{self.folder}: another run is training here: wait for it, or give another --models-root"
        with held(self.folder, busy):
            if (self.folder / CHECKPOINT).exists():
                self.restore(self.folder / CHECKPOINT)
            elif resume:
                print(f"no checkpoint in {self.folder}: starting from the beginning", flush=True)
            if self.step >= self.last_step:
                done = f"{self.step} steps of {self.last_step} are done, models are in {self.folder}"
                print(f"the run is finished: {done}")
                return 0
            with stop_request() as request:
                return self.train(request)

    def train(self, request: StopRequest) -> int:
        """Train from ``step`` to ``last_step`` or until ``request``; the exit status."""
        run = self.run
        print("Called with argument:", json.dumps(run.as_dict()), flush=True)
        write_json(self.folder / "config.json", run.as_dict())
        self.task.announce()
        self._say_left_out()
        checkpoint_steps = run.checkpoint_steps or run.verbose
        self.log.open(self.step)
        with closing(self.log), closing(self.updates()) as updates:
            if self.step == 0 and run.pretrained:
                self._validate_before()
            for update in updates:
                self.log.record(self.step, images=self.images_per_step, **update._asdict())
                self._say_rate()
                last = self.step == self.last_step
                if self.step % run.verbose == 0 or last:  # the original never verifies what the last steps learnt
                    self.validate_and_save()
                stopped = request.signal is not None and not last
                if self.step % checkpoint_steps == 0 or last or stopped:
                    self.save_checkpoint()
                if stopped:
                    print(f"stopped after step {self.step}; the same command with --resume continues there", flush=True)
                    return request.exit_status
        self._say_end()
        return 0

    def updates(self) -> Generator[Update, None, None]:
        """Train from ``step`` to ``last_step``, one update at a time; closing the generator ends the loader.

        Raises:
            NotFinite: the loss is no longer a number.
            UserError: an image cannot be read.
        """
        run, pinned = self.run, self.device.type == "cuda"
        for sampler in self.task.orders(self.images_per_step, seed=run.seed, start=self.step, stop=self.last_step):
            batches = load_batches(self.task.data, sampler, num_workers=run.num_workers, pin_memory=pinned)
            with closing(batches):  # type: ignore[type-var]  # a generator has close()
                for batch in batches:
                    self._note_bad_images(batch)
                    rate = learning_rate(run, self.step)
                    loss, sums = self.training_step(batch, rate)
                    self.step += 1
                    if self.average:
                        self.average.update(self.step)
                    yield Update(loss, sums, rate)

    def training_step(self, batch: Batch, rate: float) -> tuple[float, dict[str, float]]:
        """One update with learning rate ``rate``; the mean loss and the sums of the task's figures.

        The batch is cut into ``accumulate`` equal parts whose mean gradients are averaged: that of the whole batch,
        except that batch norm sees one part at a time.
        """
        task, parts = self.task, self.run.accumulate
        inputs, targets = task.on_device(batch, self.step)
        task.train_mode()
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        task.begin_step(targets, self.step, self.run)
        totals = torch.zeros(1 + len(task.figures), dtype=torch.float64, device=self.device)  # loss, figures
        for part, part_targets in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
            outcome = task.outcome(part, part_targets)
            loss = outcome.loss / parts
            loss.backward()
            found = [loss.detach(), *(outcome.sums[name].detach() for name in task.figures)]
            totals += torch.stack([value.double() for value in found])
        mean_loss, *sums = totals.tolist()  # waits for the device, once a step
        if not math.isfinite(mean_loss):
            raise self._not_finite(f"the loss is {mean_loss}", self.step + 1, rate)
        task.update(self.optimizer)
        return mean_loss, dict(zip(task.figures, sums, strict=True))

    def validate_and_save(self) -> None:
        """Judge what was learnt (averaged weights, where there are such), and save the model when ``ckpt`` says so."""
        with self.average.in_place() if self.average else contextlib.nullcontext():
            self._validate_and_save()

    def _validate_and_save(self) -> None:
        start = time.monotonic()
        found = self.task.validate(self.step)
        self.log.validation(self.step, found.scores, seconds=time.monotonic() - start)
        self.merits += found.merits[-1:]
        number = self.best.number_to_save(self.run.ckpt, found.merits)
        if number is not None:
            self._check_weights()
            print("saving", number, flush=True)
            self.task.save(self.folder, number, self.run.as_dict())
            self.saved = number, self.step
        print(f"[{self.step}]{self.task.merit}-Highest: {self.best.highest if found.merits else 0.0:1.5f}", flush=True)

    def save_checkpoint(self) -> None:
        """Write all that continuing takes; the log reaches the disk first."""
        self._check_weights()
        self.log.flush()
        state = {
            "step": self.step,
            "facts": self.task.facts(),
            "config": json.loads(json.dumps(self.run.as_dict())),
            "modules": {name: module.state_dict() for name, module in self.task.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.average if self.average else None,
            "random": random_states(),
            "best": self.best.state(),
            "before": self.before,
            "started_from": self.started_from,
            "chance": self.chance,
            "merits": self.merits,
            "saved": self.saved,
            "log": self.log.state(),
            "bad_images": self.bad_images,
        }
        write_checkpoint(self.folder / CHECKPOINT, state)

    def restore(self, path: Path) -> None:
        """Continue from the checkpoint at ``path``.

        Raises:
            UserError: it is damaged, or of a run with other settings or data.
        """
        state = read_checkpoint(path)
        check_same_run(path, state["config"], json.loads(json.dumps(self.run.as_dict())))
        for fact, value in self.task.facts().items():
            if state["facts"].get(fact) != value:
                raise UserError(
                    f"{path}: the run was started on {state['facts'].get(fact)} {fact}, the data now gives {value}: "
                    "give the same data, or another --models-root"
                )
        for name, module in self.task.modules.items():
            module.load_state_dict(state["modules"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.restore(state["average"])
        self.best.restore(state["best"])
        self.before = state.get("before", [])  # older checkpoints have none of these
        self.started_from = state.get("started_from", "")
        self.chance = state.get("chance", math.nan)
        self.merits = state.get("merits", [])
        self.saved = tuple(state["saved"]) if state.get("saved") else None
        self.log.restore(state["log"])
        self.bad_images = state["bad_images"]
        self.step = state["step"]
        restore_random_states(state["random"])
        print(f"resuming after step {self.step} of {self.last_step}", flush=True)

    def _validate_before(self) -> None:
        """Judge the trained model that is started from: what comes after is to be better."""
        start = time.monotonic()
        found = self.task.validate(0)
        self.before, self.chance = list(found.merits), found.chance
        self.log.validation(0, found.scores, seconds=time.monotonic() - start)

    def _say_left_out(self) -> None:
        """Where an epoch leaves out many images, which batch would not."""
        images = len(self.task.data)
        left_out = images - self.steps_per_epoch * self.images_per_step
        if left_out <= SHARE_LEFT_OUT * images or not self.task.in_epochs:
            return
        steps = -(-images // self.images_per_step)  # of a batch a little smaller
        better = images // steps // self.run.accumulate
        print(
            f"an epoch is {self.steps_per_epoch} steps of {self.images_per_step}, so {left_out} of {images} images are "
            f"left out of each, others every time; --per-batch-size {better} leaves out "
            f"{images - steps * better * self.run.accumulate}",
            flush=True,
        )

    def _say_end(self) -> None:
        """Where the model is, how good it became, and what may be done with it."""
        if self.saved is None:
            print(f"the run is done, no model was saved (--ckpt {self.run.ckpt})", flush=True)
            return
        number, step = self.saved
        model = f"{shown(self.folder / 'model')},{number}"
        highest = f", highest {self.task.merit} {self.best.highest:1.5f}" if math.isfinite(self.best.highest) else ""
        print(f"the run is done: {model}, of step {step}{highest}", flush=True)
        no_worse = bool(self.before and self.merits) and self.before[-1] >= self.best.highest
        if no_worse or (self.started_from and self.before and self.merits):
            print(self._compared(), flush=True)
        if no_worse and self.started_from:
            model = shlex.quote(self.started_from)
        for command in self.task.next_commands(model):
            print(f"next: {command}", flush=True)

    def _compared(self) -> str:
        """What was trained beside what the run started from: which is better, if that can be told, and what to do."""
        found, before = self.best.highest, self.before[-1]
        start = "the model that it started from" if self.started_from else "the network before the first step"
        figures = f"{self.task.merit} {found:1.5f} here, {before:1.5f} there"
        if found > before + (0 if math.isnan(self.chance) else self.chance):
            return f"it is better than {start}: {figures}"
        if found == before:
            told = f"a tie with {start}: {figures}"
        elif abs(found - before) <= self.chance:
            doubt = f"as the folds deviate, less than {self.chance:.5f} tells nothing"
            told = f"it cannot be told apart from {start}: {figures}; {doubt}"
        else:
            told = f"{start} is better: {figures}"
        if self.started_from and found <= before:
            told += f"; use {self.started_from}"
        rises = len(self.merits) > 1 and self.merits[-1] > max(self.merits[:-1])
        return f"{told}; for more, lower --lr" + (f", or train longer: {self.task.merit} still rose" if rises else "")

    def _note_bad_images(self, batch: Batch) -> None:
        for key, reason in batch.bad.items():
            if key not in self.bad_images:
                self.bad_images[key] = reason
                print(f"skipped the image of key {key}: {reason} ({len(self.bad_images)} so far)", flush=True)

    def _say_rate(self) -> None:
        if self.step in self.rate_changes:
            print("lr change to", learning_rate(self.run, self.step), flush=True)
        if self.step % RATE_LINE_STEPS == 0:
            epoch, batch = divmod(self.step - 1, self.steps_per_epoch)
            print("lr-batch-epoch:", learning_rate(self.run, self.step), batch, epoch, flush=True)

    def _check_weights(self) -> None:
        """A gradient can overflow where the loss does not: such weights must not replace a good checkpoint."""
        for module in self.task.modules.values():
            for name, tensor in module.state_dict().items():
                if not torch.isfinite(tensor).all():
                    what = f"{name} is no longer finite"
                    raise self._not_finite(what, self.step, learning_rate(self.run, self.step - 1))

    def _not_finite(self, what: str, step: int, rate: float) -> NotFinite:
        remedies = ["look at what the loss computes first: nothing was learnt yet"] if step == 1 else []
        remedies += ["lower --lr", "give it warmup_steps", *self.task.hints()]
        if self.run.precision != "float32":
            remedies.append("or use --precision float32")
        path = self.folder / CHECKPOINT
        kept = f"{path} is as it was" if path.exists() else "no checkpoint was written yet"
        return NotFinite(f"{what} at step {step} with learning rate {rate:g}: {', '.join(remedies)}; {kept}")
