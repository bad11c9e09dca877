"""Video track: folders of frames listed in ``filelist.txt`` -> a feature file, one row a video in the list's order."""

from __future__ import annotations

import argparse

from lwface.base.commands import load
from lwface.commands import gen_feature

DESCRIPTION = (
    "Write the features of the videos of a list: each frame's feature L2-normalised, summed over the "
    "video's images, L2-normalised; or what --aggregate makes of the frames."
)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    return gen_feature.parse_arguments("video", DESCRIPTION, False, argv)


def main(argv: list[str] | None = None) -> None:
    """Write the feature file named on the command line."""
    arguments = parse_arguments(argv)
    load("torch", "cv2")
    gen_feature.write_feature_file("video", arguments)
