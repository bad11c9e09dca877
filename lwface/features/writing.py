"""From a file list or a pack to a feature file: the work behind ``gen_image_feature.py`` and ``gen_video_feature.py``.

The images of all rows (one an image, the frames of a video) form one stream that is cut into full batches, so videos of
different lengths waste nothing. Threads decode the next batches while the network runs (OpenCV lets go of Python's
lock) and rows go to the file as they are finished: memory holds a few batches, however long the list. (For videos also
four bytes a row, its number of frames, and where the aggregation asks for it the features of one video's frames.)

The grid of batches is fixed by the stream, not by where a run starts: a resumed run puts each image at the same place
of a batch of the same size, and so writes the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import sys
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from lwface.base.account import Account
from lwface.base.errors import UserError
from lwface.base.files import PathLike, naming
from lwface.base.notes import note
from lwface.base.progress import progress
from lwface.features.aggregation import MEAN, Aggregation, RowPools, normalise
from lwface.features.embedder import Embedder
from lwface.formats.face_records import FaceRecords
from lwface.formats.feature_file import FeatureWriter, Identity
from lwface.formats.file_list import LIST_NAME, FileList, open_list
from lwface.formats.image import decode_rgb, image_damage
from lwface.formats.image_walk import frames_in
from lwface.formats.verification_pack import read_pack

LISTED_FAULTS = 10
BATCHES_AHEAD = 2  # decoded and waiting, beyond the one each worker is at


@dataclass
class Faults:
    """Counts what cannot be used and keeps the first few, for one error about all of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, path: PathLike, reason: str) -> None:
        """Note that the file or folder ``path`` cannot be used."""
        self.count += 1
        if len(self.first) < LISTED_FAULTS:
            self.first.append(f"{os.fspath(path)}: {reason}")

    def error(self, what: str, advice: str) -> UserError:
        """One error that lists the first and counts all."""
        more = f"; and {self.count - len(self.first)} more" if self.count > len(self.first) else ""
        return UserError(f"{self.count} {what} cannot be used: {'; '.join(self.first)}{more}. {advice}")


@dataclass(frozen=True)
class Listing:
    """Rows to be written, looked through once: every file of them is there.

    Attributes:
        frames: how many images each row has; None: one each.
        sha256: identifies the rows, their images' names and their order.
        account: of the folders of frames, or of the folder without a list; of a list of images nothing.
    """

    names: FileList
    frames: array[int] | None
    sha256: str
    account: Account

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.names)

    @property
    def folder(self) -> Path:
        """Where the list and its files lie."""
        return self.names.folder

    @property
    def walked(self) -> FileList | None:
        """What each row is of, where a folder without a list told it."""
        return None if self.names.walked is None else self.names

    def read(self, path: str) -> bytes:
        """The file of an image of the stream."""
        return _read_file(path)

    def images_before(self, row: int) -> int:
        """How many images the rows before ``row`` have together."""
        return row if self.frames is None else sum(itertools.islice(self.frames, row))

    @property
    def images(self) -> int:
        """How many images all rows have together."""
        return self.images_before(len(self))

    def images_of_rows(self, first_row: int) -> Iterator[int]:
        """How many images each row has, from ``first_row`` on."""
        if self.frames is None:
            return itertools.repeat(1, len(self) - first_row)
        return itertools.islice(self.frames, first_row, None)

    def paths(self, first_row: int) -> Iterator[str]:
        """The stream of image paths, from the first image of ``first_row`` on."""
        names = (os.path.join(self.folder, name) for name in itertools.islice(self.names, first_row, None))
        if self.frames is None:
            yield from names
            return
        for folder, expected in zip(names, itertools.islice(self.frames, first_row, None), strict=True):
            paths = frames_in(folder)
            if len(paths) != expected:
                raise UserError(
                    f"{folder}: {len(paths)} frames, but {expected} when the run began; start the run again"
                )
            yield from paths


class ImageRows:
    """A listing of which each row is one image, and nothing was walked.

    Attributes:
        images: how many.
    """

    images: int
    walked = None

    def __len__(self) -> int:
        return self.images

    def images_before(self, row: int) -> int:
        """How many images the rows before ``row`` have together: one each."""
        return row

    def images_of_rows(self, first_row: int) -> Iterator[int]:
        """How many images each row has, from ``first_row`` on: one."""
        return itertools.repeat(1, self.images - first_row)


class PackListing(ImageRows):
    """The images of a verification pack, a row each, in its order: pair ``i`` is rows ``2i`` and ``2i+1``.

    Args:
        path: the pack.

    Raises:
        UserError: it is none.
    """

    def __init__(self, path: PathLike) -> None:
        self.account = Account()
        self._images = read_pack(path).images
        self._name = os.fspath(path)
        digest = hashlib.sha256()
        for image in self._images:
            digest.update(hashlib.sha256(image).digest())
        self.sha256 = digest.hexdigest()
        self.images = len(self._images)

    def paths(self, first_row: int) -> Iterator[str]:
        """What the images are called, from that of ``first_row`` on."""
        return (f"{self._name}: image {number}" for number in range(first_row, self.images))

    def read(self, path: str) -> bytes:
        """The bytes of the image that is called so."""
        return self._images[int(path.rpartition(" ")[2])]


