"""The training loop: one step, what follows it, and what it takes to continue after any interruption."""

from __future__ import annotations

import fcntl
import json
import math
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple

import torch
from easydict import EasyDict
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.base.files import sync_folder, write_json
from lwface.losses import create_classifier
from lwface.models.pretrained import start_from
from lwface.models.store import save_model
from lwface.mxnet.export import mxnet_problem, save_mxnet
from lwface.mxnet.params import params_path
from lwface.recognition.dataset import Batch
from lwface.recognition.options import RunOptions
from lwface.recognition.preparation import (
    build_network,
    choose_device,
    choose_precision,
    open_dataset,
    seed_everything,
)
from lwface.recognition.verifier import BestModel, Verifier
from lwface.settings.configuration import step_list
from lwface.training.checkpoint import (
    check_same_run,
    random_states,
    read_checkpoint,
    restore_random_states,
    write_checkpoint,
)
from lwface.training.data.loader import load_batches, mirror_choice, to_network_input
from lwface.training.data.sampler import BatchSampler
from lwface.training.log import TrainingLog
from lwface.training.optimizer import create_optimizer, set_learning_rate
from lwface.training.schedule import last_step, learning_rate, schedule_length
from lwface.training.stop import StopRequest, stop_request

RATE_LINE_STEPS = 1000  # steps between two lines with the learning rate, as in the original


def train(options: RunOptions) -> int:
    """Train as ``options`` say, from the beginning or from the run's checkpoint; the exit status.

    Raises:
        UserError: for all that stops a run before or while it trains.
    """
    folder = Path(options.config.models_root) / "-".join(options.config[key] for key in ("network", "loss", "dataset"))
    print("prefix", folder / "model", flush=True)
    checkpoint = folder / "last.ckpt"
    if checkpoint.exists() and not options.resume:
        raise UserError(
            f"{checkpoint}: there is a run: add --resume to continue it, or another --models-root for a new one"
        )
    trainer = Trainer(options, folder)  # before the folder is made: what is refused leaves nothing behind
    folder.mkdir(parents=True, exist_ok=True)
    with only_run_in(folder):
        if checkpoint.exists():
            trainer.restore(checkpoint)
        elif options.resume:
            print(f"no checkpoint in {folder}: starting from the beginning", flush=True)
        if trainer.step >= trainer.last_step:
            print(f"the run is finished: {trainer.step} steps of {trainer.last_step} are done, models are in {folder}")
            return 0
        with stop_request() as request:
            return trainer.run(request)


class NotFinite(UserError):
    """The training diverged."""


class Update(NamedTuple):
    """What one update of the weights did."""

    loss: float  # mean over the step's images, before the update
    correct: int  # images classified rightly
    rate: float


