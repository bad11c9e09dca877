"""A face-recognition run, from its settings to its end."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from lwface.base.errors import UserError
from lwface.losses import BatchLoss, Classifier, Heads, create_classifier
from lwface.losses.triplet import Triplet
from lwface.models.card import start_entry
from lwface.models.names import with_epoch
from lwface.models.pixels import Said
from lwface.models.pretrained import Start, start_from
from lwface.recognition.distillation import DistilledTask
from lwface.recognition.forgetting import changes
from lwface.recognition.head_start import start_at_means
from lwface.recognition.preparation import build_network, open_dataset
from lwface.recognition.task import FaceTask
from lwface.recognition.triplets import TripletTask, whole_triplets
from lwface.recognition.verifier import Verifier
from lwface.reporting.training_log import CONFIG, read_run
from lwface.settings.run import Run
from lwface.training.checkpoint import CHECKPOINT
from lwface.training.loop import Loop
from lwface.training.preparation import choose_device, choose_precision, seed_everything
from lwface.training.processes import processes
from lwface.training.resuming import check_new


def run_folder(run: Run) -> Path:
    """Where the models of ``run`` are kept."""
    return Path(run.models_root) / f"{run.network}-{run.loss}-{run.dataset}"


def train(run: Run, *, device: str = "auto", resume: bool = False, track: str | None = None) -> int:
    """Train as ``run`` says, from the beginning or from its checkpoint; the exit status.

    Args:
        device: auto, cpu, cuda or cuda:N.
        resume: go on where there is a checkpoint.
        track: refuse a network over the budget of this track.

    Raises:
        UserError: for all that stops a run before or while it trains.
    """
    folder = run_folder(run)
    print("prefix", folder / "model", flush=True)
    check_new(folder, resume=resume)
    loop = prepare(run, device=device, track=track, folder=folder)
    status = loop.start(resume=resume)
    if status == 0 and loop.judged.saved is not None and (run.verify_also or run.more_targets):
        for line in changes(read_run(folder), loop.judged.saved[1]):
            print(line, flush=True)
    return status


def prepare(run: Run, *, device: str = "auto", track: str | None = None, folder: Path) -> Loop:
    """The loop of ``run``, ready for its first step; nothing is written but the features of its teachers.

    Raises:
        BudgetError: the network is over the budget of ``track``.
        UserError: data, device or model to start from are not there, or do not fit.
    """
    place = choose_device(device)
    run = run.replace(precision=choose_precision(run.precision, place))
    seed_everything(run.seed)
    network = build_network(run, track)
    data, identities = open_dataset(run)
    run = run.replace(num_classes=sum(identities))
    classifier = _create_heads(run, identities, network.embedding_size)
    if isinstance(classifier, BatchLoss) and run.sample_rate < 1:
        raise UserError(
            f"sample_rate = {run.sample_rate:g}: the loss {run.loss} has no identities to sample, leave it at 1"
        )
    started_from, goes_on = "", (folder / CHECKPOINT).exists()
    trained = False  # the network, before its first step
    if run.start_share and not (run.pretrained or goes_on):
        raise UserError(f"start_share = {run.start_share:g}: there is nothing to share: give --pretrained MODEL")
    if run.pretrained and goes_on:  # the checkpoint knows what it was started from
        run = run.replace(lr=_rate_begun_with(run, folder))
    elif run.pretrained:
        started_from = with_epoch(run.pretrained, run.pretrained_epoch)
        print("loading", started_from, flush=True)
        said = Said.of(run.pretrained_pixels, run.pretrained_epsilon)
        start = start_from(network, run.pretrained, run.pretrained_epoch, said)
        print(start.text(), flush=True)
        trained = not start.random
        if start.random:
            started_from = ""  # the network is another than that of the file
        run = _choose_rate(run, start)
    # Weights are drawn on the CPU, so that they are the same for every device.
    network = network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    verifier = Verifier(
        Path(run.dataset_path), list(run.val_targets), (run.image_shape[0], run.image_shape[1]), _earlier_packs(run)
    )
    kind: type[FaceTask] = FaceTask
    if isinstance(classifier, Triplet):
        kind, run = TripletTask, whole_triplets(run)
    if run.teacher:
        kind = DistilledTask
    task = kind(network, classifier.to(place), data, verifier, run, place)
    if run.pretrained:
        task.start_entry = start_entry(with_epoch(run.pretrained, run.pretrained_epoch))
    if run.head_start == "mean" or (run.head_start == "auto" and trained):
        _start_head(task, goes_on)
    return Loop(task, run, device=place, folder=folder, started_from=started_from)


def _start_head(task: FaceTask, goes_on: bool) -> None:
    """Put the centres of the task's classifier, if it has one, at the persons' means, and say so."""
    first = 0  # label of a head
    for head in [] if goes_on else task.heads:
        images, people = start_at_means(task.network, head, task.faces, task.run, task.device, first=first)
        print(f"head_start: {people} centres at the mean embeddings of {images} images and their mirrors", flush=True)
        first += head.shard.total


def _create_heads(run: Run, identities: list[int], embedding_size: int) -> Classifier | Heads | BatchLoss:
    """What makes the loss of ``run``: a head for each number of identities."""
    holding = {"chunk": run.fc7_chunk, "products": run.fc7_products, "group": processes().group}
    found = [create_classifier(run.as_dict(), count, embedding_size, **holding) for count in identities]
    heads = [each for each in found if isinstance(each, Classifier)]
    if len(found) == 1:
        return found[0]
    if not heads:
        raise UserError(f"join = 'heads': the loss {run.loss} has no head: --join names or --join apart")
    if processes().count > 1:  # which would have rows for other heads, and wait for each other
        raise UserError("join = 'heads': several heads are trained in one process: --join names or --join apart")
    return Heads(heads)


def _earlier_packs(run: Run) -> list[Path]:
    """What is verified before the packs of the first data set: those asked for, then those of the other sets."""
    asked = [Path(word.strip()) for word in run.verify_also.split(",") if word.strip()]
    of_others = zip(run.more_paths, run.more_targets, strict=True)
    return [*asked, *(Path(folder) / f"{name}.bin" for folder, names in of_others for name in names)]


def _choose_rate(run: Run, start: Start) -> Run:
    """``run`` with the usual rate again, where nobody asked for one and a large part of the network is not trained."""
    if run.usual_lr is None:
        return run
    if not start.random:
        print(f"learning rate {run.lr:g}, as the network is trained already (--lr chooses another)", flush=True)
        return run
    print(f"learning rate {run.usual_lr:g}, not a tenth of it, as {start.random} (--lr chooses another)", flush=True)
    return run.replace(lr=run.usual_lr)


def _rate_begun_with(run: Run, folder: Path) -> float:
    """The rate of a run that goes on: :func:`_choose_rate` chose it when it began, and ``config.json`` has it."""
    try:
        begun = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["lr"]
    except (OSError, ValueError, KeyError, TypeError):
        return run.lr
    return begun if begun == run.usual_lr else run.lr
