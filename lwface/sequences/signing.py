"""Signatures of frames: what a network puts out for each, for the parts that the challenge gives signatures to.

An ONNX model may be of any kind and take images of any size: frames are resized to what it takes, its pixels are
prepared as its metadata, the user, or, for a face network, its graph says. A model of this project runs as everywhere
else (:class:`lwface.features.embedder.Embedder`), on frames resized to what it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.base.notes import note
from lwface.base.progress import progress
from lwface.formats.sequence_paths import frame_paths
from lwface.formats.sequence_pickles import LONGEST, Signatures
from lwface.models.pixels import parse_pixels
from lwface.onnx.graph import all_tensors, one_line, parse
from lwface.onnx.pixels import HABIT, Told, pixels_words, told_pixels
from lwface.onnx.runtime import onnx_runtime
from lwface.sequences.images import Images

IMAGENET = "imagenet"
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pixels 0..1, RGB
LARGEST_SIDE = 1024  # pixels of a model's input
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class Signer(NamedTuple):
    """What makes signatures.

    Attributes:
        size: (height, width) of what it takes; None: any, so that frames stay as they are.
        sign: (N, H, W, 3) uint8 RGB -> (N, D) float32.
        batch: images at once, always so many.
        width: D.
    """

    size: tuple[int, int] | None
    sign: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    batch: int
    width: int


def chosen_frames(paths: list[str], every: int) -> list[str]:
    """Each ``every``-th frame of each sequence, from its first; in the order of ``paths``."""
    if every == 1:
        return list(paths)
    seen: dict[str, int] = {}
    chosen = []
    for path, frame in zip(paths, frame_paths(paths, "images"), strict=True):
        place = seen[frame.sequence] = seen.get(frame.sequence, -1) + 1
        if place % every == 0:
            chosen.append(path)
    return chosen


def make_signatures(images: Images, paths: list[str], signer: Signer) -> Signatures:
    """The signature of each frame of ``paths``; frames of another size are resized.

    A signature depends on its frame alone, but for the last bits, where the arithmetic of a batch may differ by place.

    Raises:
        UserError: a frame does not decode, or its signature is not finite; or all are more than one file holds.
    """
    if len(paths) * signer.width * 4 > LONGEST:
        most = LONGEST // (4 * signer.width)
        raise UserError(f"{len(paths)} signatures of {signer.width} numbers: one file holds {most}; give --every N")
    found = np.empty((len(paths), signer.width), np.float32)
    starts = range(0, len(paths), signer.batch)
    for start in progress(starts, label="signatures", unit=" batches"):
        part = paths[start : start + signer.batch]
        frames = [resized(images[path], signer.size) for path in part]
        for path, frame in zip(part, frames, strict=True):
            if frame.shape != frames[0].shape:
                raise UserError(f"{path}: {frame.shape[1]}x{frame.shape[0]}, {part[0]} is of another size: give --size")
        frames += [frames[-1]] * (signer.batch - len(frames))
        rows = signer.sign(np.stack(frames))[: len(part)]
        wrong = ~np.isfinite(rows).all(axis=1)
        if wrong.any():
            raise UserError(f"{part[int(wrong.argmax())]}: its signature holds what is no finite number")
        found[start : start + len(part)] = rows
    return Signatures(list(paths), found)


def onnx_signer(
    path: Path, *, batch: int, layer: str | None = None, pixels: str | None = None, size: tuple[int, int] | None = None
) -> Signer:
    """The ONNX model in ``path``.

    Args:
        path: the file; its weights lie inside.
        batch: images at once, where the model takes any number.
        layer: the value inside it that is the signature; None: its only output. Maps are averaged over their places.
        pixels: ``MEAN/DIVISOR[,BGR]``, or :data:`IMAGENET`; None: what it says itself.
        size: (height, width), where the model takes any.

    Raises:
        UserError: it is no such model, does not run, or does not say which pixels it takes.
    """
    name = str(path)
    model = parse(path.read_bytes(), name)
    if any(tensor.data_location == tensor.EXTERNAL for _, tensor in all_tensors(model)):
        raise UserError(f"{path}: keeps weights in other files; save it as one file")
    image, sizes = _image_input(model, name)
    output = _output(model, layer, name)
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # fatal: what matters is raised
    try:
        session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        raise UserError(f"{path}: ONNX Runtime cannot run it ({one_line(error)})") from None
    kind = session.get_inputs()[0].type
    if kind not in (*_TYPES, "tensor(uint8)"):
        raise UserError(f"{path}: takes {kind}; expected images of floats or uint8")
    mean, scale, blue_first = _preparation(model, name, pixels, whole=kind == "tensor(uint8)")
    takes = np.uint8 if kind == "tensor(uint8)" else _TYPES[kind]
    batch = sizes[0] or batch
    fixed = (sizes[2], sizes[3]) if sizes[2] and sizes[3] else None
    if fixed and size and size != fixed:
        raise UserError(f"--size: {path} takes {fixed[0]}x{fixed[1]} and nothing else")

    def sign(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        planes = np.moveaxis(frames[..., ::-1] if blue_first else frames, 3, 1)
        prepared = planes if takes == np.uint8 else (planes.astype(np.float32) - mean) * scale
        try:
            (found,) = session.run([output], {image: np.ascontiguousarray(prepared, dtype=takes)})
        except Exception as error:  # as above
            raise UserError(f"{path}: does not run on {prepared.shape} ({one_line(error)})") from None
        found = np.asarray(found)
        if found.ndim == 4:
            found = found.mean(axis=(2, 3), dtype=np.float32)
        if found.ndim != 2 or len(found) != len(frames):
            raise UserError(f"{path}: gives an output of shape {found.shape} for {len(frames)} images; expected (N, D)")
        return found.astype(np.float32)

    height, width = fixed or size or (64, 64)
    return Signer(fixed or size, sign, batch, sign(np.zeros((batch, height, width, 3), np.uint8)).shape[1])


def network_signer(text: str, *, batch: int, device: str, layer: str | None = None) -> Signer:
    """The trained face network called ``text``, of this project or MXNet; needs PyTorch.

    Raises:
        UserError: there is no such model, or no such device.
    """
    from lwface.base.device import select_device
    from lwface.features.embedder import Embedder
    from lwface.models.store import load_model

    network, config = load_model(text, layer=layer)
    height, width, _ = config.get("image_shape", (112, 112, 3))
    embedder = Embedder(network, device=select_device(device), batch_size=batch)
    embedder.require_own_features(np.zeros((1, height, width, 3), np.uint8))
    return Signer((height, width), lambda frames: embedder.embed(frames, flip=False), batch, embedder.embedding_size)


def resized(image: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """``image`` (H, W, 3) at ``size`` (height, width); as it is where it has that size, or any will do."""
    if size is None or image.shape[:2] == size:
        return image
    smaller = size[0] < image.shape[0] and size[1] < image.shape[1]
    found = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return np.asarray(found, np.uint8)


def _image_input(model: Any, name: str) -> tuple[str, list[int]]:
    """The name of the model's input, and its sizes (N, 3, H, W), 0 where any will do."""
    kept = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in kept]
    sizes = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(sizes) != 4 or sizes[1] not in (0, 3) or max(sizes[2:]) > LARGEST_SIDE or min(sizes) < 0:
        found = " x ".join(str(size or "any") for size in sizes) or f"{len(inputs)} inputs"
        raise UserError(f"{name}: takes {found}; expected one input of images, N x 3 x height x width")
    return inputs[0].name, sizes


