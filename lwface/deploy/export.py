"""From a trained model to the file of an ONNX model, which gets its name only after it was checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lwface.base.account import skipped_lines
from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.base.files import replacing
from lwface.deploy.conversion_cost import IMAGE_SIZE, pack_cost, read_faces, tar_cost
from lwface.deploy.wish import Wish, check_output
from lwface.features.trust import require_own_features
from lwface.formats.image_walk import walk_images
from lwface.formats.verification_pack import read_pack
from lwface.gate.budgets import TRACKS, BudgetError
from lwface.gate.flops import FlopsReport, budget_violations, count_flops, flops_text
from lwface.onnx.checks import compare, pseudo_random_images, require_agreement
from lwface.onnx.choices import OPSET, ROWS
from lwface.onnx.export import export_onnx
from lwface.onnx.graph import parse
from lwface.onnx.model import OnnxNetwork, relabel
from lwface.onnx.precision import to_float16, to_int8


def export(network: nn.Module, config: Mapping[str, Any], output: Path, wish: Wish) -> list[str]:
    """Make, check and write ``output``; what was found, as lines for the user.

    Args:
        network: in evaluation mode on the CPU; an :class:`OnnxNetwork` keeps its graph, and may get other metadata.
        config: the settings that rebuild it, to be kept in the file.

    Raises:
        BudgetError: the model is over the budget of the track; nothing is written.
        UserError: the model cannot be exported, or is not the network; nothing is written.
    """
    check_output(output)
    model, lines = checked_model(network, config, output.name, wish)
    with replacing(output) as file:
        file.write(model)
    return [*lines, f"{output}: written"]


def checked_model(network: nn.Module, config: Mapping[str, Any], name: str, wish: Wish) -> tuple[bytes, list[str]]:
    """The bytes of the ONNX model, checked, and what was found; ``name`` is what errors call it.

    Args and errors are those of :func:`export`.
    """
    faces = _checking_faces(wish)  # first: a wrong path is told at once
    plain = _make(network, config, wish)
    if isinstance(network, OnnxNetwork):
        if wish.pixels:
            network = network.taking(wish.pixels)  # what the file is to give; a guess before it is of no account
        require_own_features(network, device=torch.device("cpu"))
    _check_standard(plain)
    model = OnnxNetwork(plain, name=name)
    report, expected = model.flops_report(), count_flops(network)
    if report.flops != expected.flops:
        raise UserError(f"the ONNX model counts {report.flops} FLOPs, the network {expected.flops}: nothing is written")
    if wish.track and (found := budget_violations(report, wish.track, len(plain))):
        raise BudgetError("; ".join(found))
    lines = [_agreement(model, network, images, what, "float32") for images, what in faces]
    written = plain
    if wish.precision != "float32":
        written, notes = _convert(plain, model, wish)
        _check_standard(written)
        converted = OnnxNetwork(written, name=name)
        # Ranges of 8 bits are those of faces: what such a model makes of noise tells nothing.
        told = [pair for pair in faces if wish.precision == "fp16" or pair is not faces[0]]
        lines += notes
        lines += [f"{wish.precision}: {_agreement(converted, model, *pair, wish.precision)}" for pair in told]
        models = {"float32": model, wish.precision: converted}
        lines += [tar_cost(models, wish.score_images, wish.labels)] if wish.score_images and wish.labels else []
        lines += [pack_cost(models, wish.pack)] if wish.pack else []
        report = converted.flops_report()
    return written, [*lines, *_summary(written, report, wish), *_left_out(wish)]


def _make(network: nn.Module, config: Mapping[str, Any], wish: Wish) -> bytes:
    """The float32 model, or the ONNX model as it is with what it takes as metadata."""
    if not isinstance(network, OnnxNetwork):
        if wish.pixels:
            raise UserError("--pixels is for an ONNX model; what a network of this project takes is known")
        inside = wish.normalise != "outside"
        return export_onnx(network, normalise_inside=inside, opset=wish.opset or OPSET, config=config)
    if wish.opset or wish.normalise:
        raise UserError("--opset and --normalise do not change an ONNX model: export it again from what it was made of")
    return relabel(network, wish.pixels)


def _check_standard(model: bytes) -> None:
    onnx = require("onnx", extra="onnx")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the model is not valid ONNX ({reason}): nothing is written") from None


def _checking_faces(wish: Wish) -> list[tuple[Tensor, str]]:
    """Images (32, 3, 112, 112) to compare with, each set with its name: pseudo-random ones, and real ones if given."""
    sets = [(pseudo_random_images(), f"{ROWS} pseudo-random images")]
    if wish.score_images:
        sets.append((_spread(wish.score_images, ROWS), f"images of {wish.score_images}"))
    elif wish.calibration:
        sets.append((_spread(wish.calibration, ROWS), f"images of {wish.calibration}"))
    if wish.pack:
        images = read_pack(wish.pack).decode(IMAGE_SIZE)
        chosen = images[np.linspace(0, len(images) - 1, ROWS).astype(int)]
        sets.append((_as_batch(chosen), f"images of {wish.pack}"))
    return sets


def _spread(folder: Path, count: int) -> Tensor:
    """(count, 3, 112, 112) uint8: images in ``folder`` and the folders below it, evenly spread over their names."""
    names = walk_images(folder).names
    if not names:
        raise UserError(f"{folder}: holds no images; expected aligned faces of 112x112")
    return _as_batch(read_faces(folder, [names[i] for i in np.linspace(0, len(names) - 1, count).astype(int)]))


def _left_out(wish: Wish) -> list[str]:
    """What the folders of images hold besides images."""
    folders = dict.fromkeys(folder for folder in (wish.score_images, wish.calibration) if folder)
    return [line for folder in folders for line in skipped_lines(walk_images(folder).account.as_json())]


def _as_batch(images: np.ndarray) -> Tensor:
    """(N, 112, 112, 3) uint8 -> (N, 3, 112, 112) uint8."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _agreement(model: nn.Module, network: nn.Module, images: Tensor, what: str, precision: str) -> str:
    """What comparing found, for the user; an error when it is not enough."""
    found = compare(model, network, images, what)
    require_agreement(found, precision)
    return str(found)


def _convert(plain: bytes, model: OnnxNetwork, wish: Wish) -> tuple[bytes, list[str]]:
    """The model in the precision asked for, and what is to be said about it."""
    if wish.precision == "fp16":
        return to_float16(plain), []
    assert wish.calibration is not None
    images = model.as_input(_spread(wish.calibration, wish.calibration_images))
    written, kept = to_int8(plain, images)
    calibrated = f"int8: calibrated on {len(images)} images of {wish.calibration}"
    return written, [f"{calibrated}; in float32 stay {', '.join(kept) if kept else 'no layers'}"]


def _summary(model: bytes, report: FlopsReport, wish: Wish) -> list[str]:
    """Opset, size, count, and whom they admit the model to."""
    opset = next(entry.version for entry in parse(model, "the model").opset_import if entry.domain in ("", "ai.onnx"))
    lines = [
        f"opset {opset}, {report.number_type}, embedding of {report.embedding}, {len(model)} bytes",
        f"FLOPs: {report.flops} ({flops_text(report.flops)} FLOPs)",
    ]
    if wish.track:
        return [*lines, f"{wish.track.name}: within the budget"]
    admitting = [track.name for track in TRACKS.values() if not budget_violations(report, track, len(model))]
    return [*lines, f"within the budget of: {', '.join(admitting) or 'no track'}"]
