"""What a state dict cannot say of the network it is from: how pixels were prepared, and its batch norms' epsilon."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from lwface.base.errors import UserError
from lwface.onnx.choices import Pixels

ARCFACE_TORCH = Pixels(127.5, 1 / 127.5)  # arcface_torch's loader: (x - 0.5) / 0.5 of pixels 0..1, RGB
ARCFACE_TORCH_EPSILON = 1e-5  # PyTorch's own default


@dataclass(frozen=True)
class Said:
    """What the user says of a state dict; None: not said, so that the habit of arcface_torch is assumed."""

    pixels: Pixels | None = None
    epsilon: float | None = None

    @staticmethod
    def of(pixels: str | None = None, epsilon: float | None = None) -> Said:
        """As typed: ``MEAN/DIVISOR[,BGR]`` and a number above 0; empty and 0 are not said.

        Raises:
            UserError: neither of these.
        """
        if epsilon and not (math.isfinite(epsilon) and 0 < epsilon < 1):
            raise UserError(f"epsilon {epsilon}: expected what the batch norms add to a variance, such as 1e-5 or 2e-5")
        return Said(parse_pixels(pixels) if pixels else None, epsilon or None)

    @property
    def anything(self) -> bool:
        """Whether something is said."""
        return self.pixels is not None or self.epsilon is not None


def parse_pixels(text: str) -> Pixels:
    """``MEAN/DIVISOR`` or ``MEAN/DIVISOR,BGR``: the network takes ``(x - MEAN) / DIVISOR`` of pixels 0..255."""
    number = r"\d+(?:\.\d+)?"
    found = re.fullmatch(rf"({number})/({number})(?:,(RGB|BGR))?", text)
    if not found or not float(found[2]):
        raise UserError(f"--pixels {text}: expected MEAN/DIVISOR[,BGR] such as 127.5/127.5, or 0/255,BGR of MagFace")
    return Pixels(float(found[1]), 1 / float(found[2]), found[3] or "RGB")


def pixels_text(pixels: Pixels) -> str:
    """``pixels`` as :func:`parse_pixels` reads them."""
    return f"{pixels.mean:g}/{1 / pixels.scale:g}{',BGR' * (pixels.color_order == 'BGR')}"
