"""Training for the keypoint challenge, from the settings of a command to one model or two."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from lwface.base.files import shown
from lwface.formats.keypoint_images import KeypointFaces
from lwface.gate.flops import count_flops, flops_text
from lwface.landmarks.keypoint_choices import INPUT_SHAPE, RUN_FLAGS, TWO_MODELS, KeypointSettings
from lwface.landmarks.keypoint_data import KeypointPart, part_names, parts_of
from lwface.landmarks.keypoint_networks import create_keypoint_network, start_at
from lwface.landmarks.keypoint_task import KeypointTask
from lwface.models.saved import POINTS_KEY
from lwface.settings.places import typed
from lwface.settings.run import Run
from lwface.training.loop import Loop
from lwface.training.preparation import choose_device, seed_everything
from lwface.training.resuming import check_new

LOSS = "smooth_l1"
WARMUP_SHARE = 20  # one step in so many


def run_of(settings: KeypointSettings, part: KeypointPart) -> Run:
    """The loop's settings of the model that learns ``part``."""
    names: dict[str, Any] = {"network": settings.network, "net_name": settings.network, "loss": LOSS, "loss_name": LOSS}
    data: dict[str, Any] = {"dataset": settings.dataset, "dataset_path": "", "num_classes": 0, "val_targets": ()}
    declared = {
        POINTS_KEY: list(part.points),
        "approach": settings.approach,
        "held_out": settings.held_out,
        "augmentation": asdict(settings.augmentation),
    }
    return Run(
        **names,
        **data,
        **{name: getattr(settings, name) for name in RUN_FLAGS},
        image_shape=(*INPUT_SHAPE[2:], INPUT_SHAPE[1]),
        mom=0.9,
        lr_steps="",
        end_epoch=settings.max_steps,  # an epoch has a step at least, so that max_steps comes first
        optimizer="adamw",
        lr_policy="cosine",
        warmup_steps=settings.max_steps // WARMUP_SHARE,
        num_workers=0,  # the images are in memory
        precision="float32",
        data_rand_mirror=settings.augmentation.mirror,
        declared=declared,
    )


def check_new_keypoints(settings: KeypointSettings, *, resume: bool) -> None:
    """:class:`UserError` where such a run has been and is not to be resumed."""
    for name in part_names(settings.approach):
        check_new(settings.folder / name, resume=resume)


def train_keypoints(
    settings: KeypointSettings, faces: KeypointFaces, data: str, *, device: str = "auto", resume: bool = False
) -> int:
    """Train the models of an approach, from the beginning or from their checkpoints; the exit status.

    Args:
        faces: of ``training.csv``.
        data: the folder it lies in, for the command that is told at the end.
        device: auto, cpu, cuda or cuda:N.
        resume: go on where there are checkpoints; a model that is finished stays as it is.

    Raises:
        UserError: for all that stops a run before or while it trains.
    """
    place = choose_device(device)
    parts = parts_of(settings.approach, faces, held_out=settings.held_out, seed=settings.seed)
    for part in parts:
        loop = prepare_keypoints(settings, part, place, _next_command(settings, data) if part is parts[-1] else "")
        if status := loop.start(resume=resume):
            return status
    return 0


def prepare_keypoints(
    settings: KeypointSettings, part: KeypointPart, device: torch.device, next_command: str = ""
) -> Loop:
    """The loop of one model, ready for its first step; nothing is written."""
    run = run_of(settings, part)
    seed_everything(run.seed)
    network = create_keypoint_network(settings.network, part.points)
    print(f"Network FLOPs: {flops_text(count_flops(network, INPUT_SHAPE).flops)}", flush=True)
    start_at(network, torch.from_numpy(np.nanmean(part.train.points, axis=0).ravel()))
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = KeypointTask(network, part, settings.augmentation, run, device, next_command)
    return Loop(task, run, device=device, folder=settings.folder / part.name)


def _next_command(settings: KeypointSettings, data: str) -> str:
    model = "--model {model}"
    if settings.approach == TWO_MODELS:
        model = f"--model {shown(settings.folder / 'model')},1 --four-model {{model}}"
    submit = typed("submit-keypoints", "landmarks/submit_keypoints.py")
    return f"{submit} {model} --data {shlex.quote(data)} --output submission.csv"
