"""What happens once, before the first step: device, precision and seeds."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator

import numpy as np
import torch

from lwface.base.device import select_device
from lwface.base.errors import UserError
from lwface.training.processes import own_card, processes


def choose_device(name: str | None) -> torch.device:
    """The device of this process, said in the original's words.

    Raises:
        UserError: the device asked for is not there.
    """
    together = processes().count > 1
    device = select_device("cuda" if together and name in (None, "", "auto") and torch.cuda.is_available() else name)
    if together:
        print(f"{processes().count} processes train together", flush=True)
    if device.type == "cpu":
        print("use cpu", flush=True)
        return device
    device = own_card(name) if together else torch.device("cuda", device.index or 0)
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    of_which = f" of {count} visible" + (f" (CUDA_VISIBLE_DEVICES={visible})" if visible else "")
    print(f"gpu num: {processes().count}")
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


@contextlib.contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Inside the block PyTorch computes the same each time, to the bit, or refuses; as usual where not ``wanted``.

    Raises:
        UserError: an operation cannot be computed so.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA's library is first used
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # the fastest of several today may be another one tomorrow
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise UserError(f"{str(error).split('. ')[0]}: leave --deterministic out") from None
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
