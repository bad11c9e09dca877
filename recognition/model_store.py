"""Trained networks on disk: ``PREFIX-%04d.safetensors``, named on every command line as ``PREFIX,EPOCH``.

The file holds tensors only (safetensors cannot carry code) and, as metadata, the configuration that rebuilds the
network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from common.errors import UserError
from common.files import replacing
from recognition.networks import create_network

# What is true of the machine that trained, not of the model.
LOCAL_KEYS = ("dataset_path", "models_root", "pretrained", "num_workers")


def parse_model(text: str) -> tuple[str, int]:
    """``PREFIX,EPOCH`` as typed by the user, such as ``models/y2-arcface-retina/model,1``."""
    prefix, comma, epoch = text.rpartition(",")
    if not comma or not prefix or not epoch.strip().isdecimal():
        raise UserError(f"model {text!r}: expected PREFIX,EPOCH such as models/y2-arcface-retina/model,1")
    return prefix, int(epoch)


def model_path(prefix: str, epoch: int) -> Path:
    """The file of epoch ``epoch`` of the model ``prefix``."""
    return Path(f"{prefix}-{epoch:04d}.safetensors")


def save_model(prefix: str, epoch: int, network: nn.Module, config: Mapping[str, Any]) -> Path:
    """Write the weights and running statistics of ``network`` as float32, and ``config`` beside them in one file.

    Args:
        config: the resolved configuration; what only concerns this machine, such as paths, is left out.

    Returns:
        The path of the file, which appears complete or not at all.
    """
    tensors = {
        name: (value.float() if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    portable = {key: value for key, value in config.items() if key not in LOCAL_KEYS}
    path = model_path(prefix, epoch)
    with replacing(path) as file:
        file.write(save(tensors, metadata={"config": json.dumps(portable, sort_keys=True)}))
    return path


def load_model(text: str) -> tuple[nn.Module, dict[str, Any]]:
    """The network called ``PREFIX,EPOCH`` in evaluation mode on the CPU, and the configuration it was saved with.

    Raises:
        UserError: no such file, not one of ours, damaged, or its tensors are not those of the network it names.
    """
    prefix, epoch = parse_model(text)
    path = model_path(prefix, epoch)
    if not path.is_file():
        raise UserError(f"{path}: no such model{_saved_epochs(prefix)}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged or not a model ({error}); save or copy it again") from None
    try:
        config = json.loads(metadata["config"])
        with torch.device("meta"):  # names and shapes first: no memory is spent on what the file does not hold
            network = create_network(config)
    except (KeyError, TypeError, json.JSONDecodeError):
        raise UserError(f"{path}: holds no configuration; expected a model saved by recognition/train.py") from None
    _check_tensors(path, network.state_dict(), tensors)
    network.load_state_dict(tensors, assign=True)
    return network.eval(), config


def _saved_epochs(prefix: str) -> str:
    """A hint that lists which epochs of ``prefix`` there are."""
    parent, name = Path(prefix).parent, Path(prefix).name
    epochs = sorted(path.stem[len(name) + 1 :] for path in parent.glob(f"{name}-[0-9]*.safetensors"))
    return f"; epochs there: {', '.join(str(int(e)) for e in epochs if e.isdecimal())}" if epochs else ""


def _check_tensors(path: Path, expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        what = (
            f"lacks {missing[0]} ({len(missing)} missing)"
            if missing
            else f"has unknown {extra[0]} ({len(extra)} extra)"
        )
        raise UserError(f"{path}: {what}: its weights are not those of the network it names")
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            shapes = f"{tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
            raise UserError(f"{path}: {name} has shape {shapes}: its weights are not those of the network it names")
