"""A keypoint model as an ONNX file, which gets its name only after ONNX Runtime has put the same points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.base.files import replacing
from lwface.gate.flops import count_flops, flops_text
from lwface.landmarks.keypoint_choices import INPUT_SHAPE
from lwface.landmarks.keypoint_models import load_keypoint_model
from lwface.onnx.choices import BATCHES, ROWS
from lwface.onnx.export import INPUT, OUTPUT, traced_model
from lwface.onnx.runtime import onnx_runtime

TOLERANCE = 0.01  # pixels


def export_keypoints(model: str, output: Path, opset: int) -> list[str]:
    """Write ``output``: input ``data`` (N, 1, 96, 96) float32 greys 0..255, output ``fc1`` (N, 2 K) pixels, N free.

    The metadata ``keypoints`` is a JSON list of the K points, whose x and y the output holds in turn.

    Raises:
        UserError: no keypoint model, it cannot be exported, or ONNX Runtime puts other points; nothing is written.
    """
    network = load_keypoint_model(model)
    onnx = require("onnx", extra="onnx")
    graph = traced_model(network, opset, INPUT_SHAPE[1:])
    graph.producer_name, graph.producer_version = "lightweight-face-recognition", ""
    onnx.helper.set_model_props(graph, {"keypoints": json.dumps(network.points), "opset": str(opset)})
    onnx.checker.check_model(graph, full_check=True)
    data = graph.SerializeToString(deterministic=True)
    difference = _difference(data, network)
    if not difference <= TOLERANCE:
        raise UserError(f"ONNX Runtime's points are {difference:.4f} pixels from PyTorch's: nothing is written")
    with replacing(output) as file:
        file.write(data)
    flops = count_flops(network, INPUT_SHAPE).flops
    return [
        f"{ROWS} pseudo-random images at batch {', '.join(map(str, BATCHES))}: at most {difference:.1e} pixels apart",
        f"opset {opset}, float32, {len(network.points)} points, {len(data)} bytes",
        f"FLOPs: {flops} ({flops_text(flops)} FLOPs)",
        f"{output}: written",
    ]


def _difference(data: bytes, network: nn.Module) -> float:
    """How far, at most, ONNX Runtime's coordinates are from PyTorch's, in pixels, in every size of the batch."""
    session: Any = onnx_runtime().InferenceSession(data, providers=["CPUExecutionProvider"])
    images = torch.randint(0, 256, (ROWS, *INPUT_SHAPE[1:]), generator=torch.Generator().manual_seed(0)).float()
    with torch.inference_mode():
        expected = network(images)
    worst = 0.0
    for size in BATCHES:
        found = [session.run([OUTPUT], {INPUT: part.numpy()})[0] for part in images.split(size)]
        worst = max(worst, float((torch.cat([torch.from_numpy(part) for part in found]) - expected).abs().max()))
    return worst
