"""The file behind a model to start from: its tensors by their names, and, where it can be run, the network itself.

Read are this project's models, MXNet's, PyTorch's state dicts and ONNX files. Nothing in a PyTorch file is run.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.models.names import (
    PACKAGE,
    TORCH_SUFFIXES,
    in_checkout,
    is_onnx,
    model_file,
    model_path,
    names_epoch,
    parse_model,
)
from lwface.mxnet.names import params_path
from lwface.mxnet.network import MxnetNetwork, load_mxnet
from lwface.mxnet.options import NodeOptions
from lwface.mxnet.params import read_params
from lwface.networks import create_network

# Under which training programs put the network's tensors. The network's own come before an average of it.
WRAPPERS = ("state_dict_backbone", "model_state_dict", "state_dict", "backbone", "network", "net", "model")
DEEPEST = 8  # mappings inside mappings that are looked into; a file can hold one that holds itself
TORCH_ROLES = {"gamma": "weight", "beta": "bias"}
MXNET_NORMS = ("BatchNorm", "BatchNorm_v1", "CuDNNBatchNorm", "_contrib_SyncBatchNorm")
STATE_DICT_REMEDY = 'where its classes are, torch.save(net.state_dict(), "weights.pth")'


@dataclass
class Source:
    """A file of weights.

    Attributes:
        name: what messages call it.
        tensors: by their names in the file.
        network: computes what the file itself computes, of RGB 0..255; None: it does not say what that is.
        layers: of an MXNet graph, the tensor behind ``LAYER_ROLE`` (``pre_fc1_weight``): its name in the file.
        epsilons: of an MXNet graph's batch norms, by the name in the file of their running variance.
        notes: what a reader should know.
        scales_count: every batch norm's scale is what the file computes with; False: some may be ignored.
        known_as: what ``network`` takes for granted, in words.
    """

    name: str
    tensors: dict[str, Tensor]
    network: nn.Module | None = None
    layers: dict[str, str] = field(default_factory=dict)
    epsilons: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    scales_count: bool = False
    known_as: str = ""


def read_source(model: str, epoch: int) -> Source:
    """What ``model`` names; arguments and errors as :func:`lwface.models.pretrained.start_from`."""
    path = model_file(model) if model in PACKAGE else Path(model)
    if path.suffix.lower() in TORCH_SUFFIXES:
        return Source(model, read_torch(path))
    if path.suffix.lower() == ".safetensors":
        return _ours(model, path)
    if is_onnx(model):
        return _onnx(path)
    prefix, epoch = parse_model(model) if names_epoch(model) else (model, epoch)
    if model_path(prefix, epoch).is_file() and path.suffix != ".params":
        return _ours(f"{prefix},{epoch}", model_path(prefix, epoch))
    if params_path(prefix, epoch).is_file():
        return _mxnet(prefix, epoch)
    paths = model_path(prefix, epoch), params_path(prefix, epoch)
    hint = in_checkout(model, *paths) or ("" if names_epoch(model) else "; PREFIX,EPOCH names another epoch")
    raise UserError(f"no such model: neither {paths[0]} nor {paths[1].name} exists{hint}")


def read_torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file, read without running anything in it, by their names there."""
    _refuse_programs(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes can fail in any way, all of them the file's fault
        raise UserError(f"{path}: {_unreadable(str(error) or type(error).__name__)}") from None
    for _ in range(DEEPEST):
        inner = next((state[key] for key in WRAPPERS if _is_mapping(state) and _is_mapping(state.get(key))), None)
        if inner is None:
            break
        state = inner
    named = dict(_tensors_in(state))
    if not named:
        raise UserError(f"{path}: holds no state dict; expected tensors by name, as torch.save(net.state_dict(), ...)")
    return named


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The tensors of a ``.safetensors`` file, and the settings of the network if it is a model of this project.

    What is stored as float16 comes as float32, which holds each of its numbers.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: _wide(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a mapping
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged or not a model ({error}); save or copy it again") from None
    try:
        config = json.loads(metadata["config"])
    except (KeyError, json.JSONDecodeError):
        config = None
    return tensors, config if isinstance(config, dict) else None


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _tensors_in(state: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a mapping, or else of mappings in it, under names that begin with theirs; no optimizer's."""
    if not isinstance(state, Mapping) or depth == DEEPEST:
        return
    tensors = [(f"{prefix}{name}", value) for name, value in state.items() if isinstance(value, Tensor)]
    yield from tensors
    for name, value in state.items() if not tensors else ():
        if not re.match(r"(state_)?(optim|sched|lr_|scaler)", str(name)):
            yield from _tensors_in(value, f"{prefix}{name}.", depth + 1)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _refuse_programs(path: Path) -> None:
    """Stop at a TorchScript archive, which is a program: it has its code beside its tensors."""
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                parts = {name.partition("/")[2].partition("/")[0] for name in archive.namelist()}
        except zipfile.BadZipFile:
            return  # which PyTorch will say
        if {"code", "constants.pkl"} <= parts:
            remedy = f'torch.save(torch.jit.load("{path.name}").state_dict(), "weights.pth")'
            raise UserError(f"{path}: holds more than tensors: it is a TorchScript program, which is not run; {remedy}")


def _unreadable(error: str) -> str:
    """Why PyTorch did not read a file, and what to do, in one line."""
    if "Unsupported global" in error or "Unsupported class" in error or "not an allowed global" in error:
        reason = "it is a whole module or other objects, which only running code would open"
        return f"holds more than tensors: {reason}; {STATE_DICT_REMEDY}"
    reason = " ".join(error.splitlines()[0].split())[:100]
    return f"damaged, or holds more than tensors ({reason}): copy it again, or, {STATE_DICT_REMEDY}"


def _ours(name: str, path: Path) -> Source:
    """A file of this project or of tensors alone; only the first says what it computes."""
    tensors, config = read_safetensors(path)
    source = Source(name, tensors)
    if config is not None:
        try:
            with torch.device("meta"):
                network = create_network(config)
            network.load_state_dict(tensors, assign=True)
            source.network = network.eval()
        except (UserError, RuntimeError, KeyError, TypeError):
            source.notes.append("its settings do not fit its tensors, so that it cannot be run itself")
    return source


def _mxnet(prefix: str, epoch: int) -> Source:
    """A model of MXNet; its graph, where it is there and can be run, says whose each array is."""
    arrays = read_params(params_path(prefix, epoch))
    source = Source(f"{prefix},{epoch}", {name.partition(":")[2] or name: _tensor(a) for name, a in arrays.items()})
    try:
        network = load_mxnet(prefix, epoch)
    except UserError as error:
        source.notes.append(f"its graph was not used ({error}): arrays are told by their names, and not compared")
        return source
    source.network = network
    state, names = network.state_dict(), network.array_names
    for path, name in names.items():
        layer, _, role = path.removeprefix("layers.").rpartition(".")
        array = name.partition(":")[2]
        source.tensors[array] = state[path]  # a scale that the graph fixes is 1, whatever the file says
        source.layers[f"{layer}_{TORCH_ROLES.get(role, role)}"] = array
    source.epsilons = _epsilons(network)
    source.scales_count = True
    return source


def _epsilons(network: MxnetNetwork) -> dict[str, float]:
    """What the graph's batch norms add to a variance."""
    variances = {name.replace(".", "_"): array for name, array in network.array_names.items()}
    return {
        variances[f"layers_{node.name.replace('.', '_')}_running_var"].partition(":")[2]: NodeOptions(node).number(
            "eps", 1e-3
        )
        for node in network.symbol.nodes
        if node.op in MXNET_NORMS
    }


def _onnx(path: Path) -> Source:
    """An ONNX file: those that this project exports call their initialisers as the network's state dict does."""
    from lwface.onnx.graph import parse
    from lwface.onnx.model import load_onnx  # it needs an optional package

    network = load_onnx(path)
    helper = require("onnx.numpy_helper", extra="onnx")
    graph = parse(network.model, str(path)).graph
    tensors = {each.name: _tensor(helper.to_array(each)) for each in graph.initializer}
    return Source(str(path), tensors, network, scales_count=True)


def _tensor(array: Any) -> Tensor:
    return torch.tensor(np.asarray(array, dtype=np.float32) if array.dtype.kind not in "iub" else array)
