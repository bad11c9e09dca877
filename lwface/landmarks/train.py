"""A run of the point task, from what is wished for to its end."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lwface.base.account import skipped_lines
from lwface.base.errors import UserError
from lwface.base.notes import note
from lwface.formats.point_annotations import ANNOTATIONS
from lwface.gate.budgets import BudgetError, get_budget
from lwface.gate.flops import budget_violations, count_flops, flops_text
from lwface.landmarks.augmentation import NONE, Strength
from lwface.landmarks.dataset import PointDataset
from lwface.landmarks.options import DEFAULTS, PointWish, full
from lwface.landmarks.point_sets import VALIDATION, PointPicture, read_point_set, split_by_person
from lwface.landmarks.scheme import POINTS
from lwface.landmarks.task import PointTask
from lwface.models.names import with_epoch
from lwface.models.pixels import Said
from lwface.models.pretrained import start_from
from lwface.models.sources import read_source
from lwface.models.store import load_model
from lwface.networks import create_network
from lwface.networks.points import PointNetwork, make_point_network
from lwface.settings.places import Places
from lwface.settings.resolve import network_settings
from lwface.settings.run import RUN_SETTINGS, Run
from lwface.training.checkpoint import CHECKPOINT
from lwface.training.loop import Loop
from lwface.training.photographs import times
from lwface.training.preparation import choose_device, choose_precision, seed_everything
from lwface.training.resuming import check_new


def train(
    wish: PointWish,
    *,
    places: Places | None = None,
    device: str = "auto",
    resume: bool = False,
    track: str | None = None,
    **settings: Any,
) -> int:
    """Train as ``wish`` says, from the beginning or from its checkpoint; the exit status.

    Args:
        track: refuse a network over its budget.
        settings: those of :class:`lwface.settings.run.Run` that differ from :data:`~lwface.landmarks.options.DEFAULTS`.

    Raises:
        UserError: for all that stops a run before or while it trains.
    """
    run = point_run(wish, places, **settings)
    folder = run_folder(run)
    print("prefix", folder / "model", flush=True)
    check_new(folder, resume=resume)
    return prepare(wish, run, device=device, track=track, folder=folder).start(resume=resume)


def run_folder(run: Run) -> Path:
    """Where the models of ``run`` are kept."""
    return Path(run.models_root) / f"{run.network}-{run.declared['point_head']}-{run.dataset}"


def point_run(wish: PointWish, places: Places | None = None, **settings: Any) -> Run:
    """The settings of a run: those of the network, of the head, and of training.

    Raises:
        UserError: an unknown network, or a value out of range.
    """
    places = places or Places.of()
    chosen = {**DEFAULTS, **{key: value for key, value in settings.items() if value is not None}}
    for key, value in chosen.items():
        if problem := RUN_SETTINGS[key].problem(value):
            flag = f"--{key.replace('_', '-')} {value}"
            raise UserError(f"{flag}: {key} = {value!r}: {problem} ({RUN_SETTINGS[key].meaning})")
    base = Path.cwd() if settings.get("models_root") is not None else places.root
    chosen["models_root"] = str((base / Path(chosen["models_root"]).expanduser()).resolve())
    own = {key: value for key, value in network_settings(wish.network, places).items() if key not in RUN_SETTINGS}
    declared = {
        **own,
        "point_head": wish.head,
        "points": POINTS,
        "point_loss": wish.loss,
        "point_adapted": False,
        "view": wish.view,
        "augmentation": wish.augmentation,
        "settle": wish.settle,
        "validation": _judging(wish),
        "held_out": wish.held_out,
        "split_seed": wish.split_seed,
        "started_from": Path(wish.pretrained).name,
    }
    names = network_settings(wish.network, places)
    return Run(
        network=wish.network,
        dataset="+".join(dict.fromkeys(full(source.path).stem for source in wish.data)),
        loss=wish.loss,
        net_name=names["net_name"],
        loss_name=wish.loss,
        dataset_path="",
        num_classes=0,
        image_shape=(112, 112, 3),
        val_targets=(),
        pretrained=wish.pretrained,
        declared=declared,
        **chosen,
    )


def prepare(wish: PointWish, run: Run, *, device: str = "auto", track: str | None = None, folder: Path) -> Loop:
    """The loop of ``run``, ready for its first step; nothing is written.

    Raises:
        BudgetError: the network is over the budget of ``track``.
        UserError: data, device or model to start from are not there, or do not fit.
    """
    place = choose_device(device)
    run = run.replace(precision=choose_precision(run.precision, place))
    seed_everything(run.seed)
    network, started = build_network(run, track, start=not (folder / CHECKPOINT).exists())
    learnt, held_out, described = open_data(wish)
    described += [one for one in learnt_before(run, folder) if one not in described]
    run = run.replace(declared={**run.declared, "data": described})
    strength, settle_from = scaled(wish.augmentation), (1 - wish.settle) * run.max_steps
    if not run.max_steps:
        settle_from = math.inf
        note("--max-steps 0: no step is known to be one of the last, so --settle does nothing")
    data = PointDataset(learnt, seed=run.seed, strength=strength, settle_from=settle_from, view=wish.view)
    data.keep()
    judge = PointDataset(held_out, view=wish.view)
    judge.keep()
    if not started:
        network.head.learn_mean(mean_face(data))  # type: ignore[operator]
    network = network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = PointTask(network, data, judge, run.loss, run, place)
    return Loop(task, run, device=place, folder=folder)


def build_network(run: Run, track: str | None, *, start: bool) -> tuple[PointNetwork, bool]:
    """The network of ``run``, counted and held against the budget of ``track``; whether its head knows faces already.

    Args:
        start: take what fits of the pretrained model: all of one of points, the body of one of faces.

    Raises:
        BudgetError: it does not fit.
        UserError: unknown track, network or setting, or a model to start from that does not fit.
    """
    settings = {**run.declared, "net_name": run.net_name}
    face = create_network({key: value for key, value in settings.items() if not key.startswith("point")})
    network = make_point_network(face, settings["point_head"], settings["points"], loss=settings["point_loss"])
    knows = False
    if run.pretrained and start:
        print("loading", with_epoch(run.pretrained, run.pretrained_epoch), flush=True)
        points = _is_of_points(run)
        began = start_from(network if points else face, run.pretrained, run.pretrained_epoch, Said.of("", 0.0))
        print(began.text(), flush=True)
        knows = points and not any(name.startswith("head.") for name in (*began.fresh, *began.other_shape))
    report = count_flops(network)
    print(f"Network FLOPs: {flops_text(report.flops)}, {report.model_bytes:,} bytes", flush=True)
    found = budget_violations(report, get_budget(track)) if track else []
    if found:
        raise BudgetError(f"network {run.network} is refused: {'; '.join(found)}")
    return network, knows


def learnt_before(run: Run, folder: Path) -> list[dict[str, Any]]:
    """What the model of points that ``run`` starts from, or started from, learnt from, as a model keeps it."""
    if (folder / CHECKPOINT).exists():  # the model may be gone
        kept = folder / "config.json"
        config = json.loads(kept.read_text()) if kept.is_file() else {}
    elif run.pretrained:
        config = load_model(with_epoch(run.pretrained, run.pretrained_epoch))[1] if _is_of_points(run) else {}
    else:
        config = {}
    found: list[dict[str, Any]] = config.get("data", [])
    return found


def _is_of_points(run: Run) -> bool:
    """Whether the model that ``run`` starts from puts points."""
    return isinstance(read_source(run.pretrained, run.pretrained_epoch).network, PointNetwork)


def open_data(wish: PointWish) -> tuple[list[PointPicture], list[PointPicture], list[dict[str, Any]]]:
    """``(training, held out, described)``: the pictures of a wish, said in a line a set, and what a model keeps of it.

    Raises:
        UserError: a set is not there or cannot be split.
    """
    learnt: list[PointPicture] = []
    held_out: list[PointPicture] = []
    described = []
    for source in wish.data:
        found = read_point_set(source.path)
        pictures, told = found.pictures, ""
        if wish.val is None and (source.path / VALIDATION / ANNOTATIONS).is_file():
            held = read_point_set(source.path / VALIDATION).pictures
            held_out += held
            told = f", {len(held)} of {VALIDATION} held out"
        elif wish.val is None and wish.held_out:
            pictures, held = split_by_person(found.pictures, wish.held_out, wish.split_seed)
            held_out += held
            told = f", {len(held)} held out"
        print(f"data {source.path}: {len(pictures)} pictures, {source.times} times{told}", flush=True)
        for line in skipped_lines(found.account.as_json()):
            print(f"  {line}", flush=True)
        learnt += pictures * source.times
        described.append(found.described(source.times))
    if wish.val is not None:
        held_out = read_point_set(wish.val, "val").pictures
        print(f"validation {wish.val}: {len(held_out)} pictures", flush=True)
    return learnt, held_out, described


def _judging(wish: PointWish) -> str:
    """What :func:`open_data` takes to judge, in words."""
    if wish.val is not None:
        return wish.val.name
    drawn = f"{wish.held_out:g} of the people, seed {wish.split_seed}"
    parts = [VALIDATION if (source.path / VALIDATION / ANNOTATIONS).is_file() else drawn for source in wish.data]
    return ", ".join(dict.fromkeys(parts))


def scaled(factor: float) -> Strength:
    """The usual augmentation times ``factor``."""
    return times(Strength(), factor) if factor else NONE


def mean_face(data: PointDataset, most: int = 2000) -> torch.Tensor:
    """The mean places (K, 2) of at most ``most`` faces, in pixels of the crop."""
    positions = np.linspace(0, len(data) - 1, min(len(data), most)).astype(np.int64)
    plain = PointDataset([data.pictures[position] for position in positions], view=data.view)
    return plain.batch(np.arange(len(plain)), 0).targets.mean(0)
