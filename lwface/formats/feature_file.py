"""Feature files: what the challenge's server takes and the local evaluator reads.

Layout, all little-endian: four int32 ``rows, cols, cols * 4, 5`` (the last is OpenCV's CV_32F), then ``rows * cols``
float32, row after row in the order of the file list.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Union

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike, commit

HEADER = struct.Struct("<4i")
CV_32F = 5
FLOAT32 = np.dtype("<f4")
INT32_MAX = 2**31 - 1
NORM_TOLERANCE = 1e-4  # float32 rows of any width up to 512 come within 1e-6 of 1; float16 ones would not
BLOCK_BYTES = 4 * 2**20  # read at once by validate
SYNC_INTERVAL_S = 1.0  # a run that is killed repeats at most these seconds of work

Identity = Mapping[str, Union[str, int, bool]]  # noqa: UP007 - a server that scores a challenge has Python 3.9


class FeatureFileError(UserError):
    """A feature file that cannot be used; ``problems`` has one sentence for each thing that is wrong with it."""

    def __init__(self, path: PathLike, *problems: str) -> None:
        super().__init__(f"{os.fspath(path)}: {'; '.join(problems)}")
        self.problems = problems


@dataclass(frozen=True)
class FeatureSummary:
    """What :func:`validate` saw in a valid file."""

    rows: int
    cols: int
    smallest_norm: float
    largest_norm: float


def read_header(path: PathLike) -> tuple[int, int]:
    """``(rows, cols)`` of a feature file whose header and size agree; :class:`FeatureFileError` when they do not."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise FeatureFileError(path, f"not a feature file: {size} bytes, less than the {HEADER.size} of its header")
    rows, cols, stride, number_type = HEADER.unpack(head)
    if rows < 1 or cols < 1 or stride != cols * FLOAT32.itemsize or number_type != CV_32F:
        expected = f"rows, cols, cols * 4, {CV_32F}"
        found = f"{rows}, {cols}, {stride}, {number_type}"
        raise FeatureFileError(path, f"not a feature file: its header is ({found}), expected ({expected})")
    promised = HEADER.size + rows * stride
    if size != promised:
        fault = "cut short" if size < promised else "too long"
        reason = f"{fault}: {size} bytes, but {rows} rows of {cols} float32 make {promised}"
        raise FeatureFileError(path, reason)
    return rows, cols


def read_features(path: PathLike) -> np.memmap:
    """The features of ``path`` as a read-only memory map (rows, cols) float32.

    Header and size are checked, the numbers are not (see :func:`validate`).

    Raises:
        FeatureFileError: header or size are wrong.
        OSError: the file cannot be opened.
    """
    return np.memmap(path, FLOAT32, "r", HEADER.size, read_header(path))