class RecordListing(ImageRows):
    """The images of a record file, a row each, in the order of their keys.

    Args:
        records: the file.
    """

    def __init__(self, records: FaceRecords) -> None:
        self.account = Account()
        self._records = records
        self._name = os.fspath(records.path)
        digest = hashlib.sha256(str(os.path.getsize(records.path)).encode())
        digest.update(np.ascontiguousarray(records.keys).data)
        digest.update(np.ascontiguousarray(records.reader.offsets).data)
        self.sha256 = digest.hexdigest()
        self.images = len(records)

    def paths(self, first_row: int) -> Iterator[str]:
        """What the images are called, from that of ``first_row`` on."""
        return (f"{self._name}: key {key}" for key in self._records.keys[first_row:].tolist())

    def read(self, path: str) -> bytes:
        """The bytes of the image that is called so."""
        place = int(np.searchsorted(self._records.keys, int(path.rpartition(" ")[2])))
        return self._records.read(place)[1]


def look_through(folder: PathLike, *, videos: bool) -> Listing:
    """Read ``folder/filelist.txt`` and see that each image is there, or that each video has frames.

    A folder without a list is its own, which is said.

    Raises:
        UserError: the list is bad, or one error about all that is missing.
    """
    names = open_list(folder, videos=videos)
    faults, frames, digest, account = Faults(), array("I"), hashlib.sha256(), Account()
    if names.walked is not None:
        what = "folders with images" if videos else "images"
        note(f"{folder}: has no {LIST_NAME}: its {len(names)} {what} are the rows, in the order of their paths")
    for name in progress(names, total=len(names), label="looking for files", unit="row"):
        path = os.path.join(folder, name)
        if videos:
            found = _frames_or_none(path, account)
            if not found:
                faults.add(path, "no such folder" if found is None else "no frame in this folder")
                continue
            frames.append(len(found))
            digest.update("\n".join([name, *map(os.path.basename, found), "\n"]).encode("utf-8", "surrogateescape"))
        elif not os.path.isfile(path):
            faults.add(path, "no such file")
    if faults.count:
        raise faults.error("videos" if videos else "images", f"Add them or take them out of {names.path}")
    account = account if names.walked is None else names.walked.account
    if videos:
        return Listing(names, frames, digest.hexdigest(), account)
    return Listing(names, None, names.sha256, account)


def _frames_or_none(folder: str, account: Account) -> list[str] | None:
    try:
        return frames_in(folder, account)
    except (FileNotFoundError, NotADirectoryError):
        return None


@dataclass(frozen=True)
class Work:
    """What is done with each image.

    Attributes:
        flip: add the mirrored image's feature.
        height, width: the size that each image must have.
        workers: threads that decode ahead of the network; 0: none.
        normalise: rows are L2-normalised. Else each is the one image's feature as the network gives it.
        mirror: the mirrored image's feature in place of the image's.
    """

    flip: bool
    height: int
    width: int
    workers: int
    normalise: bool = True
    mirror: bool = False


@dataclass(frozen=True)
class DecodedBatch:
    """The images (n, H, W, 3) uint8 of ``paths``, and (path, reason) of those that cannot be used."""

    paths: Sequence[str]
    images: np.ndarray
    faults: list[tuple[str, str]]


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def decode(paths: Sequence[str], height: int, width: int, read: Callable[[str], bytes] = _read_file) -> DecodedBatch:
    """Read, by ``read``, and decode ``paths``; nothing is resized."""
    images = np.zeros((len(paths), height, width, 3), np.uint8)
    faults = []
    for place, path in enumerate(paths):
        try:
            data = read(path)
        except OSError as error:
            faults.append((path, error.strerror or "cannot be read"))
            continue
        image = decode_rgb(data)
        if image is None:
            faults.append((path, image_damage(data) or "not an image that can be decoded"))
        elif image.shape != images.shape[1:]:
            faults.append((path, f"{image.shape[1]}x{image.shape[0]} pixels, not {width}x{height}"))
        else:
            images[place] = image
    return DecodedBatch(paths, images, faults)


