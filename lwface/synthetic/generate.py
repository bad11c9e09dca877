"""The data set on disk: what is made of whom, in pieces that several processes work on, put together at the end.

A piece is all pictures of one person for one purpose. A worker writes a piece as one file into the work folder, beside
and renamed; the journal then names it as done. When all pieces are there they are put together in their order, so
neither the number of workers nor an interruption changes a byte of the result.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lwface.base.files import replacing, write_text
from lwface.base.journal import WORK, Journal
from lwface.base.progress import progress
from lwface.formats.alignment import CROP_SIZE
from lwface.formats.face_records import identity_records
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.formats.verification_pack import write_pack
from lwface.settings.dataset_folder import TEACHER
from lwface.synthetic.knowledge import write_teacher
from lwface.synthetic.options import Options
from lwface.synthetic.person import person
from lwface.synthetic.render import Picture, sample_image
from lwface.synthetic.video import video
from lwface.synthetic.workers import made_by

VERSION = 2  # of the faces: a change of this module's output changes it
PRODUCTS = (
    "train.rec",
    "train.idx",
    "train.lst",
    "property",
    "heldout.bin",
    "images",
    "videos",
    "frames",
    "annotations.csv",
    WORK,
    TEACHER,
)
PACK_IMAGES_PER_PERSON = 8


@dataclass(frozen=True)
class Piece:
    """All pictures of one person for one purpose; ``name`` is unique."""

    split: str  # "train", "pack", "image", "video"
    identity: int
    count: int
    video: int = 0

    @property
    def name(self) -> str:
        """Such as ``train-00012`` or ``video-00153-1``."""
        return f"{self.split}-{self.identity:05d}" + (f"-{self.video}" if self.split == "video" else "")

    def picture(self, number: int) -> str:
        """Name of picture ``number``, without a suffix."""
        folder = f"{self.identity:05d}_{self.video}" if self.split == "video" else f"{self.identity:05d}"
        return f"{folder}/{number:04d}"


def pieces(options: Options) -> list[Piece]:
    """All pieces in their order: identities 0.. to train, then those held out, then those of the pack."""
    train, held = options.train_people, options.heldout_people
    result = [Piece("train", i, options.images_per_person) for i in range(train)]
    result += [Piece("image", train + i, options.heldout_images) for i in range(held)]
    result += [
        Piece("video", train + i, options.video_frames, v)
        for i in range(options.video_people)
        for v in range(options.videos_per_person)
    ]
    return result + [Piece("pack", train + held + i, PACK_IMAGES_PER_PERSON) for i in range(options.pack_people)]


def samples(piece: Piece, options: Options) -> Iterator[Picture]:
    """The pictures of a piece."""
    if piece.split == "video":
        yield from video(
            options.seed,
            piece.identity,
            piece.video,
            frames=piece.count,
            fps=options.video_fps,
            difficulty=options.difficulty,
            ranges=options.ranges,
            crop_only=not options.frames,
        )
    else:
        for index in range(piece.count):
            yield sample_image(
                options.seed,
                piece.identity,
                index,
                difficulty=options.difficulty,
                ranges=options.ranges,
                crop_only=not options.frames,
            )


COLUMNS = (
    ["image", "split", "identity", "yaw", "pitch", "roll"]
    + [f"{axis}{i}" for i in range(68) for axis in "xy"]
    + [f"five_{axis}{i}" for i in range(5) for axis in "xy"]
)


def make_piece(piece: Piece, options: Options, output: Path) -> Piece:
    """Render a piece and write it: crops and annotations into the work folder, frames where they belong."""
    crops, rows = [], []
    for number, sample in enumerate(samples(piece, options)):
        crops.append(np.frombuffer(encode_jpeg(sample.crop), np.uint8))
        points = np.concatenate((sample.landmarks68.ravel(), sample.landmarks5.ravel()))
        rows.append(np.concatenate((sample.pose, points)).astype(np.float32))
        if options.frames:
            path = output / "frames" / piece.split / f"{piece.picture(number)}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(sample.frame))
    with replacing(output / WORK / f"{piece.name}.npz") as file:
        np.savez(file, jpegs=np.concatenate(crops), lengths=[len(c) for c in crops], rows=np.stack(rows))
    return piece


def make_pieces(wanted: Sequence[Piece], options: Options, output: Path, journal: Journal, workers: int) -> None:
    """Make every piece that the journal does not name yet, in ``workers`` processes (1: in this one)."""
    done = {entry.name for entry in journal.entries()}
    missing = [piece for piece in wanted if piece.name not in done]
    total = sum(piece.count for piece in wanted)
    (output / WORK).mkdir(exist_ok=True)
    initial = total - sum(piece.count for piece in missing)
    with progress(total=total, label="faces", unit="image", initial=initial) as bar:
        if missing and workers > 1:
            sample_image(options.seed, missing[0].identity, 0, difficulty=options.difficulty)  # compiles, once for all
        for piece in made_by(partial(make_piece, options=options, output=output), missing, workers):
            journal.add(True, piece.name, str(piece.count))
            bar.update(piece.count)


def load_piece(piece: Piece, output: Path) -> tuple[list[bytes], np.ndarray]:
    """The crops' JPEGs and the rows (N, 149) of a piece that was made."""
    with np.load(output / WORK / f"{piece.name}.npz", allow_pickle=False) as stored:
        ends = np.cumsum(stored["lengths"])
        data = stored["jpegs"].tobytes()
        return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)], stored["rows"]


