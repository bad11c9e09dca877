"""What teachers make of a training set: computed once, kept as a feature file, read a few rows at a time.

A teacher's file has two rows for each image of the record file, in the order of its keys: row ``2 i`` is the feature of
image i as it is, ``2 i + 1`` that of its mirror image; float32, as the network gives them, not normalised. It is called
``MODEL-DATA.bin`` by the first digits of both digests, in ``--teacher-cache`` or else in ``teachers/`` of the folder of
the models: a folder of data need not be writable, and another selection of its images, or another student, needs no
other file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from lwface.base.errors import UserError
from lwface.base.files import shown
from lwface.base.notes import note
from lwface.base.origin import Origin, origin_path, write_origin
from lwface.base.progress import progress
from lwface.features.embedder import Embedder
from lwface.formats.face_records import FaceRecords
from lwface.formats.feature_file import FeatureWriter, read_features
from lwface.models.names import is_feature_file
from lwface.models.store import load_model, model_sha256
from lwface.recognition.dataset import FaceDataset
from lwface.settings.run import Run
from lwface.training.loader import load_batches
from lwface.training.processes import processes
from lwface.training.sampler import ListedBatches

FOLDER = "teachers"  # in the folder of the models
BATCH = 64  # images that a teacher sees at once, so that an interrupted file ends with the same bytes
LOOKED_AT = 4096  # records, or rows of a feature file, that a digest reads
DIGITS = 16  # of each digest, in a file's name
ROWS_AT_ONCE = 1 << 16  # of the pass over all features for the centres


class TeacherFeatures:
    """The features of one teacher.

    Args:
        path: the file.
        records: N, of the data set.
        digest: of the teacher and the data, for the checkpoint.

    Attributes:
        width: numbers a row.

    Raises:
        UserError: it has not two rows for each image.
    """

    def __init__(self, path: Path, records: int, digest: str) -> None:
        self.path, self.digest = path, digest
        self.features = read_features(path)  # (2 N, T), mapped: what is read of it is in memory, no more
        rows, self.width = self.features.shape
        if rows != 2 * records:
            raise UserError(
                f"{path}: {rows} rows, expected {2 * records}: two for each of the {records} images of the data set, "
                "as it is and mirrored"
            )


class Teachers:
    """One teacher, or several of whom a student learns all.

    The row of several is their unit rows one behind the other, divided by the root of their number: a unit row, whose
    cosine with another is the mean of the teachers' cosines. A mean of the rows would be none: the spaces of two
    networks have nothing to do with each other, and the cosine would hold the product of one network's feature with
    another network's too.
    """

    def __init__(self, each: Sequence[TeacherFeatures]) -> None:
        self.each = tuple(each)
        self.width = sum(teacher.width for teacher in self.each)

    @property
    def digest(self) -> str:
        """Of all, in their order."""
        return " ".join(teacher.digest for teacher in self.each)

    def rows(self, places: np.ndarray) -> np.ndarray:
        """Rows (n, T) float32 at ``places`` (n,) of the files: a single teacher's as they are, several ones' joined."""
        found = [np.asarray(teacher.features[places]) for teacher in self.each]
        return (
            found[0] if len(found) == 1 else np.concatenate([_unit(rows) for rows in found], axis=1) / len(found) ** 0.5
        )

    def centres(self, images: np.ndarray, labels: np.ndarray, classes: int) -> torch.Tensor:
        """The unit mean (classes, T) float32 of the unit rows of each class, both views; zeros where it has no image.

        Args:
            images: (n,) which of the data set's are used.
            labels: (n,) of these.
            classes: C.
        """
        sums = np.zeros((classes, self.width))
        with progress(total=len(images), label="teacher's centres", unit="image") as bar:
            for start in range(0, len(images), ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                for view in (0, 1):
                    np.add.at(sums, labels[part], _unit(self.rows(2 * images[part] + view)))
                bar.update(len(images[part]))
        return torch.from_numpy(_unit(sums).astype(np.float32))


def _unit(rows: np.ndarray) -> np.ndarray:
    """``rows`` (n, T) divided by their norms; rows of zeros stay."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def open_teachers(run: Run, records: FaceRecords, device: torch.device) -> Teachers:
    """The features of the teachers of ``run`` for all images of ``records``, computed where they are not there yet.

    Raises:
        UserError: a teacher cannot be read, or its feature file is of other data.
    """
    folder = Path(run.teacher_cache or Path(run.models_root) / FOLDER).expanduser()
    here = processes()
    if not here.leads:
        here.wait()  # for the first to have written them
    found = Teachers([_open(name, folder, run, records, device) for name in run.teacher])
    if here.leads:
        here.wait()
    return found


