"""What happens once, before the first step: device, precision and seeds."""

from __future__ import annotations

import os
import random

import numpy as np
import torch

from lwface.base.device import select_device
from lwface.base.errors import UserError


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
