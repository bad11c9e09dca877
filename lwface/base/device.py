"""Where a network runs."""

from __future__ import annotations

import torch

from lwface.base.errors import UserError


def select_device(name: str | None = "auto") -> torch.device:
    """The device called ``name``; ``auto`` or None is the first CUDA device where there is one, else the CPU.

    Raises:
        UserError: the device does not exist here.
    """
    if name in (None, "", "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device {name!r}: choose auto, cpu, cuda or cuda:0, cuda:1, ...") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device {name!r} is not supported: choose auto, cpu, cuda or cuda:0, cuda:1, ...")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise UserError(
                f"device {name!r} asked for, but this machine offers {count} CUDA devices: use --device cpu"
            )
    return device
