"""The training loop: steps, what follows them, and what it takes to continue after any interruption.

It knows a :class:`lwface.training.task.Task` and the settings of a run, and nothing of what is learnt.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import time
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lwface.base.errors import UserError
from lwface.base.files import shown, write_json
from lwface.base.lock import held
from lwface.settings.run import Run, step_list
from lwface.training.ahead import lane_to, sent_ahead
from lwface.training.average import WeightAverage
from lwface.training.checkpoint import CHECKPOINT, Checkpoints, SavedRun, check_same_run
from lwface.training.judged import Judged
from lwface.training.loader import load_batches
from lwface.training.log import TrainingLog
from lwface.training.not_finite import LeftOutSteps
from lwface.training.optimizer import create_optimizer
from lwface.training.preparation import deterministic
from lwface.training.processes import launch, processes
from lwface.training.resuming import parts_of_a_step
from lwface.training.sampler import BatchSampler
from lwface.training.schedule import last_step, learning_rate, schedule_length
from lwface.training.state import RunState
from lwface.training.step import Made, Stepper
from lwface.training.stop import StopRequest, stop_request
from lwface.training.task import Batch, Task

RATE_LINE_STEPS = 1000  # steps between two lines with the learning rate, as in the original
SHARE_LEFT_OUT = 0.1  # of an epoch's images: from here on it is said


class Update(NamedTuple):
    """One update of the weights."""

    step: int  # its number, from 1
    made: Made  # what came of it; to look at it is to wait for the device
    rate: float
    positions: Any = None  # of the step's images in the data; None: not known
    bad: Mapping[int, str] = {}  # as Batch.bad

    @property
    def loss(self) -> float:
        """The mean over the step's images, before the update."""
        return self.made.loss


