"""What every network shares: the registry, the input, the embedding, and the names MXNet gives to the same tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.registry import Registry
from lwface.base.setting import require_declared
from lwface.networks.layers import BatchNorm

NETWORKS: Registry[Callable[..., FaceNetwork]] = Registry("network family", check=require_declared)

IMAGE_SIZE = 112  # pixels: the challenge forbids resizing, so the networks know no other size
PIXEL_MEAN = 127.5
PIXEL_SCALE = 0.0078125  # 1 / 128


class FaceNetwork(nn.Module):
    """Maps face crops to embeddings: ``body`` makes a feature map of the image, ``head`` an embedding of the map.

    Args:
        body: (N, 3, 112, 112) to (N, C, S, S).
        head: (N, C, S, S) to (N, embedding_size).
        embedding_size: D, numbers a feature has.
        normalise: apply (x - 127.5) / 128; a body that begins with a batch norm of its own takes the pixels raw.
        gluon_prefix: set when the original body was written with MXNet's Gluon, whose tensors carry other names.
    """

    def __init__(
        self, body: nn.Module, head: nn.Module, embedding_size: int, *, normalise: bool = True, gluon_prefix: str = ""
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.embedding_size = embedding_size
        self.normalise = normalise
        self.gluon_prefix = gluon_prefix

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (N, D), not normalised, of RGB ``images`` (N, 3, 112, 112), uint8 or float, 0..255."""
        if images.shape[1:] != (3, IMAGE_SIZE, IMAGE_SIZE):
            expected = f"(N, 3, {IMAGE_SIZE}, {IMAGE_SIZE})"
            raise UserError(f"images of shape {tuple(images.shape)}: the networks take {expected}, cropped and aligned")
        pixels = images.to(torch.float32)  # also under autocast: 8 bits of bfloat16 would round x - 127.5
        if self.normalise:
            pixels = (pixels - PIXEL_MEAN) * PIXEL_SCALE
        return self.head(self.body(pixels.to(next(self.parameters()).dtype)))


def mxnet_names(network: FaceNetwork) -> dict[str, str]:
    """MXNet's name for every tensor of ``network.state_dict()``, one to one.

    The rule: drop ``body`` or ``head``, turn dots into underscores; a batch norm's ``weight bias running_*`` are
    ``gamma beta moving_*``, a layer norm's are ``gamma beta`` and a PReLU's ``weight`` is ``gamma``. A Gluon body
    prepends its prefix, keeps ``running_*`` and calls the PReLU's ``alpha``.
    """
    names = {}
    for path, module in network.named_modules():
        part, _, rest = path.partition(".")
        gluon = bool(network.gluon_prefix) and part == "body"
        renamed: dict[str, str] = {}
        if isinstance(module, BatchNorm):
            moving = "running" if gluon else "moving"
            renamed = {
                "weight": "gamma",
                "bias": "beta",
                "running_mean": f"{moving}_mean",
                "running_var": f"{moving}_var",
            }
        elif isinstance(module, nn.PReLU):
            renamed = {"weight": "alpha" if gluon else "gamma"}
        elif isinstance(module, nn.LayerNorm):
            renamed = {"weight": "gamma", "bias": "beta"}
        prefix = network.gluon_prefix if gluon else ""
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, _ in tensors:
            names[f"{path}.{name}"] = f"{prefix}{rest.replace('.', '_')}_{renamed.get(name, name)}"
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    return {key: key.replace(".", "_") if name in shared else name for key, name in names.items()}


def require(condition: bool, setting: str, value: object, expected: str) -> None:
    """Stop with one line when a network's ``setting`` has an impossible ``value``."""
    if not condition:
        raise UserError(f"{setting} is {value!r}: expected {expected}")


def require_count(setting: str, value: object, least: int = 1) -> None:
    """Stop unless ``value`` is a whole number of at least ``least``."""
    require(isinstance(value, int) and value >= least, setting, value, f"a whole number of at least {least}")


def require_numbers(setting: str, values: object, count: int, meaning: str, *, least: float = 1) -> None:
    """Stop unless ``values`` are ``count`` numbers of at least ``least``, whole ones where ``least`` is an int."""
    whole = isinstance(least, int)
    expected = f"{count} {'whole ' if whole else ''}numbers of at least {least:g}: {meaning}"
    require(isinstance(values, (list, tuple)) and len(values) == count, setting, values, expected)
    for value in values:  # type: ignore[attr-defined]
        fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool) and value >= least
        require(fits, setting, values, expected)


def require_kernels(values: object, meaning: str) -> None:
    """Stop unless ``values`` are the kernels of four stages, each of a size that keeps a map in place."""
    kernels = (3, 5, 7)
    good = isinstance(values, (list, tuple)) and len(values) == 4 and all(value in kernels for value in values)
    require(good, "net_kernels", values, f"4 numbers out of {', '.join(map(str, kernels))}: {meaning}")


def scaled(channels: int, multiplier: float) -> int:
    """``channels`` times ``net_multiplier``, rounded down as the original does; an error when nothing is left."""
    require(isinstance(multiplier, (int, float)) and multiplier > 0, "net_multiplier", multiplier, "a number above 0")
    width = int(channels * multiplier)
    require(width > 0, "net_multiplier", multiplier, f"more than {1 / channels:g}, so that a layer keeps a channel")
    return width


def rounded(channels: float, divisor: int) -> int:
    """``channels`` to the nearest multiple of ``divisor``, halves up, but at least one and never 10 % too few.

    The rule of TensorFlow's MobileNets, which many authors took over.
    """
    nearest = max(int(channels + divisor / 2) // divisor * divisor, divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest
