"""Generated data of a recognition track of images: aligned procedural faces and a list of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.files import replacing, write_text
from lwface.base.progress import progress
from lwface.formats.feature_file import FeatureWriter
from lwface.formats.file_list import LIST_NAME
from lwface.formats.image import encode_jpeg
from lwface.synthetic.render import sample_image

IMAGES_A_PERSON = 4
FEWEST_PEOPLE = 20  # so that both sides have 100 impostor pairs, which FAR 1e-2 needs, and the public one intervals
DIFFICULTY = 0.4  # of make_synthetic.py's
SAMPLE = "sample_submission.bin"
GREYS = 16  # of a picture's side in the sample's features
README = """# Faces

* `test/`: aligned faces of 112x112 and `filelist.txt`, which fixes the order of rows.
* `sample_submission.bin`: what is handed in, as gen_image_feature.py writes it: four little-endian int32
  rows, cols, cols * 4, 5, then the float32 rows. Here a row is a small grey picture.

To train: datasets/make_synthetic.py makes other procedural people.
"""


def make(reference: Path, kit: Path, samples: int, seed: int) -> None:
    """Write the labels of about ``samples`` images into ``reference``, and what participants get into ``kit``."""
    people = max(FEWEST_PEOPLE, samples // IMAGES_A_PERSON)
    order = np.random.default_rng(seed).permutation(people * IMAGES_A_PERSON) // IMAGES_A_PERSON
    names, features = [], []
    for number, person in enumerate(progress(order.tolist(), label="faces", unit="face")):
        crop = sample_image(seed, person, number, difficulty=DIFFICULTY, crop_only=True).crop
        names.append(f"image{number:05}.jpg")
        with replacing(kit / "test" / names[-1]) as file:
            file.write(encode_jpeg(crop))
        features.append(grey_feature(crop))
    finish(reference, kit, names, np.stack(features), order)
    write_text(kit / "README.md", README)


def grey_feature(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A small grey picture of a face as a unit row: what nothing was learnt for."""
    grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (GREYS, GREYS), interpolation=cv2.INTER_AREA)
    row = grey.astype(np.float64).ravel()
    row -= row.mean()
    return np.asarray(row / np.linalg.norm(row), np.float32)


def finish(
    reference: Path, kit: Path, names: list[str], features: NDArray[np.float32], order: NDArray[np.int64]
) -> None:
    """Write list, labels and sample submission."""
    write_text(kit / "test" / LIST_NAME, "".join(f"{name}\n" for name in names))
    write_text(reference / "labels.txt", "".join(f"{person}\n" for person in order.tolist()))
    with FeatureWriter(kit / SAMPLE, *features.shape) as writer:
        writer.write(features)
