"""The parts of the face task, made of the settings of a run: network, gate, data."""

from __future__ import annotations

from pathlib import Path

from lwface.base.errors import UserError
from lwface.formats.face_records import FaceRecords
from lwface.gate.budgets import BudgetError, get_track
from lwface.gate.flops import budget_violations, count_flops, flops_text
from lwface.networks import FaceNetwork, create_network
from lwface.recognition.dataset import FaceDataset
from lwface.recognition.held_images import bytes_of
from lwface.recognition.joined import HEADS, NAMES, JoinedFaces
from lwface.recognition.leaving_out import read_left_out
from lwface.settings.places import require_dataset
from lwface.settings.run import Run


def build_network(run: Run, track: str | None) -> FaceNetwork:
    """The network of ``run``, counted and held against the budget of ``track``.

    Raises:
        BudgetError: it does not fit.
        UserError: unknown track, family or setting.
    """
    budget = get_track(track) if track else None
    network = create_network(run.as_dict())
    if not (budget or run.count_flops):
        return network
    report = count_flops(network)
    print(f"Network FLOPs: {flops_text(report.flops)}", flush=True)
    if budget:
        found = budget_violations(report, budget)
        if found:
            raise BudgetError(f"network {run.network} is refused: {'; '.join(found)}")
    return network


def open_dataset(run: Run) -> tuple[FaceDataset | JoinedFaces, list[int]]:
    """The training images of ``run``, and of how many identities they are: those of each head.

    Raises:
        UserError: no such data set, another number of identities than configured, or several sets and it is not said
            how they are joined.
    """
    if not run.more_paths:
        if run.join:
            raise UserError(f"join = {run.join!r}: there is one data set; name several as --dataset ONE,OTHER")
        data, classes = _open(run, Path(run.dataset_path), run.dataset, run.num_classes)
        print("images", len(data))
        print("rand_mirror", run.data_rand_mirror, flush=True)
        return data, [classes]
    _check_joined(run)
    found = [_open(run, Path(path), path, 0) for path in (run.dataset_path, *run.more_paths)]
    joined = JoinedFaces([part for part, _ in found], [classes for _, classes in found], run.join)
    said = {NAMES: f", {joined.shared} of them in several sets", HEADS: f", told apart by {len(found)} heads"}
    print(f"joined {len(found)} data sets: {sum(joined.heads)} people{said.get(run.join, '')}")
    print("images", " + ".join(str(len(part)) for part in joined.parts), "=", len(joined))
    print("rand_mirror", run.data_rand_mirror, flush=True)
    return joined, joined.heads


def _check_joined(run: Run) -> None:
    if not run.join:
        raise UserError(
            f"{1 + len(run.more_paths)} data sets, and nothing says whether a person can be in several: --join names "
            "(people of one name are one), --join apart (nobody is) or --join heads (each set has a head of its own)"
        )
    if run.leave_out:
        raise UserError(
            f"leave_out = {run.leave_out!r}: a list is of one data set, and there are {1 + len(run.more_paths)}: build "
            "that one anew without what the list names"
        )


def _open(run: Run, folder: Path, name: str, num_classes: int) -> tuple[FaceDataset, int]:
    """One data set, and of how many identities it is."""
    require_dataset(folder, name)
    print("image_size", list(run.image_shape[:2]))
    records = FaceRecords(folder)
    if num_classes and records.has_property and records.num_classes != num_classes:
        raise UserError(
            f"{folder}: {records.num_classes} identities by its property file, the configuration says num_classes = "
            f"{num_classes}: change it in config.py (0: take the file's)"
        )
    size = (run.image_shape[0], run.image_shape[1])
    if records.has_property and records.image_size != size:
        found, wanted = (f"{height}x{width}" for height, width in (records.image_size, size))
        raise UserError(f"{folder}: images of {found} by its property file, expected {wanted}: align them to that size")
    classes = num_classes or records.num_classes
    print("num_classes", classes)
    left_out = read_left_out(run.leave_out, records) if run.leave_out else None
    if left_out is not None:
        print(f"leave_out {run.leave_out}: {left_out.text()}")
    dataset = FaceDataset(
        records,
        image_size=size,
        images_filter=run.data_images_filter,
        skip_bad=run.skip_bad,
        keep=run.num_workers == 0 and not run.in_memory,
        left_out=left_out,
    )
    if run.in_memory:
        print(f"in_memory {bytes_of(len(dataset), size) / 1e9:.2f} GB", flush=True)
        dataset.hold()
    return dataset, classes
