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


def open_dataset(run: Run) -> tuple[FaceDataset, int]:
    """The training images of ``run``, and of how many identities they are.

    Raises:
        UserError: no such data set, or another number of identities than configured.
    """
    folder = Path(run.dataset_path)
    require_dataset(folder, run.dataset)
    print("image_size", list(run.image_shape[:2]))
    records = FaceRecords(folder)
    if run.num_classes and records.has_property and records.num_classes != run.num_classes:
        raise UserError(
            f"{folder}: {records.num_classes} identities by its property file, the configuration says num_classes = "
            f"{run.num_classes}: change it in config.py (0: take the file's)"
        )
    size = (run.image_shape[0], run.image_shape[1])
    if records.has_property and records.image_size != size:
        found, wanted = (f"{height}x{width}" for height, width in (records.image_size, size))
        raise UserError(f"{folder}: images of {found} by its property file, expected {wanted}: align them to that size")
    classes = run.num_classes or records.num_classes
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
    print("images", len(dataset))
    print("rand_mirror", run.data_rand_mirror, flush=True)
    return dataset, classes
