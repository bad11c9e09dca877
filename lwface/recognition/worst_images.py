"""Which training images a run's network finds hardest, by their loss.

Training keeps no loss of single images: what it would keep is of many different networks. The weights of the last
checkpoint, network and classifier, are asked afterwards, of as many images as one likes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import encode_jpeg
from lwface.losses import Classifier, create_classifier
from lwface.networks import create_network
from lwface.recognition.dataset import FaceDataset, to_network_input
from lwface.recognition.leaving_out import read_left_out
from lwface.reporting.training_log import TrainingRun
from lwface.reporting.worst_images import WorstImage, WorstImages
from lwface.training.checkpoint import CHECKPOINT, SavedRun
from lwface.training.state import RunState

AT_ONCE = 32  # images
LOGITS = 1 << 27  # at a time, at most: half a gigabyte
QUALITY = 90  # of the shown JPEGs


def worst_images(run: TrainingRun, *, shown: int, sample: int, device: torch.device) -> WorstImages:
    """The ``shown`` images of highest loss among ``sample`` of the run's data set.

    The loss is the cross-entropy of training, margin included, of the image as it is, by the network in evaluation.

    Raises:
        UserError: no checkpoint, no data set, a run of something else than faces, or a loss without classes.
    """
    network, classifier, step = _learnt(run, device)
    data = _data(run)
    positions = np.unique(np.linspace(0, len(data) - 1, min(sample, len(data))).round().astype(np.int64))
    rows = max(1, min(AT_ONCE, LOGITS // classifier.weight[..., 0].numel()))
    found: list[tuple[np.ndarray, ...]] = []  # of each image: position, label, told, share, loss
    total = 0.0
    with progress(total=len(positions), label="worst images", unit="image") as bar:
        for part in np.split(positions, range(rows, len(positions), rows)):
            batch = data[part]
            good = np.array([data.key(position) not in batch.bad for position in part])
            figures = _figures(network, classifier, batch.images.to(device), batch.targets.to(device))
            kept = [part[good], batch.targets.numpy()[good], *(values.cpu().numpy()[good] for values in figures)]
            total += float(kept[-1].sum())
            found.append(tuple(kept))
            bar.update(len(part))
    place, label, told, share, loss = (np.concatenate(values) for values in zip(*found, strict=True))
    worst = np.argsort(-loss, kind="stable")[:shown]
    pictures = data[place[worst]].images.numpy()
    images = [
        WorstImage(
            data.key(place[at]),
            int(label[at]),
            int(told[at]),
            float(share[at]),
            float(loss[at]),
            encode_jpeg(picture, QUALITY),
        )
        for at, picture in zip(worst, pictures, strict=True)
    ]
    return WorstImages(images, len(place), total / len(place), step)


@torch.no_grad()
def _figures(network: torch.nn.Module, classifier: Classifier, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Of each image (N,): the class of the highest score, its share of the probability without margin, the loss."""
    embeddings = network(to_network_input(images)).to(classifier.weight.dtype)
    norms = torch.linalg.vector_norm(embeddings, dim=1)
    losses = functional.cross_entropy(classifier.logits(embeddings, labels, norms), labels, reduction="none")
    shares = classifier.plain_logits(embeddings).softmax(dim=1)
    share, told = shares.max(dim=1)
    return [told, share, losses]


def _learnt(run: TrainingRun, device: torch.device) -> tuple[torch.nn.Module, Classifier, int]:
    settings, path = run.settings, run.folder / CHECKPOINT
    if not {"net_name", "loss_name", "dataset_path", "num_classes"} <= settings.keys():
        raise UserError(f"--worst: {run.folder} is not the run of a face network, or its config.json is gone")
    if not path.is_file():
        raise UserError(f"--worst: {path}: no such file; the weights of the classifier are in it alone")
    network = create_network(settings)
    classifier = create_classifier(settings, settings["num_classes"], network.embedding_size)
    if not isinstance(classifier, Classifier):
        raise UserError(f"--worst: the loss {settings['loss']} has no classes, and no loss of a single image")
    saved = SavedRun(path)
    RunState({"network": network, "classifier": classifier}).take_modules(saved)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval(), classifier.to(device).eval(), int(saved.facts["step"])


def _data(run: TrainingRun) -> FaceDataset:
    settings: dict[str, Any] = run.settings
    folder = Path(settings["dataset_path"])
    if settings.get("more_paths"):
        raise UserError(f"--worst: {run.folder} learnt of several data sets, and it looks at one")
    if not folder.is_dir():
        raise UserError(f"--worst: {folder}, of which the run learnt: no such folder")
    records = FaceRecords(folder)
    left_out = read_left_out(settings["leave_out"], records) if settings.get("leave_out") else None
    height, width = settings["image_shape"][:2]
    least = settings.get("data_images_filter", 0)
    return FaceDataset(records, image_size=(height, width), images_filter=least, skip_bad=True, left_out=left_out)
