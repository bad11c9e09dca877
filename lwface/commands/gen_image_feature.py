"""Image track: a folder with ``filelist.txt`` -> a feature file, one row an image in the order of the list."""

from __future__ import annotations

import argparse

from lwface.base.commands import load
from lwface.commands import gen_feature

DESCRIPTION = "Write the features of the images of a list: f(image) + f(mirrored image), L2-normalised."


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    return gen_feature.parse_arguments("image", DESCRIPTION, True, argv)


def main(argv: list[str] | None = None) -> None:
    """Write the feature file named on the command line."""
    arguments = parse_arguments(argv)
    load("torch", "cv2")
    gen_feature.write_feature_file("image", arguments)
