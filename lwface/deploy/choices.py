"""The inputs that models are usually trained with; nothing heavy is imported here."""

from __future__ import annotations

COLOURS = ("RGB", "BGR")
# Subtracted from the pixels 0..255, and the factor after it, for red, green and blue.
RANGES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0..255": ((0.0,) * 3, (1.0,) * 3),
    "(x - 127.5) / 128": ((127.5,) * 3, (1 / 128,) * 3),
    "(x - 127.5) / 127.5": ((127.5,) * 3, (1 / 127.5,) * 3),
    "x / 255": ((0.0,) * 3, (1 / 255,) * 3),
    "ImageNet's": ((123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375)),  # 255 * mean and std of its images
}