def assemble(wanted: Sequence[Piece], options: Options, output: Path) -> dict[str, Any]:
    """Put the pieces together into the files of the data set; returns how much there is of each."""
    train = [p for p in wanted if p.split == "train"]
    _write_train(train, output)
    if options.teacher:
        people = [person(options.seed, piece.identity, options.ranges) for piece in train]
        write_teacher(output / TEACHER, people, options.images_per_person)
    _write_images([p for p in wanted if p.split == "image"], output)
    _write_videos([p for p in wanted if p.split == "video"], output)
    _write_pack([p for p in wanted if p.split == "pack"], options, output)
    with replacing(output / "annotations.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for piece in wanted:
            for number, row in enumerate(load_piece(piece, output)[1]):
                name = f"{piece.split}/{piece.picture(number)}.jpg"
                writer.writerow([name, piece.split, piece.identity, *(f"{value:.2f}" for value in row)])
    return {
        "train_images": options.train_people * options.images_per_person,
        "heldout_images": options.heldout_people * options.heldout_images,
        "videos": options.video_count,
        "video_frames": options.video_count * options.video_frames,
        "pack_pairs": options.pack_pairs,
    }


def _write_train(train: Sequence[Piece], output: Path) -> None:
    starts, key = [], 1
    with (
        RecordWriter(output / "train.rec") as writer,
        replacing(output / "train.lst", "w", encoding="utf-8", newline="\n") as listing,
    ):
        for label, piece in enumerate(train):
            starts.append(key)
            for number, jpeg in enumerate(load_piece(piece, output)[0]):
                writer.write(key, pack(Header(0, label, key, 0), jpeg))
                listing.write(f"1\ttrain/{piece.picture(number)}.jpg\t{label}\n")
                key += 1
        for tail_key, payload in identity_records(starts, key):
            writer.write(tail_key, payload)
    write_text(output / "property", f"{len(train)},{CROP_SIZE},{CROP_SIZE}\n")


def _write_images(held: Sequence[Piece], output: Path) -> None:
    names, labels = [], []
    for piece in held:
        for number, jpeg in enumerate(load_piece(piece, output)[0]):
            path = output / "images" / f"{piece.picture(number)}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg)
            names.append(f"{piece.picture(number)}.jpg")
            labels.append(piece.identity)
    _write_list(output / "images", names, labels)


def _write_videos(videos: Sequence[Piece], output: Path) -> None:
    names, labels = [], []
    for piece in videos:
        folder = Path(piece.picture(0)).parent
        (output / "videos" / folder).mkdir(parents=True, exist_ok=True)
        for number, jpeg in enumerate(load_piece(piece, output)[0]):
            (output / "videos" / f"{piece.picture(number)}.jpg").write_bytes(jpeg)
        names.append(str(folder))
        labels.append(piece.identity)
    if videos:
        _write_list(output / "videos", names, labels)


def _write_list(folder: Path, names: list[str], labels: list[int]) -> None:
    write_text(folder / "filelist.txt", "".join(f"{name}\n" for name in names))
    write_text(folder / "labels.txt", "".join(f"{label}\n" for label in labels))


def _write_pack(people: Sequence[Piece], options: Options, output: Path) -> None:
    """Pairs of one person and of two people by turns, so that every fold of the usual ten holds as many of both."""
    rng = np.random.default_rng((options.seed, VERSION, 1))
    jpegs = [load_piece(piece, output)[0] for piece in people]
    images: list[bytes] = []
    same = np.arange(options.pack_pairs) % 2 == 0
    for genuine in same:
        if genuine:
            who, (a, b) = rng.integers(len(people)), rng.choice(PACK_IMAGES_PER_PERSON, 2, replace=False)
            images += [jpegs[who][a], jpegs[who][b]]
        else:
            who, other = rng.choice(len(people), 2, replace=False)
            a, b = rng.integers(PACK_IMAGES_PER_PERSON, size=2)
            images += [jpegs[who][a], jpegs[other][b]]
    write_pack(output / "heldout.bin", images, same)


def generate(options: Options, output: Path, journal: Journal, workers: int) -> None:
    """Make the whole data set in ``output`` and end ``journal`` with the manifest."""
    wanted = pieces(options)
    make_pieces(wanted, options, output, journal, workers)
    counts = assemble(wanted, options, output)
    journal.finish({"version": VERSION, "options": asdict(options), **counts})
