"""What image files are called and begin with, and how JPEG ones are written; nothing heavy is imported here."""

from __future__ import annotations

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
    *(".pgm", ".ppm", ".pbm", ".pnm"),
)
JPEG_QUALITY = 95
JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"
STARTS = {".jpg": JPEG_START, ".png": PNG_START, ".bmp": b"BM", ".webp": b"RIFF"}


def is_image_name(name: str) -> bool:
    """Whether ``name`` ends like an image file that :func:`lwface.formats.image.decode_rgb` can read."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def image_ending(data: bytes) -> str:
    """The ending of a file that begins like ``data``; empty for one of no kind that is read."""
    return next((ending for ending, start in STARTS.items() if data.startswith(start)), "")
