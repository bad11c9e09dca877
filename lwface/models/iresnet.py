"""arcface_torch's ``iresnet``: what it calls its tensors, which network they belong to, and its own computation.

He et al. 2016 with ArcFace's unit; deepinsight/insightface, recognition/arcface_torch/backbones/iresnet.py. MagFace's
(IrvingMeng/MagFace) has the same layers and names, and another input and epsilon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lwface.onnx.choices import Pixels

UNIT = {
    "bn1": "bn1",
    "conv1": "conv1",
    "bn2": "bn2",
    "relu1": "prelu",
    "conv2": "conv2",
    "bn3": "bn3",
    "conv1sc": "downsample.0",
    "sc": "downsample.1",
}
REST = {
    "body.conv0": "conv1",
    "body.bn0": "bn1",
    "body.relu0": "prelu",
    "head.bn1": "bn2",
    "head.pre_fc1": "fc",
    "head.fc1": "features",
}
LAYERS = {*REST.values(), "dropout", *(f"layer{stage}" for stage in range(1, 5))}


def iresnet_name(name: str) -> str | None:
    """What arcface_torch's ``iresnet`` calls the tensor ``name`` of the family ``fresnet``; None: it has none."""
    layer, _, tensor = name.rpartition(".")
    if layer in REST:
        return f"{REST[layer]}.{tensor}"
    unit = re.fullmatch(r"body\.stage(\d)_unit(\d+)\.(\w+)", layer)
    if unit is None or unit[3] not in UNIT:
        return None
    return f"layer{unit[1]}.{int(unit[2]) - 1}.{UNIT[unit[3]]}.{tensor}"


def settings_of(tensors: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The settings of the network whose weights ``tensors`` are, if it is an ``iresnet``; else None.

    ``layer3.13.conv1.weight`` belongs to the 14th unit of the third stage, so the names tell how many units each stage
    has, which is what r18, r34, r50, r100 and r200 differ in; ``features.weight`` is as long as the embedding.
    """
    units = _units(tensors)
    if not all(units) or "features.weight" not in tensors:
        return None
    return {"net_name": "fresnet", "net_units": units, "emb_size": len(tensors["features.weight"])}


def _units(tensors: Mapping[str, Tensor]) -> list[int]:
    """How many units each of the four stages has."""
    found = [re.match(r"layer([1-4])\.(\d+)\.", name) for name in tensors]
    return [len({match[2] for match in found if match and int(match[1]) == stage}) for stage in range(1, 5)]


class IResNet(nn.Module):
    """The network as its authors compute it, in evaluation mode: what one filled with its weights is compared with.

    Args:
        tensors: of its state dict, by their names there.
        pixels: what it takes.
        epsilon: of its batch norms.
    """

    def __init__(self, tensors: Mapping[str, Tensor], pixels: Pixels, epsilon: float) -> None:
        super().__init__()
        self.tensors = {name: tensor.detach().float() for name, tensor in tensors.items()}
        self.pixels, self.epsilon = pixels, epsilon

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (N, D) of RGB ``images`` (N, 3, 112, 112), 0..255; KeyError where a tensor is missing."""
        x = images.float()
        if self.pixels.color_order == "BGR":
            x = x.flip(1)
        x = self._convolve("conv1", (x - self.pixels.mean) * self.pixels.scale)
        x = self._prelu("prelu", self._norm("bn1", x))
        for stage, count in enumerate(_units(self.tensors), start=1):
            for number in range(count):
                x = self._unit(f"layer{stage}.{number}", x, stride=2 if number == 0 else 1)
        x = torch.flatten(self._norm("bn2", x), 1)
        return self._norm("features", F.linear(x, self.tensors["fc.weight"], self.tensors["fc.bias"]))

    def _unit(self, name: str, x: Tensor, stride: int) -> Tensor:
        y = self._convolve(f"{name}.conv1", self._norm(f"{name}.bn1", x))
        y = self._prelu(f"{name}.prelu", self._norm(f"{name}.bn2", y))
        y = self._norm(f"{name}.bn3", self._convolve(f"{name}.conv2", y, stride))
        if f"{name}.downsample.0.weight" in self.tensors:
            x = self._norm(f"{name}.downsample.1", self._convolve(f"{name}.downsample.0", x, stride))
        return y + x

    def _convolve(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.tensors[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def _prelu(self, name: str, x: Tensor) -> Tensor:
        return F.prelu(x, self.tensors[f"{name}.weight"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.tensors[f"{name}.{tensor}"] for tensor in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias, eps=self.epsilon)
