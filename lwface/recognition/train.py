"""A face-recognition run, from its settings to its end."""

from __future__ import annotations

from pathlib import Path

import torch

from lwface.losses import create_classifier
from lwface.models.pixels import Said
from lwface.models.pretrained import start_from
from lwface.recognition.preparation import build_network, open_dataset
from lwface.recognition.task import FaceTask
from lwface.recognition.verifier import Verifier
from lwface.settings.run import Run
from lwface.training.loop import CHECKPOINT, Loop, check_new
from lwface.training.preparation import choose_device, choose_precision, seed_everything


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
    return prepare(run, device=device, track=track, folder=folder).start(resume=resume)


def prepare(run: Run, *, device: str = "auto", track: str | None = None, folder: Path) -> Loop:
    """The loop of ``run``, ready for its first step; nothing is written.

    Raises:
        BudgetError: the network is over the budget of ``track``.
        UserError: data, device or model to start from are not there, or do not fit.
    """
    place = choose_device(device)
    run = run.replace(precision=choose_precision(run.precision, place))
    seed_everything(run.seed)
    network = build_network(run, track)
    data, classes = open_dataset(run)
    run = run.replace(num_classes=classes)
    classifier = create_classifier(run.as_dict(), classes, network.embedding_size)
    if run.pretrained and not (folder / CHECKPOINT).exists():  # a checkpoint knows better
        print("loading", run.pretrained, run.pretrained_epoch, flush=True)
        said = Said.of(run.pretrained_pixels, run.pretrained_epsilon)
        print(start_from(network, run.pretrained, run.pretrained_epoch, said).text(), flush=True)
        print(f"learning rate {run.lr:g}, as the network is trained already (--lr chooses another)", flush=True)
    # Weights are drawn on the CPU, so that they are the same for every device.
    network = network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    verifier = Verifier(Path(run.dataset_path), list(run.val_targets), (run.image_shape[0], run.image_shape[1]))
    task = FaceTask(network, classifier.to(place), data, verifier, run, place)
    return Loop(task, run, device=place, folder=folder)
