"""The frames of the YouTube Faces teaching set (udacity/P1_Facial_Keypoints): people, videos and landmarks by name.

``training/`` and ``test/`` hold frames of the same people and videos under the same names; a frame is ``PERSON_VF.jpg``
with one digit of video and one of frame. Each has a csv of 68 landmarks beside it that covers a part of the frames.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lwface.base.account import Account
from lwface.base.dice import shuffled
from lwface.base.errors import UserError
from lwface.formats.image_walk import walk_images
from lwface.formats.landmark_csv import read_landmarks
from lwface.making.image_folder import Sample
from lwface.making.youtube_names import PARTS

_FRAME_NAME = re.compile(r"(?P<person>.+)_(?P<video>\d)(?P<frame>\d)\.jpg")


@dataclass
class YoutubeFaces:
    """All different frames that have landmarks, ordered by person, video and name, and what was left out."""

    samples: list[Sample] = field(default_factory=list)
    landmarks: dict[str, np.ndarray] = field(default_factory=dict)
    account: Account = field(default_factory=Account)


def read_youtube_faces(root: Path) -> YoutubeFaces:
    """Read names and landmarks below ``root``; exact copies of a frame count once. ``Sample.group`` is the video."""
    found = YoutubeFaces()
    samples, unnamed = [], []
    for part in PARTS:
        for image, points in read_landmarks(root / f"{part}_keypoints.csv").items():
            found.landmarks[f"{part}/{image}"] = points
        walk = walk_images(root / part)
        found.account.leave_out(walk.account)
        for name in walk.names:
            match = _FRAME_NAME.fullmatch(name)
            if match is None:
                unnamed.append(f"{part}/{name}")
            else:
                samples.append(Sample(f"{part}/{name}", match["person"], f"{match['person']}_{match['video']}"))
    if not samples:
        raise UserError(f"{root}: no frames called PERSON_VF.jpg in its folders {' and '.join(PARTS)}")
    bare = [sample.name for sample in samples if sample.name not in found.landmarks]
    found.account.skip("the name is not PERSON_VF.jpg", *sorted(unnamed))
    found.account.skip("no landmarks", *sorted(bare))
    lost = found.landmarks.keys() - {sample.name for sample in samples}
    found.account.skip("landmarks without a frame", *sorted(lost))
    seen: set[bytes] = set()
    copies = []
    for sample in sorted(samples, key=lambda s: (s.person, s.group, s.name)):
        if sample.name not in found.landmarks:
            continue
        digest = hashlib.sha256((root / sample.name).read_bytes()).digest()
        if digest in seen:
            copies.append(sample.name)
        else:
            seen.add(digest)
            found.samples.append(sample)
    found.account.skip("exact copy of another frame", *sorted(copies))
    found.account.taken = len(found.samples)
    return found


def split_people(samples: list[Sample], train_people: int, seed: int) -> tuple[list[Sample], list[Sample]]:
    """``(training, held out)``: all samples of ``train_people`` people drawn by ``seed``, and all of the others."""
    people = sorted({sample.person for sample in samples})
    if not 1 <= train_people < len(people):
        raise UserError(
            f"--train-people {train_people}: from 1 to {len(people) - 1} of the {len(people)} people can train"
        )
    chosen = set(shuffled(people, random.Random(seed))[:train_people])
    return [s for s in samples if s.person in chosen], [s for s in samples if s.person not in chosen]


def crop_name(sample: Sample) -> tuple[str, str]:
    """``(video, frame)`` such as ``("Abdullah_Gul_3", "training1.jpg")``: the two parts have frames of equal names."""
    part, _, name = sample.name.partition("/")
    return sample.group, f"{part}{name[-5]}.jpg"
