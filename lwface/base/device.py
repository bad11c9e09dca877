"""Where a network runs, and how tensors come there and back without the host waiting for it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor`` on ``device``, for which the host does not wait: to a GPU it goes through pinned memory.

    From memory that is not pinned PyTorch waits for all that the device was given before. A tensor that is there
    already is itself.
    """
    if device.type == "cpu" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def fetched(tensor: Tensor) -> Callable[[], Tensor]:
    """Begin to copy ``tensor`` to the host, as it is now; what is returned waits for that, and gives the copy."""
    if tensor.device.type != "cuda":
        copy = tensor.to("cpu", copy=True)
        return lambda: copy
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    copy.copy_(tensor, non_blocking=True)
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(tensor.device))

    def arrived() -> Tensor:
        done.synchronize()
        return copy

    return arrived
