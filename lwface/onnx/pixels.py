"""What an ONNX model takes, told from its graph: which range of pixels, and in which order of channels.

The image is followed through everything that only moves, converts, scales or shifts its values
(:mod:`lwface.onnx.trace`). What is then known is a line per channel, ``scale * x + shift``, and its zero, the pixel
that becomes 0:

* a zero from 2 on is a mean of pixels 0..255, one from 0.2 to 2 a mean of pixels 0..1, one near -1 undoes -1..1;
* without a shift a divisor from 2 on divides bytes;
* limits (``Clip``, ``QuantizeLinear``) of 0..255, 0..1 or -1..1 are those of the input, and an integer input is bytes;
* means that fall from the first channel to the last are red first (skin, and ImageNet), means that rise are blue first;
  without those, exchanged channels mean that the graph takes BGR, as programs that read by OpenCV have it.

A graph of which nothing of this is known takes, by habit of arcface_torch and insightface, ``(x - 127.5) / 127.5``.
A first convolution with exchanged weights, or one into which the mean was folded, cannot be told by anything here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lwface.base.errors import UserError
from lwface.onnx.choices import COLOR_ORDERS, Pixels
from lwface.onnx.graph import image_input
from lwface.onnx.trace import Trace, trace_image

BYTES, UNIT, SIGNED = Pixels(), Pixels(0.0, 1 / 255), Pixels(127.5, 1 / 127.5)
LIMITS = {(0.0, 255.0): BYTES, (0.0, 1.0): UNIT, (-1.0, 1.0): SIGNED}
INPUT_BYTES = {"UINT8": BYTES, "INT8": Pixels(128.0, 1.0)}  # int8 holds bytes from -128 on
HABIT = "by habit, its graph tells nothing"
ASSUMED = "pixels_assumed"  # metadata: the file says what it takes, but as someone's guess

LEAST_BYTE = 2.0  # from here on a mean or a divisor is one of pixels 0..255
LEAST_UNIT = 0.2  # below it a mean is that of pixels around 0; faces in 0..1 have means of 0.3 to 0.6
BACK_TO_BYTES = (100.0, 150.0)  # a factor that takes -1..1 back to bytes (127.5, 128); 255 does so for 0..1
COLOUR_MARGIN = 0.02  # by which means differ for a reason, in parts of the range; ImageNet's differ by 0.079


class Told(NamedTuple):
    """What a model takes, and on whose word.

    Attributes:
        assumed: how it was guessed, in words; empty when someone said it.
    """

    pixels: Pixels
    assumed: str = ""


def told_pixels(model: Any, metadata: Mapping[str, str], name: str) -> Told:
    """What ``model`` takes: by its ``metadata``, else its graph, else habit.

    Raises:
        UserError: the metadata makes no sense.
    """
    color_order = metadata.get("color_order", "RGB")
    stated = "input_mean" in metadata or "input_scale" in metadata
    mean, scale = BYTES[:2]
    if stated:
        try:
            mean, scale = float(metadata["input_mean"]), float(metadata["input_scale"])
        except (KeyError, ValueError):
            mean = scale = math.nan
    if not (math.isfinite(mean) and math.isfinite(scale) and scale) or color_order not in COLOR_ORDERS:
        raise UserError(f"{name}: its metadata input_mean, input_scale or color_order make no sense")
    if stated:
        return Told(Pixels(mean, scale, color_order), metadata.get(ASSUMED, ""))
    pixels, why = _of_graph(model, name)
    if "color_order" in metadata:
        return Told(pixels._replace(color_order=color_order), f"{why}; the order by its metadata")
    return Told(pixels, why)


def pixels_flag(pixels: Pixels) -> str:
    """``pixels`` as ``recognition/export.py --pixels`` takes them: ``127.5/128,BGR``."""
    divisor = 1 / pixels.scale
    if math.isclose(divisor, round(divisor, 6), rel_tol=1e-12):
        divisor = round(divisor, 6)
    text = f"{_number(pixels.mean)}/{_number(divisor)}"
    return text if pixels.color_order == "RGB" else f"{text},{pixels.color_order}"


def pixels_words(pixels: Pixels) -> str:
    """``pixels`` for people: ``BGR (x - 127.5) / 128``."""
    divisor = pixels_flag(pixels._replace(color_order="RGB")).split("/")[1]
    if pixels[:2] == BYTES[:2]:
        return f"{pixels.color_order} 0..255"
    shifted = f"(x - {_number(pixels.mean)})" if pixels.mean else "x"
    return f"{pixels.color_order} {shifted} / {divisor}"


def note_of_guess(told: Told, name: str) -> str:
    """One line for a user of a model that does not say what it takes."""
    return (
        f"note: {name} does not say which pixels it takes; assumed: {pixels_words(told.pixels)} ({told.assumed}). "
        "A wrong guess is no error, only bad features: check it with recognition/check_model.py, overrule it with "
        "recognition/export.py --pixels"
    )


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _of_graph(model: Any, name: str) -> tuple[Pixels, str]:
    """What the graph of ``model`` takes, and how that is told."""
    import onnx

    element_type = onnx.TensorProto.DataType.Name(image_input(model, name).type.tensor_type.elem_type)
    trace = trace_image(model, name)
    pixels, why = _range(trace)
    if "INT" in element_type:
        pixels, why = INPUT_BYTES.get(element_type, BYTES), f"its input is {element_type.lower()}"
    order, colour_why = _color_order(trace)
    return pixels._replace(color_order=order), f"{why}; {colour_why}" if colour_why else why


def _range(trace: Trace | None) -> tuple[Pixels, str]:
    """The range of the input by what is done to it first."""
    habit = (SIGNED, HABIT)
    if trace is None:
        return habit
    for low, high in trace.limits:
        for (least, most), pixels in LIMITS.items():
            if max(abs(low - least), abs(high - most)) <= 0.02 * (most - least):
                return pixels, f"its graph limits values to {least:g}..{most:g}"
    if trace.own_statistics:
        return BYTES, "its graph normalises each image by itself"
    factor = float(np.abs(trace.scale).mean())
    if not trace.arithmetic or not factor:
        return habit
    zero, divisor = float((-trace.shift / trace.scale).mean()), 1 / factor
    if zero >= LEAST_BYTE:
        return BYTES, f"its graph normalises with a mean of {zero:.4g}"
    if zero >= LEAST_UNIT:
        return UNIT, f"its graph normalises with a mean of {zero:.4g}, which is one of pixels 0..1"
    if zero <= -LEAST_UNIT:
        return SIGNED, f"its graph moves pixels by {-zero:.4g}, which is for -1..1"
    if divisor >= LEAST_BYTE:
        return BYTES, f"its graph divides by {divisor:.4g}"
    around_zero = trace.batch_norm or BACK_TO_BYTES[0] <= factor <= BACK_TO_BYTES[1] or abs(factor - 1) < 0.02
    return (SIGNED if around_zero else UNIT), f"its graph multiplies by {factor:.4g} and keeps 0 where it is"


def _color_order(trace: Trace | None) -> tuple[str, str]:
    """The order of the input's channels, and how that is told, if by anything."""
    if trace is None or sorted(trace.order) != [0, 1, 2]:
        return "RGB", ""
    means = np.empty(3)  # of the input's channels, whichever order they have by now
    means[list(trace.order)] = -trace.shift / np.where(trace.scale == 0, np.nan, trace.scale)
    margin = COLOUR_MARGIN * (255 if means.mean() >= LEAST_BYTE else 1)
    if trace.arithmetic and means[0] > means[1] > means[2] and means[0] - means[2] > margin:
        return "RGB", "its means fall from red to blue"
    if trace.arithmetic and means[0] < means[1] < means[2] and means[2] - means[0] > margin:
        return "BGR", "its means rise from blue to red"
    if trace.order == (2, 1, 0):
        return "BGR", "its graph exchanges the channels"
    return "RGB", ""
