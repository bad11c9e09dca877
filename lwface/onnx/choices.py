"""What a user may choose about an ONNX model, and what it is checked with; nothing heavy is imported here."""

from __future__ import annotations

from typing import NamedTuple

OPSET = 17  # the first with LayerNormalization; runtimes of 2022 and later know it
OPSETS = range(13, 21)  # from the first that can quantise a channel at a time to the last the exporter writes
NUMBER_TYPES = {"float32": "float32", "fp16": "float16", "int8": "int8"}  # of each --precision
COLOR_ORDERS = ("RGB", "BGR")
BATCHES = (1, 7, 32)  # images at once, in which a model is compared with its network
ROWS = max(BATCHES)


class Pixels(NamedTuple):
    """What a model takes: ``(x - mean) * scale`` of pixels 0..255 in this order of channels."""

    mean: float = 0.0
    scale: float = 1.0
    color_order: str = "RGB"
