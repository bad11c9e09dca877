"""Generated data of a sequence track: small crops of procedural people in two tars, as the challenge packs them.

The crops show faces, which the challenge's do not: they stand in for it, so that everything runs.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.files import replacing, write_text
from lwface.base.progress import progress
from lwface.formats.image import encode_jpeg
from lwface.formats.sequence_submission import SequenceTruth, guess_count, write_guesses, write_people, write_truth
from lwface.synthetic.render import sample_image

SIDE = 64  # pixels of a crop, either way
SEQUENCES_A_PERSON = 3  # of the test
FEWEST_PEOPLE = 6
DIFFICULTY = 0.4  # of make_synthetic.py's
SAMPLE = "sample_submission.json"
README = """# Who is on each sequence

* `train.tar`: person_0000/channel_0000/seq_0000/frame_00000.jpg, crops of 64x64. A person's place is the number in it.
* `test.tar`: seq_0000/frame_00000.jpg, sequences whose people are asked for.
* `sample_submission.json`: what is handed in, a list with five places a sequence, the best first, in the order of the
  sequences' names; here the nearest by mean colour. A table sample,guess_1,...,guess_5 will do, too.
"""


def make(reference: Path, kit: Path, samples: int, seed: int) -> None:
    """Write the truth of about ``samples`` sequences into ``reference``, and what participants get into ``kit``."""
    people = max(FEWEST_PEOPLE, samples // SEQUENCES_A_PERSON)
    samples = max(samples, 2)
    train: dict[str, NDArray[np.uint8]] = {}
    test: dict[str, NDArray[np.uint8]] = {}
    order = np.random.default_rng(seed).permutation(samples)
    for number in progress(range(people + samples), label="crops", unit="crop"):
        own = number if number < people else int(order[number - people]) % people
        crop = sample_image(seed, own, number, difficulty=DIFFICULTY, crop_only=True).crop
        small = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
        if number < people:
            train[f"person_{own:04}/channel_0000/seq_0000/frame_00000.jpg"] = small
        else:
            test[f"seq_{number - people:04}/frame_00000.jpg"] = small
    _write_tar(kit / "train.tar", train)
    _write_tar(kit / "test.tar", test)
    indices = order % people
    names = [path.split("/")[0] for path in test]
    known = [f"person_{person:04}" for person in range(people)]
    write_truth(reference / "truth.csv", SequenceTruth(names, indices, [known[index] for index in indices.tolist()]))
    write_people(reference / "people.csv", known)
    means = [np.stack([crop.mean(axis=(0, 1)) for crop in crops.values()]) for crops in (test, train)]
    distances = np.linalg.norm(means[0][:, None] - means[1], axis=2)
    guesses = np.argsort(distances, axis=1, kind="stable")[:, : guess_count(people)]
    write_guesses(kit / SAMPLE, names, guesses)
    write_text(kit / "README.md", README)


def _write_tar(path: Path, crops: dict[str, NDArray[np.uint8]]) -> None:
    """Equal crops give equal bytes."""
    with replacing(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, crop in crops.items():
            data = encode_jpeg(crop)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
