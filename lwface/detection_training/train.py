"""A training of the detector, from the settings of a command to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lwface.base.origin import file_sha256
from lwface.detection.reading import load_detector
from lwface.detection_training.options import NETWORK, RUN_FLAGS, DetectorSettings
from lwface.detection_training.scenes import SceneDataset, split_bank
from lwface.detection_training.task import DetectorTask
from lwface.networks.face_detector import FaceDetector
from lwface.settings.run import Run
from lwface.synthetic.head_bank import HeadBank
from lwface.synthetic.head_options import HEADS
from lwface.training.checkpoint import CHECKPOINT
from lwface.training.loop import Loop
from lwface.training.preparation import choose_device, choose_precision, seed_everything
from lwface.training.resuming import check_new

WARMUP_SHARE = 25  # one step in so many


def run_of_detector(settings: DetectorSettings, bank: HeadBank, precision: str) -> Run:
    """The loop's settings, and what a model keeps of the heads that it learnt from."""
    people = len(np.unique(bank.people))
    heads = {"name": "rendered heads", "people": people, "pictures": len(bank), "index": HEADS}
    heads["sha256"] = file_sha256(bank.file)
    names: dict[str, Any] = {"network": NETWORK, "net_name": NETWORK, "loss": "quality_focal"}
    own = {name: getattr(settings, name) for name in RUN_FLAGS}
    return Run(
        **names,
        **{**own, "precision": precision},
        loss_name="quality_focal",
        dataset="rendered heads",
        dataset_path="",
        num_classes=0,
        val_targets=(),
        image_shape=(0, 0, 3),
        mom=0.9,
        lr_steps="",
        end_epoch=1_000_000,
        optimizer="adamw",
        lr_policy="cosine",
        warmup_steps=settings.max_steps // WARMUP_SHARE,
        declared={
            "detector": "boxes and five points",
            "held_out": settings.held_out,
            "side": settings.side,
            "started_from": Path(settings.pretrained).name,
            "data": [heads],
        },
    )


def train_detector(settings: DetectorSettings, heads: Path, *, device: str = "auto", resume: bool = False) -> int:
    """Learn to find the faces of the bank ``heads`` in scenes; the exit status.

    Raises:
        UserError: for all that stops a run before or while it trains.
    """
    check_new(settings.folder, resume=resume)
    place = choose_device(device)
    bank = HeadBank(heads)
    learnt, held = split_bank(bank, settings.held_out)
    data, judge = (SceneDataset(bank, people, settings.seed, settings.sides) for people in (learnt, held))
    seed_everything(settings.seed)
    network = FaceDetector()
    if settings.pretrained and not (settings.folder / CHECKPOINT).exists():
        load_detector(network, Path(settings.pretrained))
        print(f"starting from {settings.pretrained}", flush=True)
    network = network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = run_of_detector(settings, bank, choose_precision(settings.precision, place))
    task = DetectorTask(network, data, judge, settings.judged, run, place)
    return Loop(task, run, device=place, folder=settings.folder).start(resume=resume)
