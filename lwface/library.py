"""What a program does with a trained model: open it, embed faces, compare two. ``import lwface`` offers these by name.

Nothing is read but the files that the caller names; only ``network=`` looks a name up in the configuration.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from lwface.base.device import select_device
from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.features.aggregation import RowPools
from lwface.features.aggregation import normalise as unit_rows
from lwface.features.comparison import cosine
from lwface.features.embedder import Embedder
from lwface.features.trust import require_own_features
from lwface.formats.image import read_rgb
from lwface.landmarks.photographs import align as align_faces
from lwface.models.names import DEFAULT, FILES, PACKAGE, is_onnx, is_state_dict
from lwface.models.pixels import Said
from lwface.models.pretrained import image_size, open_model
from lwface.networks.base import IMAGE_SIZE

Images: TypeAlias = np.ndarray | torch.Tensor | Sequence[np.ndarray] | Sequence[PathLike]

FORMS = f"PREFIX,EPOCH such as models/y2-arcface-retina/model,1, {FILES}, or {DEFAULT}"


def load_model(
    name: PathLike = DEFAULT,
    *,
    network: str | None = None,
    layer: str | None = None,
    pixels: str | None = None,
    epsilon: float | None = None,
    device: str = "auto",
) -> nn.Module:
    """The network called ``name``, in evaluation mode.

    It takes (N, 3, H, W) RGB 0..255, uint8 or float, and gives (N, D), not normalised; ``embedding_size`` is D.

    Args:
        name: ``default``, the network that comes inside the package; ``PREFIX,EPOCH`` of this project or else of MXNet,
            the file ``PREFIX-0001.safetensors`` of this project, ``FILE.onnx``, or a state dict of PyTorch: ``.pt``,
            ``.pth``, ``.tar`` or ``.safetensors``.
        network: for a state dict, the network that it belongs to, by its name in the configuration, such as ``m05``.
            arcface_torch's ``iresnet`` (r18 r34 r50 r100 r200) needs none: the units of each stage are counted in the
            names of its tensors, and the embedding is as wide as its last batch norm.
        layer: the output that is the embedding, for models of MXNet and ONNX that have several.
        pixels: what an ``iresnet`` was trained with, ``"MEAN/DIVISOR"`` or ``"MEAN/DIVISOR,BGR"``; None:
            arcface_torch's ``"127.5/127.5"``. MagFace's is ``"0/255,BGR"``.
        epsilon: of an ``iresnet``'s batch norms; None: arcface_torch's 1e-5. MagFace's is 2e-5. A state dict says
            neither: what is assumed is a ``UserWarning``.
        device: ``auto`` (the first CUDA device where there is one, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: no such model, damaged, not the weights of ``network``, or no such device; or a face's feature
            depends on more than its image: dropout left on, a batch norm in training mode, dynamic int8.
    """
    text, place = os.fspath(name), select_device(device)
    said = Said.of(pixels, epsilon)
    is_file = is_state_dict(text)
    if text not in PACKAGE and not is_file and "," not in text and not is_onnx(text) and not text.endswith(".params"):
        raise UserError(f"model {text!r}: expected {FORMS}")
    if is_file and not Path(text).is_file():
        raise UserError(f"{text}: no such model; expected {FORMS}")
    if network is not None and not is_file:
        raise UserError(f"network={network!r}: only a state dict needs it; {text} says itself which network it is")
    assumed: list[str] = []
    model = open_model(text, network=network, layer=layer, said=said, say=assumed.append).to(place)
    for line in assumed:
        warnings.warn(line, stacklevel=2)
    require_own_features(model, device=place)
    return model


def embed(
    model: nn.Module,
    images: Images,
    *,
    align: bool = False,
    flip: bool = False,
    batch_size: int = 32,
    normalise: bool = True,
    device: str | None = None,
) -> np.ndarray:
    """The features of aligned faces: the numbers that ``gen_image_feature.py`` writes, to the last bit.

    (That with its ``--backend eager``, the same ``flip`` and ``batch_size``, on the same machine.)

    Args:
        model: takes (N, 3, H, W) uint8 RGB 0..255, gives (N, D), and has ``embedding_size`` D. It runs in evaluation
            mode; each of its modules gets its own mode back.
        images: (N, H, W, 3) uint8 RGB, or a list of N images (H, W, 3) or image files. N may be 0. With ``align`` they
            may have any sizes.
        align: they are photographs, whose faces are found and aligned first.
        flip: add the feature of the mirrored image, which is what the challenge's image track does.
        batch_size: images the network sees at once.
        normalise: divide each feature by its L2 norm, so that the product of two is their cosine.
        device: where to run, as for :func:`load_model`, to which the model is moved; None: where it is.

    Returns:
        (N, D) float32.

    Raises:
        UserError: the images are not such, of another size than the model takes, a feature is zero or not finite, or
            it depends on more than its image.
    """
    if isinstance(model, str):
        raise UserError(f"{model!r} is the name of a model: open it first, lwface.load_model({model!r})")
    if not hasattr(model, "embedding_size"):
        raise UserError(f"{type(model).__name__} has no embedding_size: set it to how many numbers a feature has")
    batch = _as_batch(align_faces(images) if align else images, image_size(model))  # type: ignore[arg-type]
    place = _device_of(model) if device is None else select_device(device)
    embedder = Embedder(model, device=place, batch_size=batch_size)
    if len(batch):
        embedder.require_own_features(batch)
    features = embedder.embed(batch, flip).astype(np.float64)
    units = unit_rows(features, lambda row: f"image {row}")
    if normalise:  # twice, as the image track is the video track with one frame
        features = unit_rows(RowPools(itertools.repeat(1)).add(units, features), lambda row: f"image {row}")
    return features.astype(np.float32)


def compare(
    model: nn.Module,
    image_a: np.ndarray | PathLike,
    image_b: np.ndarray | PathLike,
    *,
    align: bool = False,
    flip: bool = False,
) -> float:
    """The cosine of the features of two faces, from -1 to 1: the higher, the likelier one person.

    From which cosine two faces are one person depends on the model: ``eval/tar_far.py`` prints thresholds. Exchanging
    the images changes nothing, to the last bit.

    Args:
        model, align, flip: as for :func:`embed`.
        image_a, image_b: (H, W, 3) uint8 RGB, or the path of an image file; aligned faces, or with ``align``
            photographs.

    Raises:
        UserError: as :func:`embed`, or a file is not an image.
        OSError: a file cannot be read.
    """
    faces = list(align_faces([image_a, image_b])) if align else [_read(image) for image in (image_a, image_b)]
    a, b = (embed(model, [face], flip=flip, batch_size=1, normalise=False)[0] for face in faces)
    return cosine(a, b)


def _read(image: np.ndarray | PathLike) -> np.ndarray:
    return read_rgb(image) if isinstance(image, str | os.PathLike) else image


def _device_of(model: nn.Module) -> torch.device:
    """Where the model's first tensor is."""
    tensor = next(itertools.chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def _as_batch(images: Images, size: tuple[int, int] | None) -> np.ndarray:
    """``images`` as one array (N, H, W, 3) uint8, each checked; ``size`` is (height, width) or None: any."""
    if isinstance(images, str | os.PathLike):
        raise UserError(f"{os.fspath(images)!r} is one image: expected a list, [{os.fspath(images)!r}]")
    if len(images) == 0:
        return np.zeros((0, *(size or (IMAGE_SIZE, IMAGE_SIZE)), 3), np.uint8)
    if isinstance(images, torch.Tensor):
        images = images.numpy(force=True)
    if isinstance(images, np.ndarray):
        if images.ndim == 3 and images.shape[2] == 3:
            raise UserError(f"images of shape {images.shape}: expected (N, H, W, 3); one image alone is images[None]")
        _check(images.shape[1:], images.dtype, size)
        return images
    arrays = [np.asarray(_read(image)) for image in images]
    for image in arrays:
        _check(image.shape, image.dtype, size or (arrays[0].shape[0], arrays[0].shape[1]))
    return np.stack(arrays)


def _check(shape: tuple[int, ...], dtype: np.dtype, size: tuple[int, int] | None) -> None:
    """Raise :class:`UserError` for an image that no feature should be made of."""
    if dtype != np.uint8:
        remedy = "numbers from 0 to 1 become it by (images * 255).round().astype('uint8')"
        raise UserError(f"images of {dtype}: expected uint8, RGB from 0 to 255; {remedy}")
    if len(shape) != 3 or shape[2] != 3:
        raise UserError(f"an image of shape {shape}: expected (H, W, 3), RGB{_shape_remedy(shape)}")
    if size is not None and shape[:2] != size:
        sizes = f"{shape[1]}x{shape[0]} pixels: expected {size[1]}x{size[0]}"
        raise UserError(f"an image of {sizes}; align=True finds and aligns the face of a photograph")


def _shape_remedy(shape: tuple[int, ...]) -> str:
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        return "; a grey one becomes it by np.dstack([image] * 3)"
    if len(shape) == 3 and shape[0] == 3:
        return "; channels that come first are moved by np.moveaxis(images, -3, -1)"
    return "; a fourth channel is left out by images[..., :3]" if len(shape) == 3 and shape[2] == 4 else ""
