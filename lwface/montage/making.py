"""Makes videos of the montage challenge: of the YouTube Faces teaching set, or of video files."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.account import Account
from lwface.base.dice import shuffled
from lwface.base.errors import UserError
from lwface.base.files import replacing_folder
from lwface.base.progress import progress
from lwface.formats.image import read_rgb
from lwface.formats.montage_video import (
    ENDING,
    FaceVideo,
    ListedVideo,
    person_of,
    write_face_video,
    write_video_list,
)
from lwface.making.image_folder import Sample
from lwface.making.youtube_faces import read_youtube_faces
from lwface.montage.queries import followed_video

TRAIN, TEST, LIST = "train", "test", "videos.csv"
VIDEO_ENDINGS = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"})

Images = NDArray[np.uint8]
Points = NDArray[np.float64]


class _Job(NamedTuple):
    """A video to make, and what makes its frames (T, H, W, 3) and points (T, 68, 2); none of either: left out."""

    listed: ListedVideo
    make: Callable[[Account], tuple[Images, Points] | None]


def make_of_teaching_set(
    root: Path, output: Path, test_people: int, seed: int, *, join: bool = False
) -> dict[str, Any]:
    """Each video of the set as one, or with ``join`` each person's frames, the training ones of a video first.

    Frames of another size than their video's first are left out; joined, they are fitted into it.
    """
    found = read_youtube_faces(root)
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in sorted(found.samples, key=_by_time):
        groups[f"{sample.person}_0" if join else sample.group].append(sample)
    jobs = [
        _Job(ListedVideo(name, samples[0].person), _frames_of(root, samples, found.landmarks, join))
        for name, samples in sorted(groups.items())
    ]
    return _write(jobs, output, test_people, seed, Account(reasons=found.account.reasons))


def _by_time(sample: Sample) -> tuple[str, str, bool, str]:
    part, _, name = sample.name.partition("/")
    return sample.person, sample.group, part != "training", name


def _frames_of(
    root: Path, samples: list[Sample], landmarks: dict[str, NDArray[np.floating]], join: bool
) -> Callable[[Account], tuple[Images, Points] | None]:
    def make(account: Account) -> tuple[Images, Points] | None:
        images: list[Images] = []
        points: list[Points] = []
        for sample in samples:
            image, own = read_rgb(root / sample.name), np.asarray(landmarks[sample.name], np.float64)
            if images and image.shape != images[0].shape:
                if not join:
                    account.skip("of another size than the video's first", sample.name)
                    continue
                image, own = _fitted(image, own, images[0].shape[:2])
            images.append(image)
            points.append(own)
        account.taken += len(images)
        return np.stack(images), np.stack(points)

    return make


def _fitted(image: Images, points: Points, size: tuple[int, ...]) -> tuple[Images, Points]:
    """The picture in the middle of a frame of ``size``, as large as it goes in; its border is repeated around it."""
    height, width = image.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    shift = np.array([size[1] - scale * width, size[0] - scale * height]) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    drawn = cv2.warpAffine(image, matrix, (size[1], size[0]), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.uint8), points * scale + shift


def make_of_files(root: Path, output: Path, test_people: int, seed: int, **finder: str | None) -> dict[str, Any]:
    """Each video file below ``root`` as one; ``finder`` is what finds the landmarks, as ``followed_video`` takes it.

    Raises:
        UserError: there is no video file, or two have one name.
    """
    account = Account()
    paths = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        if path.suffix.lower() in VIDEO_ENDINGS:
            paths.append(path)
        else:
            account.skip("no video file, by its ending", str(path.relative_to(root)))
    names = [path.stem for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not paths:
        raise UserError(f"{root}: has no video file in it ({', '.join(sorted(VIDEO_ENDINGS))})")
    if twice:
        raise UserError(f"{root}: two videos are called {twice[0]}; names tell videos apart")
    jobs = [_Job(ListedVideo(path.stem, person_of(path.stem)), _followed(path, finder)) for path in paths]
    return _write(jobs, output, test_people, seed, account)


def _followed(path: Path, finder: dict[str, str | None]) -> Callable[[Account], tuple[Images, Points] | None]:
    def make(account: Account) -> tuple[Images, Points] | None:
        try:
            video: FaceVideo = followed_video(path, None, **finder).video
        except UserError as error:
            account.skip(f"the whole video: {error}", path.name)
            return None
        kept = video.with_face
        account.skip("no face", *(f"{path.name} frame {number}" for number in np.flatnonzero(~kept)))
        account.taken += int(kept.sum())
        return np.ascontiguousarray(video.images.transpose(3, 0, 1, 2)[kept]), video.points[kept]

    return make


def _write(jobs: list[_Job], output: Path, test_people: int, seed: int, account: Account) -> dict[str, Any]:
    """Both parts, in a folder that gets its name when all of it is there."""
    people = sorted({job.listed.person for job in jobs})
    if not 0 <= test_people < len(people):
        raise UserError(f"--test-people {test_people}: from 0 to {len(people) - 1} of the {len(people)} people")
    test = set(shuffled(people, random.Random(seed))[:test_people])
    if output.is_dir():
        output.rmdir()  # empty, as was looked for
    told: dict[str, Any] = {}
    with replacing_folder(output) as folder:
        for part in (TRAIN, TEST):
            own = [job for job in jobs if (job.listed.person in test) == (part == TEST)]
            told[part] = _write_part(own, folder / part, account)
    told["account"] = account.as_json()
    return told


def _write_part(jobs: list[_Job], folder: Path, account: Account) -> dict[str, int]:
    folder.mkdir()
    rows: list[tuple[ListedVideo, tuple[int, int], int]] = []
    for job in _shown(jobs, folder.name):
        made = job.make(account)
        if made is not None:
            images, points = made
            write_face_video(folder / f"{job.listed.name}{ENDING}", images, points)
            rows.append((job.listed, (images.shape[1], images.shape[2]), len(images)))
    if rows:
        write_video_list(folder / LIST, iter(rows))
    return {
        "videos": len(rows),
        "people": len({listed.person for listed, _, _ in rows}),
        "frames": sum(frames for _, _, frames in rows),
    }


def _shown(jobs: list[_Job], label: str) -> Iterable[_Job]:
    shown: Iterable[_Job] = progress(jobs, label=label, unit="video")
    return shown
