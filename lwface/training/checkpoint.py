"""The resume state of a run, ``last.ckpt``: written beside and renamed, read without running anything in it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lwface.base.errors import UserError
from lwface.base.files import replacing
from lwface.settings.run import RUN_SETTINGS

FORMAT = 2

# Settings that may change between the parts of one run: they choose what is printed and kept, where things lie, how
# long the run is, and not what is learnt. With the policies cosine and poly, a run's length is in total_steps too.
CHANGEABLE = frozenset(name for name, setting in RUN_SETTINGS.items() if setting.changeable)

# Settings that some checkpoints are older than, and what was so before.
YOUNGER = {
    "ema": 0.0,
    "leave_out": "",
    "fc7_products": "highest",
    "sample_rate": 1.0,
    "sample_policy": "constant",
    "sample_full": 0.5,
}


def random_states() -> dict[str, Any]:
    """The global random states of Python, NumPy, PyTorch and every CUDA device, as plain values and tensors."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 - the global state is the point
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Undo :func:`random_states`. CUDA's states are taken up as far as there are as many devices."""
    random.setstate(states["python"])
    name, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state``: tensors, numbers, strings, and dictionaries, lists and tuples of these."""
    with replacing(path) as file:
        torch.save({"format": FORMAT, **state}, file)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What :func:`write_checkpoint` wrote, on the CPU.

    Raises:
        UserError: the file is damaged or something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes can fail in any way, all of them the file's fault
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: damaged or not a checkpoint ({reason}): delete it to start afresh") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{path}: not a checkpoint of format {FORMAT}: delete it to start afresh")
    return state


def check_same_run(path: Path, saved: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Refuse to resume when a setting that shapes what is learnt has changed.

    Args:
        path: the checkpoint, for the message.
        saved, current: configurations as JSON values.

    Raises:
        UserError: names the first such setting with both values.
    """
    saved, current = {**YOUNGER, **saved}, {**YOUNGER, **current}
    for key in sorted(saved.keys() | current.keys()):
        if key not in CHANGEABLE and saved.get(key) != current.get(key):
            values = f"{key} = {saved.get(key)!r}, now it is {current.get(key)!r}"
            raise UserError(f"{path}: the run was started with {values}: change it back, or give another --models-root")