def _open(name: str, folder: Path, run: Run, records: FaceRecords, device: torch.device) -> TeacherFeatures:
    if is_feature_file(name):
        teacher = TeacherFeatures(Path(name), len(records), _rows_sha256(Path(name)))
        print(f"teacher {name}: {teacher.width} wide, a feature file; that it is of this data set is not checked")
        return teacher
    network, config = load_model(name)
    model, data = model_sha256(network, config, None), records_sha256(records)
    path = folder / f"{model[:DIGITS]}-{data[:DIGITS]}.bin"
    there = path.is_file()
    if there:
        _check_origin(path, model, data)
    else:
        embedder = Embedder(network, device=device, batch_size=BATCH)
        embedder.require_own_features(np.zeros((1, *run.image_shape), np.uint8))
        gigabytes = 2 * len(records) * embedder.embedding_size * 4 / 1e9
        print(f"teacher {name}: its features go to {shown(path)}, {gigabytes:.3g} GB, once", flush=True)
        _write(path, embedder, records, run, {"model_sha256": model, "data_sha256": data})
    teacher = TeacherFeatures(path, len(records), f"{model} {data}")
    size = path.stat().st_size / 1e6
    said = "there already, of this teacher and these images" if there else "computed"
    print(f"teacher {name}: {teacher.width} wide, features in {shown(path)} ({size:.3g} MB, {said})", flush=True)
    return teacher


def _write(path: Path, embedder: Embedder, records: FaceRecords, run: Run, identity: dict[str, str]) -> None:
    """Compute the file, going on where an interrupted run ended."""
    size = (run.image_shape[0], run.image_shape[1])
    images = FaceDataset(records, image_size=size, skip_bad=True)
    rows, cols, bad = 2 * len(records), embedder.embedding_size, 0
    # What a teacher sees at once is the same in an interrupted run; rows are written by whole batches.
    with FeatureWriter(path, rows, cols, identity=identity, resume=True, unit_rows=False) as writer:
        first = writer.rows_done // 2
        parts = [np.arange(start, min(start + BATCH, len(records))) for start in range(first, len(records), BATCH)]
        with progress(total=len(records), initial=first, label="teacher's features", unit="image") as bar:
            batches: Iterator = load_batches(images, ListedBatches(parts), num_workers=run.num_workers)
            with closing(batches):  # type: ignore[type-var]  # a generator has close()
                for batch in batches:
                    bad += len(batch.bad)
                    both = np.stack(embedder.embed_both(batch.images.numpy()), axis=1)  # (n, 2, T)
                    writer.write(both.reshape(-1, cols))
                    bar.update(len(both))
    if bad:
        note(f"{records.path}: {bad} images do not decode; a neighbour's features stand in their rows")
    write_origin(path, Origin.this(), **identity, images=len(records), views="as it is, mirrored")


def _check_origin(path: Path, model: str, data: str) -> None:
    """That what stands beside the file says the same of it as its name, to the last digit."""
    try:
        noted = json.loads(origin_path(path).read_text(encoding="utf-8"))
        found = noted["model_sha256"], noted["data_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        if origin_path(path).exists():
            raise UserError(f"{origin_path(path)}: damaged: delete it and {path}") from None
        return  # killed between the two, after the file was complete
    if found != (model, data):
        raise UserError(f"{path}: of another teacher or other images, by {origin_path(path).name}: delete both")


def records_sha256(records: FaceRecords) -> str:
    """Identifies the images of a record file: keys and places of all, and the bytes of 4096 evenly spaced ones.

    All bytes of a hundred gigabytes would take minutes before each run.
    """
    digest = hashlib.sha256()
    for numbers in (records.keys, records.reader.offsets):
        digest.update(np.ascontiguousarray(numbers, dtype="<i8").data)
    digest.update(str(Path(records.path).stat().st_size).encode())
    for place in _spaced(len(records)):
        digest.update(records.read(int(place))[1])
    return digest.hexdigest()


def _rows_sha256(path: Path) -> str:
    """Identifies a feature file by its shape and 4096 evenly spaced rows."""
    features = read_features(path)
    digest = hashlib.sha256(str(features.shape).encode())
    digest.update(np.ascontiguousarray(features[_spaced(len(features))]).data)
    return digest.hexdigest()


def _spaced(count: int) -> np.ndarray:
    """At most 4096 places of ``count``, evenly spaced, with both ends."""
    return np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).astype(np.int64))
