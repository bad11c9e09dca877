"""What the folders and the tables of the YouTube Faces teaching set are called; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

PARTS = ("training", "test")


def tables(root: Path) -> list[Path]:
    """The csv of landmarks of each part of the set in ``root``."""
    return [root / f"{part}_keypoints.csv" for part in PARTS]