class Trainer:
    """A run between two steps.

    Attributes:
        step: updates done; with the seed it also is the position of sampler, mirroring and schedule.
        last_step: updates of the whole run.
        writes_mxnet: models are saved as MXNet's files, too.
    """

    def __init__(self, options: RunOptions, folder: Path) -> None:
        config = EasyDict(options.config)
        self.folder, self.config = folder, config
        self.device = choose_device(options.device)
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        config.precision = choose_precision(config.precision, self.device)
        seed_everything(config.seed)
        network = build_network(config, options.track)
        self.dataset = open_dataset(config)
        classifier = create_classifier(config, config.num_classes, network.embedding_size)
        if config.pretrained and not (folder / "last.ckpt").exists():  # a checkpoint knows better
            print("loading", config.pretrained, config.pretrained_epoch, flush=True)
            print(start_from(network, config.pretrained, config.pretrained_epoch).text(), flush=True)
        # Weights are drawn on the CPU, so that they are the same for every device.
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classifier = classifier.to(self.device)
        self.optimizer = create_optimizer(self.network, self.classifier, config)

        self.images_per_step = config.per_batch_size * config.accumulate
        self.steps_per_epoch = BatchSampler(len(self.dataset), self.images_per_step, seed=0, stop=0).steps_per_epoch
        self.step, self.last_step = 0, last_step(config, self.steps_per_epoch)
        config.total_steps = schedule_length(config, self.steps_per_epoch)
        self.rate_changes = step_list(config.lr_steps) if config.lr_policy == "step" else []
        print("lr_steps", self.rate_changes, flush=True)
        self.image_size = (config.image_shape[0], config.image_shape[1])
        self.verifier = Verifier(Path(config.dataset_path), config.val_targets, self.image_size)
        self.best = BestModel()
        self.writes_mxnet = True
        self.bad_images: dict[int, str] = {}  # key and reason
        self.log = TrainingLog(
            folder,
            frequent=config.frequent,
            show_loss=config.ce_loss,
            steps_per_epoch=self.steps_per_epoch,
            last_step=self.last_step,
        )

    def run(self, request: StopRequest) -> int:
        """Train from ``step`` to ``last_step`` or until ``request``; the exit status."""
        config = self.config
        print("Called with argument:", json.dumps(config), flush=True)
        write_json(self.folder / "config.json", config)
        if problem := mxnet_problem(self.network):
            self.writes_mxnet = False
            print(f"models are saved without MXNet's files: {problem}", flush=True)
        checkpoint_steps = config.checkpoint_steps or config.verbose
        self.log.open(self.step)
        with closing(self.log), closing(self.updates()) as updates:
            for update in updates:
                self.log.record(self.step, images=self.images_per_step, **update._asdict())
                self._say_rate()
                last = self.step == self.last_step
                if self.step % config.verbose == 0 or last:  # the original never verifies what the last steps learnt
                    self.verify_and_save()
                stopped = request.signal is not None and not last
                if self.step % checkpoint_steps == 0 or last or stopped:
                    self.save_checkpoint()
                if stopped:
                    print(f"stopped after step {self.step}; the same command with --resume continues there", flush=True)
                    return request.exit_status
        return 0

    def updates(self) -> Generator[Update, None, None]:
        """Train from ``step`` to ``last_step``, one update at a time; closing the generator ends the loader.

        Raises:
            NotFinite: the loss is no longer a number.
            UserError: an image cannot be read.
        """
        config = self.config
        sampler = BatchSampler(
            len(self.dataset), self.images_per_step, seed=config.seed, start=self.step, stop=self.last_step
        )
        pinned = self.device.type == "cuda"
        batches = load_batches(self.dataset, sampler, num_workers=config.num_workers, pin_memory=pinned)
        with closing(batches):  # type: ignore[type-var]  # a generator has close()
            for batch in batches:
                self._note_bad_images(batch)
                rate = learning_rate(config, self.step)
                loss, correct = self.training_step(batch, rate)
                self.step += 1
                yield Update(loss, correct, rate)

    def training_step(self, batch: Batch, rate: float) -> tuple[float, int]:
        """One update with learning rate ``rate``; the mean loss and the number of images classified rightly.

        The batch is cut into ``accumulate`` equal parts whose mean gradients are averaged: that of the whole batch,
        except that batch norm sees one part at a time.
        """
        parts = self.config.accumulate
        images = batch.images.to(self.device, non_blocking=True)  # (N, H, W, 3) uint8
        labels = batch.labels.to(self.device, non_blocking=True)  # (N,)
        mirror = None
        if self.config.data_rand_mirror:
            mirror = mirror_choice(self.config.seed, self.step, len(images)).to(self.device, non_blocking=True)
        images = to_network_input(images, mirror)  # (N, 3, H, W)

        self.network.train()
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)  # loss, right answers
        for part, targets in zip(images.chunk(parts), labels.chunk(parts), strict=True):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
                embeddings = self.network(part)  # (N / parts, D)
            logits = self.classifier(embeddings, targets)  # (N / parts, C)
            loss = functional.cross_entropy(logits, targets) / parts
            loss.backward()
            totals += torch.stack([loss.detach().double(), (logits.argmax(dim=1) == targets).sum()])
        mean_loss, correct = totals.tolist()  # waits for the device, once a step
        if not math.isfinite(mean_loss):
            raise self._not_finite(f"the loss is {mean_loss}", rate)
        self.optimizer.step()
        return mean_loss, int(correct)

    def verify_and_save(self) -> None:
        """Score the packs, and save the model when ``ckpt`` says so."""
        scores = self.verifier.score(self.network, self.device, self.config.per_batch_size, self.step)
        self.log.verification(self.step, scores)
        number = self.best.number_to_save(self.config.ckpt, [score.accuracy for score in scores])
        if number is not None:
            self._check_weights()
            print("saving", number, flush=True)
            self.save_model(number)
        print(f"[{self.step}]Accuracy-Highest: {self.best.highest:1.5f}", flush=True)

    def save_model(self, number: int) -> None:
        """Write the model under ``number``, ours and MXNet's.

        Old weights of MXNet's go first and new ones come last, so that a run killed in between never leaves the two
        with different weights. It continues from an earlier step and saves both again.
        """
        prefix = str(self.folder / "model")
        params_path(prefix, number).unlink(missing_ok=True)
        sync_folder(self.folder)
        save_model(prefix, number, self.network, self.config)
        if self.writes_mxnet:
            save_mxnet(prefix, number, self.network)

    def save_checkpoint(self) -> None:
        """Write all that continuing takes; the log reaches the disk first."""
        self._check_weights()
        self.log.flush()
        state = {
            "step": self.step,
            "images": len(self.dataset),
            "config": json.loads(json.dumps(self.config)),
            "network": self.network.state_dict(),
            "classifier": self.classifier.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random_states(),
            "best": self.best.state(),
            "log": self.log.state(),
            "bad_images": self.bad_images,
        }
        write_checkpoint(self.folder / "last.ckpt", state)

    def restore(self, path: Path) -> None:
        """Continue from the checkpoint at ``path``.

        Raises:
            UserError: it is damaged, or of a run with other settings or data.
        """
        state = read_checkpoint(path)
        check_same_run(path, state["config"], json.loads(json.dumps(self.config)))
        if state["images"] != len(self.dataset):
            raise UserError(
                f"{path}: the run was started on {state['images']} images, {self.dataset.records.path} now gives "
                f"{len(self.dataset)}: give the same data, or another --models-root"
            )
        self.network.load_state_dict(state["network"])
        self.classifier.load_state_dict(state["classifier"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best.restore(state["best"])
        self.log.restore(state["log"])
        self.bad_images = state["bad_images"]
        self.step = state["step"]
        restore_random_states(state["random"])
        print(f"resuming after step {self.step} of {self.last_step}", flush=True)

    def _note_bad_images(self, batch: Batch) -> None:
        for key, reason in batch.bad.items():
            if key not in self.bad_images:
                self.bad_images[key] = reason
                print(f"skipped the image of key {key}: {reason} ({len(self.bad_images)} so far)", flush=True)

    def _say_rate(self) -> None:
        if self.step in self.rate_changes:
            print("lr change to", learning_rate(self.config, self.step), flush=True)
        if self.step % RATE_LINE_STEPS == 0:
            epoch, batch = divmod(self.step - 1, self.steps_per_epoch)
            print("lr-batch-epoch:", learning_rate(self.config, self.step), batch, epoch, flush=True)

    def _check_weights(self) -> None:
        """A gradient can overflow where the loss does not: such weights must not replace a good checkpoint."""
        for module in (self.network, self.classifier):
            for name, tensor in module.state_dict().items():
                if not torch.isfinite(tensor).all():
                    raise self._not_finite(f"{name} is no longer finite", learning_rate(self.config, self.step - 1))

    def _not_finite(self, what: str, rate: float) -> NotFinite:
        step = self.step + 1 if what.startswith("the loss") else self.step
        remedies = f"lower --lr, give it warmup_steps{', lower loss_s' if self.classifier.scale > 1 else ''}"
        if self.config.precision != "float32":
            remedies += ", or use --precision float32"
        checkpoint = self.folder / "last.ckpt"
        kept = f"{checkpoint} is as it was" if checkpoint.exists() else "no checkpoint was written yet"
        return NotFinite(
            f"{what} at step {step} with learning rate {rate:g} and scale {self.classifier.scale:g}: {remedies}; {kept}"
        )


def only_run_in(folder: Path) -> IO[bytes]:
    """Hold the folder's lock until closed; it is the process's own, so it also ends with a killed one.

    Raises:
        UserError: another process holds it.
    """
    lock = open(folder / ".lock", "wb")  # noqa: SIM115 - closed by the caller
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise UserError(f"{folder}: another run is training here: wait for it, or give another --models-root") from None
    for part in folder.glob(".*.part"):  # of a writer that was killed
        part.unlink()
    return lock
