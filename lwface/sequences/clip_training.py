"""A training on sequences, from the settings of a command to its end; and the models that it leaves, read again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lwface.base.errors import UserError
from lwface.base.files import shown
from lwface.base.notes import note
from lwface.models.names import model_file
from lwface.models.saved import check_tensors
from lwface.models.sources import read_safetensors
from lwface.sequences.clip_options import NETWORK_WIDTHS, PARTS, RUN_FLAGS, SEQUENCE_KEY, SIDE, ClipSettings
from lwface.sequences.clip_task import ClipTask
from lwface.sequences.clips import Clip, ClipData, ClipSource, clips_of, halves_of, read_points
from lwface.sequences.images import Images
from lwface.sequences.network import SequenceNetwork
from lwface.settings.places import typed
from lwface.settings.run import Run
from lwface.synthetic.people_options import IMAGES, POSE
from lwface.training.loop import Loop
from lwface.training.preparation import choose_device, seed_everything
from lwface.training.resuming import check_new

LOSS = "cosface"
WARMUP_SHARE = 20  # one step in so many


def run_of_clips(settings: ClipSettings, people: int) -> Run:
    """The loop's settings."""
    names: dict[str, Any] = {"network": settings.network, "net_name": settings.network, "loss": LOSS, "loss_name": LOSS}
    return Run(
        **names,
        **{name: getattr(settings, name) for name in RUN_FLAGS},
        dataset=settings.dataset,
        dataset_path="",
        num_classes=people,
        val_targets=(),
        image_shape=(SIDE, SIDE, 3),
        mom=0.9,
        lr_steps="",
        end_epoch=settings.max_steps,  # an epoch has a step at least, so that max_steps comes first
        optimizer="adamw",
        lr_policy="cosine",
        warmup_steps=settings.max_steps // WARMUP_SHARE,
        num_workers=0,  # frames of 64x64 are decoded in a fiftieth of a step
        precision="float32",
        declared={
            SEQUENCE_KEY: list(PARTS),
            "emb_size": settings.emb_size,
            "clip_frames": settings.frames,
            "ratio": settings.ratio,
            "cover": settings.cover,
        },
    )


def train_clips(
    settings: ClipSettings,
    tar: Path,
    pose: Path | None,
    also: Sequence[Path] = (),
    *,
    device: str = "auto",
    resume: bool = False,
) -> int:
    """Learn from the first videos of each person in ``tar``; the exit status.

    Args:
        tar: frames, a tar or a folder.
        pose: ``pose.pkl`` of them; None: nothing is known of any pose.
        also: folders with ``images.tar`` and ``pose.pkl`` of other people, whose videos are all learnt from.
        device: auto, cpu, cuda or cuda:N.
        resume: go on where there is a checkpoint.

    Raises:
        UserError: for all that stops a run before or while it trains.
    """
    check_new(settings.folder, resume=resume)
    place = choose_device(device)
    with contextlib.ExitStack() as stack:
        images = stack.enter_context(Images(tar))
        learnt, judged = halves_of(clips_of(images.paths, tar), settings.ratio)
        left = f"; {len(judged)} sequences of other videos are left to judge" if judged else ""
        print(f"{tar}: learning from {len(learnt)} sequences{left}", flush=True)
        sources = [clip_source(images, learnt, pose)]
        for folder in also:
            images = stack.enter_context(Images(folder / IMAGES))
            clips = halves_of(clips_of(images.paths, folder / IMAGES), 1.0)[0]
            print(f"{folder}: learning from {len(clips)} sequences of other people", flush=True)
            sources.append(clip_source(images, clips, folder / POSE))
        data = ClipData(sources, frames=settings.frames, seed=settings.seed)
        if len(data.people) < 2:
            raise UserError(f"{tar}: {len(data.people)} person to learn from; expected two or more")
        seed_everything(settings.seed)
        network = SequenceNetwork(settings.network, settings.emb_size).to(place)
        run = run_of_clips(settings, len(data.people))
        with_pose = f" --pose {shown(pose)}" if pose else ""
        solve = typed("solve-sequences", "sequences/solve.py")
        command = f"{solve} --model {{model}} --input {shown(tar)}{with_pose} --output solution"
        task = ClipTask(network, data, run, settings.cover, place, command)
        return Loop(task, run, device=place, folder=settings.folder).start(resume=resume)


def clip_source(images: Images, clips: Sequence[Clip], pose: Path | None) -> ClipSource:
    """``clips`` to learn from, with their poses; :class:`UserError` where poses are of other frames."""
    names = [path for clip in clips for path in clip.paths]
    points = read_points(pose, names) if pose else {}
    if pose and len(points) < len(names):
        note(f"{pose}: no pose of {len(names) - len(points)} of {len(names)} frames: they are seen as a whole")
    return ClipSource(images, points, clips)


def load_sequence_network(model: str) -> SequenceNetwork:
    """The network called ``model``, in evaluation mode on the CPU.

    Raises:
        UserError: no such model, damaged, or one that is not of sequences.
    """
    path = model_file(model)
    tensors, config = read_safetensors(path) if path.suffix == ".safetensors" else ({}, None)
    name, size = ((config or {}).get(key) for key in ("net_name", "emb_size"))
    of_sequences = (config or {}).get(SEQUENCE_KEY) == list(PARTS) and name in NETWORK_WIDTHS
    if not of_sequences or not isinstance(size, int) or size < 1:
        raise UserError(f"{path}: is no model of sequences; expected one that sequences/train.py saved")
    network = SequenceNetwork(str(name), size)
    check_tensors(path, network.state_dict(), tensors)
    network.load_state_dict(tensors)
    return network.eval()