def validate(
    path: PathLike, rows: int | None = None, track: str | None = None, *, unit_rows: bool = True
) -> FeatureSummary:
    """Check a feature file for submission; memory stays bounded whatever its size.

    Header, size, every number finite, with ``unit_rows`` every row's L2 norm within ``NORM_TOLERANCE`` of 1; with
    ``rows`` that number of rows; with ``track`` the number of rows of that track's official list and its limit on the
    width.

    Raises:
        FeatureFileError: all that is wrong, in ``problems`` one by one.
        OSError: the file cannot be read.
    """
    found_rows, cols = read_header(path)
    problems = []
    if rows is not None and found_rows != rows:
        problems.append(f"{found_rows} rows, expected {rows}")
    if track is not None:
        from lwface.gate.budgets import get_track  # who only reads features needs no tracks

        limits = get_track(track)
        if found_rows != limits.rows:
            problems.append(
                f"{found_rows} rows, but the official list of {track} has {limits.rows}: --track is for features of "
                "the official test set only; leave it out for images of your own"
            )
        if cols > limits.embedding:
            problems.append(f"{cols} numbers a row, but {track} allows {limits.embedding}")
    not_finite, off_unit = _Rows("hold numbers that are not finite"), _Rows("do not have unit norm")
    smallest, largest = np.inf, 0.0
    with open(path, "rb") as file:
        file.seek(HEADER.size)
        step = max(1, BLOCK_BYTES // (cols * FLOAT32.itemsize))
        for start in range(0, found_rows, step):
            block = np.fromfile(file, FLOAT32, min(step, found_rows - start) * cols).reshape(-1, cols)
            finite = np.logical_and.reduce(np.isfinite(block), axis=1)
            values = np.where(finite[:, None], block, 0).astype(np.float64)
            norms = np.sqrt(np.einsum("rc,rc->r", values, values))
            not_finite.add(start, ~finite, norms)
            off_unit.add(start, finite & (np.abs(norms - 1) > NORM_TOLERANCE), norms)
            smallest, largest = min(smallest, norms.min()), max(largest, norms.max())
    if not_finite.count:
        problems.append(str(not_finite))
    if unit_rows and off_unit.count:
        problems.append(f"{off_unit}, whose norm is {off_unit.first_norm:.6g}")
    if problems:
        raise FeatureFileError(path, *problems)
    return FeatureSummary(found_rows, cols, float(smallest), float(largest))


class _Rows:
    """Counts the rows with one fault and remembers the first."""

    def __init__(self, fault: str) -> None:
        self.fault, self.count, self.first, self.first_norm = fault, 0, -1, 0.0

    def add(self, start: int, faulty: np.ndarray, norms: np.ndarray) -> None:
        where = np.flatnonzero(faulty)
        if len(where) and not self.count:
            self.first, self.first_norm = start + int(where[0]), float(norms[where[0]])
        self.count += len(where)

    def __str__(self) -> str:
        return f"{self.count} rows {self.fault}, the first is row {self.first} (from 0)"


def unfinished_identity(path: PathLike) -> Identity:
    """What the rows depend on that an interrupted run left for the target ``path``; empty when there are none."""
    return _read_state(_state_path(Path(path)))[0]


def _state_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.part.json")


def _read_state(path: Path) -> tuple[dict[str, str | int | bool], int]:
    """The identity and the number of rows noted in ``path``; ``({}, 0)`` when it is not there, or none of ours."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return dict(state["identity"]), int(state["rows_done"])
    except (OSError, ValueError, TypeError, KeyError):
        return {}, 0


class FeatureWriter:
    """Writes a feature file row by row; the file appears under its name only when it is complete and valid.

    Rows go to ``.NAME.part`` beside the target as they come. Every ``SYNC_INTERVAL_S`` seconds, and when a run stops,
    they are forced to the disk and their number is noted in ``.NAME.part.json``, so that a run killed at any moment can
    go on from ``rows_done``. As a context manager it finishes the file at the end of the block, and when the block is
    left by an exception keeps the part, if it has rows, for a later ``resume``.

    Args:
        path: the target; its folder is made when missing.
        rows, cols: shape of the whole file.
        identity: what the rows depend on (the model, the list, ...); a resumed run must have the same.
        resume: go on with the part that is there. Without it a part is overwritten; ``rows_discarded`` says how many
            rows it had.
        unit_rows: rows of another norm than 1 are a fault.

    Raises:
        UserError: ``resume`` of a part with another identity, or another process is writing the same file.
    """

    def __init__(
        self,
        path: PathLike,
        rows: int,
        cols: int,
        *,
        identity: Identity | None = None,
        resume: bool = False,
        unit_rows: bool = True,
    ) -> None:
        if not (1 <= rows <= INT32_MAX and 1 <= cols <= INT32_MAX // FLOAT32.itemsize):
            raise UserError(f"{os.fspath(path)}: a feature file cannot hold {rows} rows of {cols} numbers")
        self.path, self.rows, self.cols, self._unit_rows = Path(path), rows, cols, unit_rows
        self.part = self.path.with_name(f".{self.path.name}.part")
        self._state_path = _state_path(self.path)
        self._identity = {**(identity or {}), "rows": rows, "cols": cols}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open_alone()
        try:
            unfinished = self._unfinished_rows(must_match=resume)
            self.rows_done, self.rows_discarded = (unfinished, 0) if resume else (0, unfinished)
            self._file.write(HEADER.pack(rows, cols, cols * FLOAT32.itemsize, CV_32F))
            self._file.truncate(self._end_of(self.rows_done))
            self._file.seek(0, os.SEEK_END)
            self.sync()
        except BaseException:
            self._file.close()
            raise

    def _open_alone(self) -> BinaryIO:
        """The part file, locked: two runs writing the same file would spoil it. A dead process's lock is gone."""
        file = os.fdopen(os.open(self.part, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = os.path.samestat(os.fstat(file.fileno()), os.stat(self.part))  # not renamed since it was opened
        except (BlockingIOError, FileNotFoundError):
            alone = False
        if not alone:
            file.close()
            raise UserError(f"{self.path}: another run is writing this file; wait for it or give another name")
        return file

    def _end_of(self, rows: int) -> int:
        return HEADER.size + rows * self.cols * FLOAT32.itemsize

    def _unfinished_rows(self, must_match: bool) -> int:
        """How many rows an earlier run left; with ``must_match`` an error when they are not rows of this file."""
        identity, rows_done = _read_state(self._state_path)
        if not identity:
            return 0
        differing = [name for name in {**identity, **self._identity} if identity.get(name) != self._identity.get(name)]
        if not (must_match and differing):
            row_bytes = int(identity.get("cols", self.cols)) * FLOAT32.itemsize
            rows_there = (os.fstat(self._file.fileno()).st_size - HEADER.size) // row_bytes
            return max(0, min(rows_done, rows_there))
        changes = ", ".join(f"{n} {_short(identity.get(n))} (now {_short(self._identity.get(n))})" for n in differing)
        raise UserError(
            f"{self.path}: cannot resume, the unfinished file was made with another {changes}; "
            "give the same again, or leave --resume out to start anew"
        )

    def write(self, features: np.ndarray) -> None:
        """Append rows (n, cols) float32."""
        if features.ndim != 2 or features.shape[1] != self.cols or features.dtype != FLOAT32:
            shape = f"{features.dtype} {features.shape}"
            raise ValueError(f"{self.path}: rows must be float32 (n, {self.cols}), got {shape}")
        if self.rows_done + len(features) > self.rows:
            raise ValueError(f"{self.path}: more rows than the {self.rows} announced")
        self._file.write(np.ascontiguousarray(features).data)
        self.rows_done += len(features)
        if time.monotonic() - self._synced_at >= SYNC_INTERVAL_S:
            self.sync()

    def sync(self) -> None:
        """Force the rows to the disk, then note their number: the note never promises rows that could be lost."""
        self._file.flush()
        os.fsync(self._file.fileno())
        fresh = self._state_path.with_suffix(".new")  # one name: what a killed run leaves, the next one takes up
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump({"identity": self._identity, "rows_done": self.rows_done}, file)
            file.flush()
            os.fsync(file.fileno())
        commit(fresh, self._state_path)
        self._synced_at = time.monotonic()

    def finish(self) -> FeatureSummary:
        """Check the complete file and give it its name.

        Raises:
            FeatureFileError: the file is not valid; it is removed, since going on would not mend it.
        """
        if self.rows_done != self.rows:
            raise ValueError(f"{self.path}: {self.rows_done} rows written, {self.rows} announced")
        self.sync()
        try:
            summary = validate(self.part, rows=self.rows, unit_rows=self._unit_rows)
        except FeatureFileError as error:
            self._close(remove=True)
            raise FeatureFileError(self.path, *error.problems) from None
        commit(self.part, self.path)
        self._close(remove=True)
        return summary

    def _close(self, remove: bool) -> None:
        if remove:
            self.part.unlink(missing_ok=True)
            self._state_path.unlink(missing_ok=True)
        self._file.close()  # last, for it gives the lock back

    def __enter__(self) -> FeatureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        elif not self._file.closed:
            self.sync()
            self._close(remove=self.rows_done == 0)


def _short(value: object) -> str:
    """``value`` for a message: of a hash the beginning is enough to tell two apart."""
    text = str(value)
    return text if len(text) < 64 else f"{text[:12]}..."
