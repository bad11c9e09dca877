"""Trained networks on disk that say which network they are.

Our own are ``PREFIX-%04d.safetensors``: tensors only (safetensors cannot carry code) and, as metadata, the
configuration that rebuilds the network. Where there is none, ``PREFIX-symbol.json`` and ``PREFIX-%04d.params`` are
MXNet's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from lwface.base.errors import UserError
from lwface.base.files import replacing
from lwface.models.names import is_onnx, model_file, model_path, parse_model
from lwface.models.sources import read_safetensors
from lwface.mxnet.names import params_path, symbol_path
from lwface.mxnet.network import load_mxnet
from lwface.networks import create_network

POINTS_KEY = "keypoints"  # of the settings of a model of the keypoint challenge: the names of its points
DETECTOR_KEY = "detector"  # of the settings of a detector of faces
# What is true of the machine that trained, not of the model.
LOCAL_KEYS = (
    *("dataset_path", "models_root", "num_workers", "in_memory", "data_licence"),
    *("pretrained", "pretrained_pixels", "pretrained_epsilon"),
)


def save_model(prefix: str, epoch: int, network: nn.Module, config: Mapping[str, Any], *, half: bool = False) -> Path:
    """Write the weights and running statistics of ``network`` as float32, and ``config`` beside them in one file.

    Args:
        config: the resolved configuration; what only concerns this machine, such as paths, is left out.
        half: write matrices and kernels as float16, half of the bytes; statistics, scales and biases stay float32. Who
            reads the file gets float32 all the same.

    Returns:
        The path of the file, which appears complete or not at all.

    Raises:
        UserError: a weight is too large for float16.
    """
    portable = {key: value for key, value in config.items() if key not in LOCAL_KEYS}
    return write_tensors(model_path(prefix, epoch), network.state_dict(), portable, half=half)


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], *, half: bool = False
) -> Path:
    """Write ``tensors`` and the settings of the network that they are of into ``path``; see :func:`save_model`."""
    stored = {name: _stored(name, value, half=half).detach().cpu().contiguous() for name, value in tensors.items()}
    with replacing(path) as file:
        file.write(save(stored, metadata={"config": json.dumps(config, sort_keys=True)}))
    return path


def _stored(name: str, value: torch.Tensor, *, half: bool) -> torch.Tensor:
    if not value.is_floating_point():
        return value
    if not half or value.ndim < 2:
        return value.float()
    small = value.half()
    if small.isinf().any():
        raise UserError(f"{name} holds {value.abs().max():g}, more than float16 does: write it as float32")
    return small


def load_saved(text: str, layer: str | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """As :func:`lwface.models.store.load_model`, for every model but a bare state dict."""
    path = model_file(text)
    if is_onnx(text):
        from lwface.onnx.model import load_onnx  # it needs an optional package

        onnx = load_onnx(path, output=layer)
        # Features made under another guess are not this model's, though its bytes are the same.
        return onnx, {"pixels_assumed": list(onnx.pixels)} if onnx.told.assumed else {}
    prefix, epoch = parse_model(text) if path.suffix == ".params" else ("", 0)
    if path == params_path(prefix, epoch):
        network = load_mxnet(prefix, epoch, layer)
        return network, {"mxnet_graph": hashlib.sha256(symbol_path(prefix).read_bytes()).hexdigest(), "layer": layer}
    refuse_layer(layer, path)
    return _load_ours(path)


def refuse_layer(layer: str | None, path: Path | str) -> None:
    """:class:`UserError` where another output is asked for of a model that has one."""
    if layer is not None:
        raise UserError(f"--layer {layer}: {path} is a model of this project or a state dict, which has one output")


def model_sha256(network: nn.Module, config: Mapping[str, Any], layer: str | None) -> str:
    """Identifies a model by what it computes with, wherever its file lies."""
    digest = hashlib.sha256(json.dumps({**config, "layer": layer}, sort_keys=True, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _load_ours(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    tensors, config = read_safetensors(path)
    if POINTS_KEY in (config or {}):
        raise UserError(
            f"{path}: puts keypoints on greys and gives no embedding: landmarks/submit_keypoints.py runs it"
        )
    if DETECTOR_KEY in (config or {}):
        raise UserError(f"{path}: finds faces and gives no embedding or points of them: --detector-model takes it")
    try:
        with torch.device("meta"):  # names and shapes first: no memory is spent on what the file does not hold
            network = create_network(config or {})
    except (KeyError, TypeError):
        raise UserError(f"{path}: holds no configuration; expected a model saved by recognition/train.py") from None
    check_tensors(path, network.state_dict(), tensors)
    network.load_state_dict(tensors, assign=True)
    return network.eval(), config or {}


def check_tensors(path: Path, expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    """:class:`UserError` where the tensors of the file ``path`` are not those of a network, by name and shape."""
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
