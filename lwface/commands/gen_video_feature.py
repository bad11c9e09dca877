"""Video track: folders of frames listed in ``filelist.txt`` -> a feature file, one row a video in the list's order."""

from __future__ import annotations

from lwface.commands.gen_feature import write_feature_file


def main() -> None:
    """Write the feature file named on the command line."""
    write_feature_file(
        "video",
        description="Write the features of the videos of a list: each frame's feature L2-normalised, summed over the "
        "video's *.jpg, L2-normalised; or what --aggregate makes of the frames.",
        flip=False,
    )
