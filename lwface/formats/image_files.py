"""What image files are called, and how JPEG ones are written; nothing heavy is imported here."""

from __future__ import annotations

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
JPEG_QUALITY = 95


def is_image_name(name: str) -> bool:
    """Whether ``name`` ends like an image file that :func:`lwface.formats.image.decode_rgb` can read."""
    return name.lower().endswith(IMAGE_SUFFIXES)