def decoded_batches(
    paths: Iterator[str], first: int, batch_size: int, work: Work, read: Callable[[str], bytes] = _read_file
) -> Generator[DecodedBatch]:
    """Decode the stream ``paths`` batch by batch, in order, ``work.workers`` threads working ahead.

    The first batch has ``first`` images, the others ``batch_size``, the last what is left.
    """
    sizes = itertools.chain([first], itertools.repeat(batch_size))
    cuts = itertools.takewhile(bool, (list(itertools.islice(paths, size)) for size in sizes))
    if work.workers == 0:
        yield from (decode(cut, work.height, work.width, read) for cut in cuts)
        return
    pool = ThreadPoolExecutor(work.workers, thread_name_prefix="decode")
    waiting: deque[Future[DecodedBatch]] = deque()
    try:
        for cut in cuts:
            waiting.append(pool.submit(decode, cut, work.height, work.width, read))
            if len(waiting) >= work.workers + BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def write_features(
    listing: Listing | PackListing | RecordListing,
    output: PathLike,
    embedder: Embedder,
    work: Work,
    *,
    model_sha256: str,
    resume: bool,
    aggregation: Aggregation = MEAN,
) -> None:
    """Write the feature file ``output`` of all rows of ``listing``.

    Each image's feature is f(x), with ``work.flip`` f(x) + f(mirrored x); a row is what ``aggregation`` makes of its
    images, L2-normalised. The mean is the tracks' definition: with one image a row the image track's, with a video's
    frames the video track's.

    Args:
        model_sha256: identifies the model, so that no run is resumed with another.
        resume: go on with what an earlier run left; without it that is discarded.
        aggregation: from the images of a row to the row.

    Raises:
        UserError: one error about all images that cannot be used, or a resume with other settings. Rows that were
            finished are kept for a resume.
    """
    rows = len(listing)
    identity: Identity = {
        "model": model_sha256,
        "list": listing.sha256,
        "flip": work.flip,
        **({"mirror": True} if work.mirror else {}),
        "aggregate": aggregation.label if work.normalise else "none, as the network gives it",
        "batch_size": embedder.batch_size,
        "image_size": f"3,{work.height},{work.width}",
        "device": _device_name(embedder.device),
        "precision": embedder.precision,
        "backend": embedder.backend,
        "torch": torch.__version__,
    }
    writer = FeatureWriter(
        output, rows, embedder.embedding_size, identity=identity, resume=resume, unit_rows=work.normalise
    )
    _announce(writer, resume)
    try:
        with naming(writer.path), writer:
            _write_rows(writer, listing, embedder, work, aggregation)
    except BaseException:
        if writer.part.exists():
            kept = f"{writer.rows_done} of {rows} rows are kept"
            print(f"{writer.path}: {kept}; the same command with --resume goes on from there", file=sys.stderr)
        raise


def _write_rows(
    writer: FeatureWriter,
    listing: Listing | PackListing | RecordListing,
    embedder: Embedder,
    work: Work,
    aggregation: Aggregation,
) -> None:
    """Decode, embed, aggregate and write from ``writer.rows_done`` on."""
    done = listing.images_before(writer.rows_done)
    place = done % embedder.batch_size  # of the first image in its batch; what stands before it is of no account
    paths, full = listing.paths(writer.rows_done), embedder.batch_size
    batches = decoded_batches(paths, full - place, full, work, listing.read)
    pools = RowPools(listing.images_of_rows(writer.rows_done), aggregation)
    faults = Faults()
    with (
        contextlib.closing(batches),
        progress(total=listing.images, initial=done, label="writing features", unit="image") as bar,
    ):
        for batch in batches:
            if batch.faults and not faults.count:  # nothing can be written from here on: only look for the others
                bar.set_description("decoding the rest to list what cannot be used")
            for path, reason in batch.faults:
                faults.add(path, reason)
            if not faults.count:
                shown = batch.images[:, :, ::-1] if work.mirror else batch.images
                images = np.pad(shown, ((place, 0), (0, 0), (0, 0), (0, 0)))
                features = embedder.embed(images, work.flip)[place:].astype(np.float64)
                units = normalise(features, batch.paths.__getitem__)
                if work.normalise:
                    features = normalise(pools.add(units, features), lambda row: f"row {writer.rows_done + row}")
                writer.write(features.astype(np.float32))
                place = 0
            bar.update(len(batch.paths))
    if faults.count:
        size = f"{work.width}x{work.height}"
        advice = (
            f"Each must be {size}: the challenge forbids resizing. Replace them under their names (the list must stay "
            "the same), then --resume; or take them out, and start anew without --resume"
        )
        raise faults.error("images", advice)


def _announce(writer: FeatureWriter, resume: bool) -> None:
    """Say what becomes of an earlier run's rows."""
    if writer.rows_discarded:
        lost = f"{writer.rows_discarded} rows that an unfinished run had left are discarded"
        print(f"{writer.path}: {lost} (--resume would have kept them)", file=sys.stderr)
    elif resume and writer.rows_done:
        print(f"{writer.path}: resuming at row {writer.rows_done} of {writer.rows}", file=sys.stderr)
    elif resume:
        print(f"{writer.path}: nothing to resume, starting at the first row", file=sys.stderr)


def _device_name(device: torch.device) -> str:
    """What arithmetic depends on: the same network gives other last bits on another processor or number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
