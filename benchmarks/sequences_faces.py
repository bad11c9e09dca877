"""The YouTube Faces teaching set in the faceless challenge's form, as benchmarks/sequences.py takes it.

    python benchmarks/sequences_faces.py --input ytf-keypoints --output faces
    python benchmarks/sequences_faces.py --input ytf-keypoints --output faces-masked --masked

Frames are scaled to 64x64; --masked paints the hull of the 68 points grey, so that hair and background are what is
left. The pose has nose, eyes and ears, made of the points; these are faces, so that shoulders and all below are not
there. What people wear is not known: outings.csv says "unknown" of every video. The output is for research only.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.account import print_summary
from lwface.base.commands import HelpFormatter, existing, run_command
from lwface.base.files import replacing
from lwface.base.progress import progress
from lwface.formats.frame_tar import write_frames
from lwface.formats.image import encode_jpeg, read_rgb
from lwface.formats.sequence_pickles import write_pose
from lwface.making.youtube_faces import read_youtube_faces

SIDE, GREY, QUALITY = 64, 127, 90
# COCO's nose, eyes and ears of the 68 points, whose first ones are at the picture's left: the person's right.
POINTS = ((30,), tuple(range(42, 48)), tuple(range(36, 42)), (16,), (0,))


def pose_of(landmarks: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Points (17, 2) as parts of the sides; those that a face does not have are 0.5."""
    found = np.full((17, 2), 0.5)
    for place, members in enumerate(POINTS):
        found[place] = landmarks[list(members)].mean(axis=0) / (width, height)
    return found


def frame_of(path: Path, landmarks: NDArray[np.float64], *, masked: bool) -> tuple[bytes, NDArray[np.float64]]:
    """A frame as a JPEG of 64x64, and its pose."""
    image = read_rgb(path)
    height, width = image.shape[:2]
    if masked:
        cv2.fillConvexPoly(image, cv2.convexHull(np.round(landmarks).astype(np.int32)), (GREY, GREY, GREY))
    small = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    return encode_jpeg(small, QUALITY), pose_of(landmarks, width, height)


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--input", type=Path, metavar="FOLDER", required=True, help="the teaching set")
    parser.add_argument("--output", type=Path, metavar="FOLDER", required=True, help="folder to write into")
    parser.add_argument("--masked", action="store_true", help="paint the face grey")
    arguments = parser.parse_args()
    existing(arguments.input)
    found = read_youtube_faces(arguments.input)
    print_summary(found.account.as_json(), "frames")
    people = {name: place for place, name in enumerate(sorted({sample.person for sample in found.samples}))}
    videos = {name: place for place, name in enumerate(sorted({str(sample.group) for sample in found.samples}))}
    counts: Counter[str] = Counter()
    frames, points = {}, []
    for sample in progress(found.samples, label="frames", unit=" frames"):
        folder = f"person_{people[sample.person]:04}/video_{videos[str(sample.group)]:04}"
        name = f"{folder}/seq_0000/frame_{counts[folder]:05}.jpg"
        counts[folder] += 1
        landmarks = np.asarray(found.landmarks[sample.name], np.float64)
        frames[name], pose = frame_of(arguments.input / sample.name, landmarks, masked=arguments.masked)
        points.append(pose)
    order = np.argsort(list(frames))
    names = [list(frames)[place] for place in order]
    write_frames(arguments.output / "images.tar", ((name, frames[name]) for name in names))
    scores = np.where(np.arange(17) < len(POINTS), 1.0, -1.0)
    write_pose(arguments.output / "pose.pkl", names, np.stack(points)[order], np.tile(scores, (len(names), 1)))
    with replacing(arguments.output / "outings.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["video", "outfit", "clothes"])
        table.writerows([folder, "", "unknown"] for folder in sorted(counts))
    print(f"{arguments.output}: {len(names)} frames in {len(counts)} videos of {len(people)} people")


if __name__ == "__main__":
    run_command(main)
