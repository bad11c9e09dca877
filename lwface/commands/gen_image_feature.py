"""Image track: a folder with ``filelist.txt`` -> a feature file, one row an image in the order of the list."""

from __future__ import annotations

from lwface.commands.gen_feature import write_feature_file


def main() -> None:
    """Write the feature file named on the command line."""
    write_feature_file(
        "image",
        description="Write the features of the images of a list: f(image) + f(mirrored image), L2-normalised.",
        flip=True,
    )
