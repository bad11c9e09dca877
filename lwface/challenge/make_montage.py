"""Generated data of a montage track: videos of procedural people, some to show and some to follow."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.files import replacing, write_text
from lwface.base.progress import progress
from lwface.formats.montage_video import ENDING, ListedVideo, write_face_video, write_video_list
from lwface.synthetic.video import video

FRAMES = 8  # of a video
DATABASE = 4  # videos to show frames of
FEWEST_QUERIES = 3
SAMPLES_A_QUERY = 12
DIFFICULTY = 0.4  # of make_synthetic.py's
VIDEOS, QUERIES, LIST, SAMPLE = "videos", "queries", "videos.csv", "sample_submission.zip"
README = """# A montage that follows a face

* `videos/`: the database, `NAME.npz` with colorImages and landmarks2D, and `videos.csv`.
* `queries/`: videos to follow, likewise.
* `sample_submission.zip`: what is handed in, a `NAME.npz` for each query, without a folder: `colorImages`
  (H, W, 3, T) uint8 as shown, `landmarks2D` (68, 2, T), `frameIndex` (T,) the rows of the database, counted from 0 in
  the order of `videos.csv`, -1 for a dropped frame, and, where frames were moved, `matrix` (T, 2, 3) from the
  database's pixels to those shown. Here: the frame whose landmarks are the nearest, as it is.
"""

Clip = tuple[NDArray[np.uint8], NDArray[np.float64]]  # (T, H, W, 3), (T, 68, 2)


def make(reference: Path, kit: Path, samples: int, seed: int) -> None:
    """Write queries and database into ``reference``, the same and a sample into ``kit``: no truth is hidden here."""
    queries = max(FEWEST_QUERIES, samples // SAMPLES_A_QUERY)
    clips = [_clip(seed, number) for number in progress(range(DATABASE + queries), label="videos", unit="video")]
    for folder, first, own in ((VIDEOS, 0, clips[:DATABASE]), (QUERIES, DATABASE, clips[DATABASE:])):
        rows = []
        for number, (images, points) in enumerate(own, start=first):
            name = f"person{number:03}_0"
            write_face_video(reference / folder / f"{name}{ENDING}", images, points)
            rows.append((ListedVideo(name, f"person{number:03}"), (images.shape[1], images.shape[2]), len(images)))
        write_video_list(reference / folder / LIST, iter(rows))
        shutil.copytree(reference / folder, kit / folder)
    with replacing(kit / SAMPLE) as file, zipfile.ZipFile(file, "w") as archive:
        for number, (_, points) in enumerate(clips[DATABASE:], start=DATABASE):
            entry = zipfile.ZipInfo(f"person{number:03}_0{ENDING}", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, _nearest(points, clips[:DATABASE]))
    write_text(kit / "README.md", README)


def _clip(seed: int, person: int) -> Clip:
    pictures = list(video(seed, person, 0, frames=FRAMES, difficulty=DIFFICULTY))
    points = np.stack([picture.landmarks68.astype(np.float64) for picture in pictures])
    return np.stack([picture.frame for picture in pictures]), points


def _nearest(asked: NDArray[np.float64], database: list[Clip]) -> bytes:
    """An ``.npz`` of the frames whose landmarks are the nearest to those of a query (T, 68, 2)."""
    images, points = (np.concatenate(part) for part in zip(*database, strict=True))
    rows = np.abs(asked[:, None] - points).mean(axis=(2, 3)).argmin(axis=1)
    written = io.BytesIO()
    np.savez_compressed(
        written,
        colorImages=np.ascontiguousarray(images[rows].transpose(1, 2, 3, 0)),
        landmarks2D=points[rows].transpose(1, 2, 0),
        frameIndex=rows.astype(np.int64),
    )
    return written.getvalue()
