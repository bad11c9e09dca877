"""Starting from a trained model: whose names its tensors have, which of them fit, and which are left fresh.

Understood are this project's models, MXNet's, and PyTorch files: state dicts with this project's names and those of
arcface_torch's ``iresnet`` (He et al. 2016 with ArcFace's unit; deepinsight/insightface, recognition/arcface_torch).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.models.names import STATE_DICT_SUFFIXES, TORCH_SUFFIXES, model_path, parse_model
from lwface.models.store import load_model
from lwface.mxnet.names import params_path
from lwface.mxnet.params import read_params
from lwface.networks import FaceNetwork, create_network, mxnet_names
from lwface.networks.base import PIXEL_SCALE
from lwface.networks.layers import EPS
from lwface.settings.places import Places
from lwface.settings.resolve import network_settings

WRAPPERS = ("state_dict_backbone", "state_dict", "model")  # under which training programs put the network's tensors
PREFIXES = ("module.", "backbone.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put before a name
LISTED = 6  # names a line of the report shows

# arcface_torch: what it calls the layers of a unit, the epsilon of its batch norms, and its (x - 127.5) * scale.
IRESNET_UNIT = {
    "bn1": "bn1",
    "conv1": "conv1",
    "bn2": "bn2",
    "relu1": "prelu",
    "conv2": "conv2",
    "bn3": "bn3",
    "conv1sc": "downsample.0",
    "sc": "downsample.1",
}
IRESNET_REST = {
    "body.conv0": "conv1",
    "body.bn0": "bn1",
    "body.relu0": "prelu",
    "head.bn1": "bn2",
    "head.pre_fc1": "fc",
    "head.fc1": "features",
}
IRESNET_EPS = 1e-5
IRESNET_SCALE = 1 / 127.5


@dataclass
class Start:
    """What became of the tensors of a file, and of those of the network."""

    source: str
    naming: str = "no known"
    matched: list[str] = field(default_factory=list)  # names in the network, as all but `unused`
    other_shape: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)  # the file has none of that name
    unused: list[str] = field(default_factory=list)  # names in the file
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The lines a run prints."""
        total = len(self.matched) + len(self.other_shape) + len(self.fresh)
        lines = [f"pretrained {self.source}: {len(self.matched)} of {total} tensors taken over, by {self.naming} names"]
        for what, names in (
            ("left fresh, of another shape there", self.other_shape),
            ("left fresh, not there", self.fresh),
            ("there, but not used", self.unused),
        ):
            if names:
                more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
                lines.append(f"  {what} ({len(names)}): {', '.join(names[:LISTED])}{more}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def start_from(network: FaceNetwork, model: str, epoch: int) -> Start:
    """Copy what fits of ``model`` into ``network``; the rest of the network keeps its fresh weights.

    Args:
        model: ``PREFIX`` (with ``epoch``) or ``PREFIX,EPOCH`` of a model of this project or of MXNet, or a file:
            ``.safetensors``, or a PyTorch state dict ``.pth``, ``.pt``, ``.tar``.

    Raises:
        UserError: no such model, damaged, a tensor that is not finite, or nothing in it fits.
    """
    source, tensors = read_tensors(model, epoch)
    own = network.state_dict()
    start = Start(source)
    namings = {
        "this project's": {name: name for name in own},
        "MXNet's": mxnet_names(network),
        "iresnet's": {name: theirs for name in own if (theirs := iresnet_name(name))},
    }
    start.naming, names = max(namings.items(), key=lambda item: sum(name in tensors for name in item[1].values()))
    found = {name: tensors[theirs].float() for name, theirs in names.items() if theirs in tensors}
    used = set(names.values())
    start.unused = sorted(name for name in tensors if name not in used and not name.endswith("num_batches_tracked"))
    if start.naming == "iresnet's":
        start.notes += _from_iresnet(network, found)
    for name, tensor in own.items():
        if name not in found:
            start.fresh.append(name)
        elif found[name].shape != tensor.shape:
            start.other_shape.append(f"{name} {_shape(found[name])} (here {_shape(tensor)})")
        elif not found[name].isfinite().all():
            raise UserError(f"{source}: {names[name]} is not finite: the model is damaged or its training diverged")
        else:
            start.matched.append(name)
    if not start.matched:
        raise UserError(f"{source}: no tensor fits the network to be trained (there: {', '.join(sorted(tensors)[:3])})")
    network.load_state_dict({**own, **{name: found[name] for name in start.matched}})
    return start


def open_model(
    model: str, *, network: str | None = None, layer: str | None = None, places: Places | None = None
) -> nn.Module:
    """The model called ``model`` in evaluation mode on the CPU; a bare state dict is put into the network it names.

    Args:
        network: name in the configuration of the network that a ``.pth``, ``.pt`` or ``.safetensors`` file belongs to;
            None: an ``iresnet`` of arcface_torch, whose tensors tell which (:func:`iresnet_settings`).
        layer: as for :func:`lwface.models.store.load_model`.
        places: whose configuration ``network`` is looked up in; None: the usual one.

    Raises:
        UserError: no such model, or a state dict whose network is not named or not completely in it.
    """
    if Path(model).suffix not in STATE_DICT_SUFFIXES:
        return load_model(model, layer=layer)[0]
    if network is None:
        built, called = create_network(iresnet_settings(*read_tensors(model, 0))), "an iresnet"
    else:
        built, called = create_network(network_settings(network, places)), network
    start = start_from(built, model, 0)
    missing = start.other_shape + start.fresh
    if missing:
        raise UserError(f"{model}: not the weights of {called}: {len(missing)} tensors are missing, {missing[0]} first")
    if network is None and start.unused:
        raise UserError(f"{model}: not the weights of {called}, which has no {start.unused[0]}: name its network")
    return built.eval()


def iresnet_settings(source: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The settings of the network whose weights ``tensors`` are, if it is an ``iresnet`` of arcface_torch.

    ``layer3.13.conv1.weight`` belongs to the 14th unit of the third stage, so the names tell how many units each stage
    has, which is what r18, r34, r50, r100 and r200 differ in; ``features.weight`` is as long as the embedding.

    Args:
        source: what an error calls it.

    Raises:
        UserError: it is none.
    """
    found = [re.match(r"layer([1-4])\.(\d+)\.", name) for name in tensors]
    units = [len({match[2] for match in found if match and int(match[1]) == stage}) for stage in range(1, 5)]
    if not all(units) or "features.weight" not in tensors:
        remedy = "add --network NAME (in a program network=NAME), such as r50"
        raise UserError(f"{source}: a state dict does not say which network it belongs to: {remedy}")
    return {"net_name": "fresnet", "net_units": units, "emb_size": len(tensors["features.weight"])}


def read_tensors(model: str, epoch: int) -> tuple[str, dict[str, Tensor]]:
    """The file behind ``model`` and its tensors by their names there; arguments and errors as :func:`start_from`."""
    path = Path(model)
    if path.suffix in TORCH_SUFFIXES:
        return model, _read_torch(path)
    if path.suffix == ".safetensors":
        return model, _read_safetensors(path)
    prefix, epoch = parse_model(model) if "," in path.name else (model, epoch)
    if model_path(prefix, epoch).is_file():
        return f"{prefix},{epoch}", _read_safetensors(model_path(prefix, epoch))
    if params_path(prefix, epoch).is_file():
        arrays = read_params(params_path(prefix, epoch))
        return f"{prefix},{epoch}", {name.partition(":")[2]: torch.tensor(array) for name, array in arrays.items()}
    here = f"{model_path(prefix, epoch)} nor {params_path(prefix, epoch).name}"
    raise UserError(f"no such model: neither {here} exists; --pretrained-epoch chooses the epoch")


def iresnet_name(name: str) -> str | None:
    """What arcface_torch's ``iresnet`` calls the tensor ``name`` of the family ``fresnet``; None: it has none."""
    layer, _, tensor = name.rpartition(".")
    if layer in IRESNET_REST:
        return f"{IRESNET_REST[layer]}.{tensor}"
    unit = re.fullmatch(r"body\.stage(\d)_unit(\d+)\.(\w+)", layer)
    if unit is None or unit[3] not in IRESNET_UNIT:
        return None
    return f"layer{unit[1]}.{int(unit[2]) - 1}.{IRESNET_UNIT[unit[3]]}.{tensor}"


def _from_iresnet(network: FaceNetwork, found: dict[str, Tensor]) -> list[str]:
    """Make up for what differs outside the weights, so that the embeddings stay the same; what was done, in words."""
    notes = []
    if network.normalise and "body.conv0.weight" in found:
        found["body.conv0.weight"] = found["body.conv0.weight"] * (IRESNET_SCALE / PIXEL_SCALE)
        notes.append("its input (x - 127.5) / 127.5 is made up for in the first convolution's weights")
    for name in [name for name in found if name.endswith("running_var")]:
        found[name] = (found[name] + (IRESNET_EPS - EPS)).clamp(min=0)
    notes.append(f"its batch norms' epsilon of {IRESNET_EPS:g} is made up for in the running variances")
    return notes


def _read_torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file, read without running anything in it, under their names inside the network."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes can fail in any way, all of them the file's fault
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path}: damaged, or holds more than tensors ({reason}): save its state_dict() again"
        ) from None
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    tensors = state.items() if isinstance(state, Mapping) else ()
    named = {str(name): value for name, value in tensors if isinstance(value, Tensor)}
    if not named:
        raise UserError(f"{path}: holds no state dict; expected tensors by name, as torch.save(net.state_dict(), ...)")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in named):
            named = {name.removeprefix(prefix): value for name, value in named.items()}
    return named


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged or not a model ({error}); save or copy it again") from None


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
