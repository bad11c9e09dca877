"""What happens once, before the first step: device, precision, network, gate, data, starting weights."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import torch
from easydict import EasyDict

from lwface.base.errors import UserError
from lwface.features.embedder import select_device
from lwface.formats.face_records import FaceRecords
from lwface.gate.budgets import BudgetError, get_track
from lwface.gate.flops import budget_violations, count_flops, flops_text
from lwface.networks import FaceNetwork, create_network
from lwface.recognition.dataset import FaceDataset


def choose_device(name: str | None) -> torch.device:
    """The one device of the run, said in the original's words.

    Raises:
        UserError: the device asked for is not there.
    """
    device = select_device(name)
    if device.type == "cpu":
        print("use cpu", flush=True)
        return device
    device = torch.device("cuda", device.index or 0)
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    of_which = f" of {count} visible" + (f" (CUDA_VISIBLE_DEVICES={visible})" if visible else "")
    print("gpu num: 1")
    print(f"using {torch.cuda.get_device_name(device)}, number {device.index}{of_which}", flush=True)
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """``auto`` is bf16 on a CUDA device that computes with it natively, else float32.

    Raises:
        UserError: bf16 is asked for on a CUDA device without it.
    """
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "auto":
        return "bf16" if native else "float32"
    if name == "bf16" and device.type == "cuda" and not native:
        raise UserError(f"{torch.cuda.get_device_name(device)} has no bf16 arithmetic: use --precision float32")
    return name


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and PyTorch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - whatever a network or library draws from it is fixed too
    torch.manual_seed(seed)


def build_network(config: EasyDict, track: str | None) -> FaceNetwork:
    """The network of ``config``, counted and held against the budget of ``track``.

    Raises:
        BudgetError: it does not fit.
        UserError: unknown track, family or setting.
    """
    budget = get_track(track) if track else None
    network = create_network(config)
    if not (budget or config.count_flops):
        return network
    report = count_flops(network)
    print(f"Network FLOPs: {flops_text(report.flops)}", flush=True)
    if budget:
        found = budget_violations(report, budget)
        if found:
            raise BudgetError(f"network {config.network} is refused: {'; '.join(found)}")
    return network


def open_dataset(config: EasyDict) -> FaceDataset:
    """The training images of ``config``; its ``num_classes`` of 0 is replaced by what the data set says.

    Raises:
        UserError: no such data set, or another number of identities than configured.
    """
    folder = Path(config.dataset_path)
    if not folder.exists():
        raise UserError(
            f"{folder}: there is no data set {config.dataset!r}: the README says where to get it or how to make it; "
            "another place is set by dataset_path in config.py"
        )
    print("image_size", list(config.image_shape[:2]))
    records = FaceRecords(folder)
    if not config.num_classes:
        config.num_classes = records.num_classes
    elif records.has_property and records.num_classes != config.num_classes:
        raise UserError(
            f"{folder}: {records.num_classes} identities by its property file, the configuration says num_classes = "
            f"{config.num_classes}: change it in config.py (0: take the file's)"
        )
    print("num_classes", config.num_classes)
    size = (config.image_shape[0], config.image_shape[1])
    dataset = FaceDataset(records, image_size=size, images_filter=config.data_images_filter, skip_bad=config.skip_bad)
    print("images", len(dataset))
    print("rand_mirror", config.data_rand_mirror, flush=True)
    return dataset
