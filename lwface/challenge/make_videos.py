"""Generated data of a recognition track of videos: folders of aligned frames and a list of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lwface.base.files import replacing, write_text
from lwface.base.progress import progress
from lwface.challenge.make_images import DIFFICULTY, FEWEST_PEOPLE, IMAGES_A_PERSON, finish, grey_feature
from lwface.formats.image import encode_jpeg
from lwface.synthetic.render import sample_image

FRAMES = 2
SEED_SHIFT = 1  # other people than those of the images
README = """# Videos

* `test/`: a folder of aligned frames of 112x112 a video, and `filelist.txt`, which fixes the order of rows.
* `sample_submission.bin`: what is handed in, as gen_video_feature.py writes it: a row a video. Here a row is the
  mean of small grey pictures.

To train: datasets/make_synthetic.py makes other procedural people.
"""


def make(reference: Path, kit: Path, samples: int, seed: int) -> None:
    """Write the labels of about ``samples`` videos into ``reference``, and what participants get into ``kit``."""
    people = max(FEWEST_PEOPLE, samples // IMAGES_A_PERSON)
    order = np.random.default_rng(seed + SEED_SHIFT).permutation(people * IMAGES_A_PERSON) // IMAGES_A_PERSON
    names, features = [], []
    for number, person in enumerate(progress(order.tolist(), label="videos", unit="video")):
        names.append(f"video{number:05}")
        rows = []
        for frame in range(FRAMES):
            own = sample_image(
                seed + SEED_SHIFT, person, FRAMES * number + frame, difficulty=DIFFICULTY, crop_only=True
            )
            with replacing(kit / "test" / names[-1] / f"{frame:05}.jpg") as file:
                file.write(encode_jpeg(own.crop))
            rows.append(grey_feature(own.crop))
        total = np.sum(rows, axis=0, dtype=np.float64)
        features.append((total / np.linalg.norm(total)).astype(np.float32))
    finish(reference, kit, names, np.stack(features), order)
    write_text(kit / "README.md", README)