class Loop:
    """A run between two steps, in one process or in each of several.

    Args:
        task: what is learnt.
        run: the settings; ``total_steps`` is filled in.
        device: of the task.
        folder: of the run; made by :meth:`start`, so that what is refused leaves nothing behind.
        started_from: the model that the task's modules are before the first step, as ``--model`` takes it; empty: none.

    Attributes:
        step: updates done; with the seed it also is the position of sampler, mirroring and schedule.
        last_step: updates of the whole run.
        ahead: the host begins a step before it knows what came of the one before: on CUDA, so that the device never
            waits for it. Not with averaged weights, into which a step that is left out must not go.
    """

    def __init__(self, task: Task, run: Run, *, device: torch.device, folder: Path, started_from: str = "") -> None:
        self.task, self.folder, self.device = task, folder, device
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        self.processes = processes()
        self.optimizer = create_optimizer(task.parameter_groups(), run)
        self.parts = parts_of_a_step(folder / CHECKPOINT, run)
        self.images_per_step = run.per_batch_size * self.parts
        self.steps_per_epoch = BatchSampler(len(task.data), self.images_per_step, seed=0, stop=0).steps_per_epoch
        self.step, self.last_step = 0, last_step(run, self.steps_per_epoch)
        self.run = run.replace(total_steps=schedule_length(run, self.steps_per_epoch))
        self.rate_changes = step_list(run.lr_steps) if run.lr_policy == "step" else []
        self.average = WeightAverage(task.modules, run.ema) if run.ema else None
        self.ahead = device.type == "cuda" and not run.ema
        self.stepper = Stepper(
            task,
            self.optimizer,
            self.run,
            device=device,
            parts=self.parts,
            processes=self.processes,
            ahead=self.ahead,
        )
        self.unread: deque[Update] = deque()  # those whose numbers were not looked at yet
        self.state = RunState(task.modules, self.optimizer, self.average)
        self.checkpoints = Checkpoints(folder / CHECKPOINT)
        self.left_out = LeftOutSteps(task, self.run, folder, writes=self.processes.leads)
        self.request = StopRequest()
        self.stop_agreed = False  # by all processes, after the step at hand
        self.judged = Judged(task.merit, started_from)
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
        self.logs = False  # whether the log is open

    def start(self, *, resume: bool) -> int:
        """Train from the beginning, or from the folder's checkpoint; the exit status.

        Raises:
            UserError: for all that stops a run before or while it trains.
        """
        print("lr_steps", self.rate_changes, flush=True)
        busy = f"{self.folder}: another run is training here: wait for it, or give another --models-root"
        with contextlib.ExitStack() as stack:
            if self.processes.leads:
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(self.folder, busy))
            self.processes.wait()  # for the first to hold it
            stack.enter_context(deterministic(self.run.deterministic))
            if (self.folder / CHECKPOINT).exists():
                self.restore(self.folder / CHECKPOINT)
            elif resume:
                print(f"no checkpoint in {self.folder}: starting from the beginning", flush=True)
            self._check_alike()
            if self.step >= self.last_step:
                done = f"{self.step} steps of {self.last_step} are done, models are in {self.folder}"
                print(f"the run is finished: {done}")
                return 0
            with stop_request() as request:
                return self.train(request)

    def train(self, request: StopRequest) -> int:
        """Train from ``step`` to ``last_step`` or until ``request``; the exit status."""
        run, self.request = self.run, request
        leads = self.processes.leads
        print("Called with argument:", json.dumps(run.as_dict()), flush=True)
        if leads:
            write_json(self.folder / "config.json", run.as_dict())
        self.task.announce()
        self._say_left_out()
        checkpoint_steps = run.checkpoint_steps or run.verbose
        with contextlib.ExitStack() as stack:
            if leads:
                self.log.open(self.step)
                self.logs = True
                stack.enter_context(closing(self.log))
            stack.enter_context(closing(self.checkpoints))
            updates = stack.enter_context(closing(self.updates()))
            if self.step == 0 and run.pretrained:
                self._validate_before()
            for _ in updates:
                last = self.step == self.last_step
                # The original never verifies what the last steps learnt.
                validates = self.step % run.verbose == 0 or last
                if validates:
                    self.settle()
                self._say_rate()
                self.checkpoints.check()
                if validates:
                    self.validate_and_save()
                stopped = self._stops() and not last
                if self.step % checkpoint_steps == 0 or last or stopped:
                    self.settle()
                    self.save_checkpoint()
                if stopped:
                    self.checkpoints.wait()
                    print(f"stopped after step {self.step}; the same command with --resume continues there", flush=True)
                    return request.exit_status
        self._say_end()
        return 0

    def updates(self) -> Generator[Update, None, None]:
        """Train from ``step`` to ``last_step``, one update at a time; closing the generator ends the loader.

        What came of an update is looked at when it is yielded, or ``ahead`` of that: :meth:`settle`.

        Raises:
            NotFinite: loss or gradients are no longer numbers, for more steps in a row than ``nonfinite_limit``.
            UserError: an image cannot be read.
        """
        run, lane = self.run, lane_to(self.device)
        for sampler in self.task.orders(self.images_per_step, seed=run.seed, start=self.step, stop=self.last_step):
            batches = load_batches(
                self.task.data,
                sampler,
                num_workers=run.num_workers,
                pin_memory=lane is not None,
                part=run.per_batch_size,
                processes=self.processes,
            )
            with closing(batches):  # type: ignore[type-var]  # a generator has close()
                for batch in sent_ahead(batches, lane):
                    rate = learning_rate(run, self.step)
                    made = self.training_step(batch, rate)
                    self.step += 1
                    update = Update(self.step, made, rate, batch.positions, batch.bad)
                    self.unread.append(update)
                    self.settle(keep=1 if self.ahead else 0)
                    yield update
        self.settle()

    def training_step(self, batch: Batch, rate: float) -> Made:
        """One update with learning rate ``rate``: that of the whole step, all parts and processes together."""
        stops = self.request.signal is not None
        return self.stepper.step(batch, self.step, rate, flags=(stops, bool(batch.bad)))

    def settle(self, keep: int = 0) -> None:
        """Look at what came of the updates, the last ``keep`` of them apart, and do what is to be done about it.

        Raises:
            NotFinite: too many were left out in a row.
        """
        while len(self.unread) > keep:
            update = self.unread.popleft()
            made = update.made
            self.stop_agreed, bad_images = made.raised
            if bad_images:
                self._note_bad_images(self.processes.collected(dict(update.bad)))
            if not made.updated:
                self.left_out.take(update.step, made.loss, update.rate, update.positions)
            else:
                self.left_out.in_a_row = 0
                if self.average:
                    self.average.update(update.step)
            if self.logs:
                self.log.record(
                    update.step,
                    loss=made.loss,
                    sums=made.sums,
                    images=self.images_per_step,
                    rate=update.rate,
                    updated=made.updated,
                )

    def _stops(self) -> bool:
        """Whether the run is to be stopped after this step: of several processes, all know it since the step."""
        return self.stop_agreed if self.processes.count > 1 else self.request.signal is not None

    def validate_and_save(self) -> None:
        """Judge what was learnt (averaged weights, where there are such), and save the model when ``ckpt`` says so.

        The first process does, the others wait.
        """
        if not self.processes.leads:
            self.processes.wait()
            return
        with self.average.in_place() if self.average else contextlib.nullcontext():
            self._validate_and_save()
        self.processes.wait()

    def _validate_and_save(self) -> None:
        start = time.monotonic()
        found = self.task.validate(self.step)
        self.log.validation(self.step, found.scores, seconds=time.monotonic() - start)
        judged = self.judged
        judged.merits += found.merits[-1:]
        number = judged.best.number_to_save(self.run.ckpt, found.merits)
        if number is not None:
            self._check_weights()
            print("saving", number, flush=True)
            self.task.save(self.folder, number, self.run.as_dict())
            judged.saved = number, self.step
        highest = judged.best.highest if found.merits else 0.0
        print(f"[{self.step}]{self.task.merit}-Highest: {highest:1.5f}", flush=True)

    def save_checkpoint(self) -> None:
        """Begin to write all that continuing takes; the log has reached the disk by then."""
        self._check_weights()
        if self.processes.leads:
            self.log.flush()
        facts = {
            "step": self.step,
            "parts": self.parts,
            "launch": launch(),
            "facts": self.task.facts(),
            "config": json.loads(json.dumps(self.run.as_dict())),
            **self.judged.state(),
            "log": self.log.state(),
            "bad_images": {str(key): reason for key, reason in self.bad_images.items()},
            "left_out": [self.left_out.count, self.left_out.in_a_row],
        }
        self.checkpoints.save(self.step, self.state.tensors(), facts)

    def restore(self, path: Path) -> None:
        """Continue from the checkpoint at ``path``.

        Raises:
            UserError: it is damaged, or of a run with other settings or data.
        """
        saved = SavedRun(path)
        state = saved.facts
        current = json.loads(json.dumps(self.run.as_dict()))
        if self.parts == state.get("parts", state["config"]["accumulate"]):  # by more processes or more parts of each
            state["config"]["accumulate"] = current["accumulate"]
        check_same_run(path, state["config"], current)
        for fact, value in self.task.facts().items():
            if state["facts"].get(fact) != value:
                raise UserError(
                    f"{path}: the run was started on {state['facts'].get(fact)} {fact}, the data now gives {value}: "
                    "give the same data, or another --models-root"
                )
        self.state.restore(saved)
        self.judged.restore(state)
        self.log.restore(state["log"])
        self.bad_images = {int(key): reason for key, reason in state["bad_images"].items()}
        self.left_out.count, self.left_out.in_a_row = state.get("left_out", (0, 0))
        self.step = state["step"]
        print(f"resuming after step {self.step} of {self.last_step}", flush=True)

    def _check_alike(self) -> None:
        """See to it that all processes begin with the same.

        Raises:
            UserError: they do not see the same folder.
        """
        first = self.processes.share_(torch.tensor([self.step, len(self.task.data)])).tolist()
        if first != [self.step, len(self.task.data)]:
            raise UserError(
                f"{self.folder}: process {self.processes.rank} is at step {self.step} with {len(self.task.data)} "
                f"images, the first at step {first[0]} with {first[1]}: all must see the same data and --models-root"
            )

    def _validate_before(self) -> None:
        """Judge the trained model that is started from: what comes after is to be better."""
        if not self.processes.leads:
            self.processes.wait()
            return
        start = time.monotonic()
        found = self.task.validate(0)
        self.judged.before, self.judged.chance = list(found.merits), found.chance
        self.log.validation(0, found.scores, seconds=time.monotonic() - start)
        self.processes.wait()

    def _say_left_out(self) -> None:
        """Where an epoch leaves out many images, which batch would not."""
        images = len(self.task.data)
        left_out = images - self.steps_per_epoch * self.images_per_step
        if left_out <= SHARE_LEFT_OUT * images or not self.task.in_epochs:
            return
        steps = -(-images // self.images_per_step)  # of a batch a little smaller
        better = images // steps // self.parts
        print(
            f"an epoch is {self.steps_per_epoch} steps of {self.images_per_step}, so {left_out} of {images} images are "
            f"left out of each, others every time; --per-batch-size {better} leaves out "
            f"{images - steps * better * self.parts}",
            flush=True,
        )

    def _say_end(self) -> None:
        """Where the model is, how good it became, and what may be done with it."""
        judged = self.judged
        if judged.saved is None:
            print(f"the run is done, no model was saved (--ckpt {self.run.ckpt})", flush=True)
            return
        number, step = judged.saved
        model = f"{shown(self.folder / 'model')},{number}"
        print(f"the run is done: {model}, of step {step}{judged.highest()}", flush=True)
        if compared := judged.compared():
            print(compared, flush=True)
        if judged.no_better and judged.started_from:
            model = shlex.quote(judged.started_from)
        for command in self.task.next_commands(model):
            print(f"next: {command}", flush=True)

    def _note_bad_images(self, bad: Mapping[int, str]) -> None:
        for key, reason in bad.items():
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
        self.left_out.check_weights(self.step, learning_rate(self.run, self.step - 1))