def _output(model: Any, layer: str | None, name: str) -> str:
    """The name of the value that is the signature; one inside the model becomes an output of it."""
    names = [value.name for value in model.graph.output]
    if layer is None:
        if len(names) > 1:
            raise UserError(f"{name}: has several outputs ({', '.join(names)}); say which one by --layer")
        return str(names[0])
    if layer not in names:
        if layer not in {value for node in model.graph.node for value in node.output}:
            raise UserError(f"{name}: gives nothing called {layer!r}; its outputs are {', '.join(names)}")
        model.graph.output.append(require("onnx", "onnx").ValueInfoProto(name=layer))
    return layer


def _told(model: Any, name: str) -> Told:
    """What the model says it takes, or its graph; what is usual for faces is no guess for other networks."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    stated = "input_mean" in metadata or "input_scale" in metadata
    try:
        told = told_pixels(model, metadata, name)
    except UserError:  # a graph is looked into for faces of 112x112 only
        if stated:
            raise
        told = None
    if told is None or told.assumed.startswith(HABIT):
        raise UserError(f"{name}: does not say which pixels it takes; give --pixels {IMAGENET}, or MEAN/DIVISOR[,BGR]")
    return told


def _preparation(model: Any, name: str, pixels: str | None, *, whole: bool) -> tuple[Any, Any, bool]:
    """Mean and factor for planes (3, H, W) of 0..255, and whether blue comes first."""
    if pixels == IMAGENET:
        mean, deviation = (np.array(row, np.float32)[:, None, None] for row in (IMAGENET_MEAN, IMAGENET_DEVIATION))
        found = 255 * mean, 1 / (255 * deviation), False
    elif pixels is not None:
        given = parse_pixels(pixels)
        found = np.float32(given.mean), np.float32(given.scale), given.color_order == "BGR"
    elif whole:
        found = np.float32(0), np.float32(1), False
    else:
        told = _told(model, name)
        if told.assumed:
            note(f"{name} takes {pixels_words(told.pixels)} ({told.assumed}); --pixels says otherwise")
        found = np.float32(told.pixels.mean), np.float32(told.pixels.scale), told.pixels.color_order == "BGR"
    if whole and (np.any(found[0] != 0) or np.any(found[1] != 1)):
        raise UserError(f"{name}: takes uint8, which --pixels {pixels} do not fit")
    return found
