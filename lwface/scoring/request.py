"""What is to be scored 1:1: rows, people, which pairs, at which FARs; from arrays, or from files by one reader.

A protocol is a function that makes :class:`Comparisons` of a request. A further one is a file of its own with such a
function, given as ``ScoringRequest.protocol``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.feature_file import read_features
from lwface.formats.pair_lists import PairRows, read_ignored, read_pairs
from lwface.formats.person_labels import (
    DISTRACTOR,
    Codes,
    People,
    people_of_pairs,
    read_columns,
    read_people,
    united,
)
from lwface.scoring.column_values import chosen_values
from lwface.scoring.exact.comparisons import Comparisons, PairList
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.parameters import BLOCK_SIZE, REPLICATES

BYTES_AT_ONCE = 2**24  # of features that are hashed
PAIRS_PER_COLUMN = 128  # of a list, in place of a block's columns
KEPT_FORMAT = 3  # of what a run keeps on disk: to be raised when the same arrays mean something else


@dataclass(frozen=True)
class LabelledRows:
    """Features and who is on them.

    Attributes:
        features: (N, D) float32, an array or a memory map.
        people: (N,) labels, and attributes of the rows.
        name: what errors call them.
    """

    features: NDArray[np.float32]
    people: People
    name: str = "features"


@dataclass(frozen=True)
class ScoringRequest:
    """Which pairs are scored, and how.

    Attributes:
        rows: what is compared; with a gallery, the probe.
        fars: each above 0 and below 1.
        gallery: None: the rows are compared with each other.
        pairs: only these are compared; None: all.
        ignored: (P, 2) rows of pairs left out.
        exclude_same: the attribute whose equal values are not compared.
        distractor_pairs: whether pairs of two distractors count.
        words: which pairs these are.
        title: what tables call the rows.
        columns: attributes to break down by, with the values shown; not with a gallery.
        replicates, seed: of the bootstrap over people; 0 replicates: no intervals.
        exact_error_rates: as for :func:`lwface.scoring.tar_far.score_pairs`.
        block_size: columns of a block; it changes memory and speed, never a result.
        device: the name of what screens.
        protocol: makes the comparisons; None: by what is given, :func:`listed_pairs` or :func:`every_pair`.
    """

    rows: LabelledRows
    fars: Sequence[Fraction]
    gallery: LabelledRows | None = None
    pairs: PairRows | None = None
    ignored: NDArray[np.int64] | None = None
    exclude_same: str | None = None
    distractor_pairs: bool = True
    words: str = "all pairs"
    title: str = "features"
    columns: Sequence[tuple[str, Codes]] = ()
    replicates: int = REPLICATES
    seed: int = 0
    exact_error_rates: bool = False
    block_size: int = BLOCK_SIZE
    device: str = "cpu"
    protocol: Callable[[ScoringRequest], Comparisons] | None = None

    def comparisons(self) -> Comparisons:
        """The pairs.

        Raises:
            UserError: a row has no direction, or probe and gallery differ in width.
        """
        usual = every_pair if self.pairs is None else listed_pairs
        return (self.protocol or usual)(self)

    def of_file(self, path: str, title: str) -> ScoringRequest:
        """The same of another feature file of the same rows.

        Raises:
            UserError: it has another number of rows than there are people.
        """
        features = _checked(path, read_features(path), len(self.rows.people.labels))
        return replace(self, rows=LabelledRows(features, self.rows.people, path), title=title)

    def feature_set(self, side: int = 0) -> FeatureSet:
        """The rows (``side`` 0), or those of the gallery (1), with the groups within which nothing is compared."""
        rows = self.gallery if side and self.gallery is not None else self.rows
        return FeatureSet(rows.features, rows.people.labels, rows.name, side, groups=self._groups(rows))

    def identity(self) -> str:
        """Tells this request from any other: what was kept of another one is not gone on from."""
        fars = [str(far) for far in self.fars]
        settings = (KEPT_FORMAT, self.exclude_same, self.distractor_pairs, fars, self.replicates, self.seed)
        columns = [(name, codes.values, codes.codes.tobytes()) for name, codes in self.columns]
        digest = hashlib.sha256(repr((settings, self.block_size, columns)).encode())
        sides = [self.rows] if self.gallery is None else [self.rows, self.gallery]
        arrays = [self.ignored, *(self.pairs or ())]
        for rows in sides:
            _add_features(digest, rows.features)
            arrays += [rows.people.labels, self._groups(rows)]
        for array in arrays:
            digest.update(b"|" if array is None else np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _groups(self, rows: LabelledRows) -> NDArray[np.int64] | None:
        return None if self.exclude_same is None else rows.people.attributes[self.exclude_same].codes


def every_pair(request: ScoringRequest) -> Comparisons:
    """All unordered pairs of the rows; or every row with every row of the gallery."""
    return Grid(
        request.feature_set(),
        None if request.gallery is None else request.feature_set(1),
        block_size=request.block_size,
        distractor_pairs=request.distractor_pairs,
        ignored=request.ignored,
        device=request.device,
    )


def listed_pairs(request: ScoringRequest) -> Comparisons:
    """The pairs of a list."""
    if request.pairs is None:
        raise ValueError("a list of pairs is asked for, but there is none")
    return PairList(
        request.feature_set(),
        *request.pairs,
        block_size=request.block_size * PAIRS_PER_COLUMN,
        distractor_pairs=request.distractor_pairs,
        ignored=request.ignored,
    )


@dataclass(frozen=True)
class RequestFiles:
    """The files that say which rows and pairs; ``docs/scoring.md`` tells their formats.

    Attributes:
        features, labels: of rows that are compared with each other.
        probe, probe_labels, gallery, gallery_labels: in place of these, to compare every probe with every gallery row.
        label_column: labels are a csv: the column that names the people.
        label_folders: labels are a file list: depth of the folder that names the people.
        attributes: csv with other columns, None: those of the labels' own.
        exclude_same: rows with the same value in this column are not compared.
        ignore_pairs: pairs to leave out.
        pairs: the only pairs to score.
        by: columns to break down by, and the width of the bands of each.
    """

    features: str | None = None
    labels: str | None = None
    probe: str | None = None
    probe_labels: str | None = None
    gallery: str | None = None
    gallery_labels: str | None = None
    label_column: str | None = None
    label_folders: int = 0
    attributes: str | None = None
    exclude_same: str | None = None
    ignore_pairs: str | None = None
    pairs: str | None = None
    by: Sequence[tuple[str, float | None]] = ()

    def people(self, path: str, rows: int) -> People:
        """Who is on each row, with the attribute of ``exclude_same``."""
        columns = [self.exclude_same] if self.exclude_same else []
        own = columns if not self.attributes else []
        if own and not (self.label_column or self.label_folders or Path(path).is_dir()):
            raise UserError(
                f"column {own[0]!r}: {path} is no csv with --label-column; name a csv with --attributes FILE.csv"
            )
        people = read_people(path, rows, column=self.label_column, depth=self.label_folders, attributes=own)
        if columns and self.attributes:
            people = People(people.labels, people.names, read_columns(self.attributes, rows, columns))
        return people

    def columns(self, rows: int) -> list[tuple[str, Codes]]:
        """The columns to break down by, of ``attributes`` or of the csv that holds the labels."""
        names = [name for name, _ in self.by]
        if not names:
            return []
        source = self.attributes or self.labels
        if not (source and Path(source).suffix.lower() == ".csv"):
            raise UserError(f"column {names[0]!r}: no csv with columns is given; name it with --attributes FILE.csv")
        found = read_columns(source, rows, names)
        return [(name, chosen_values(found[name], name, width)) for name, width in self.by]


def read_request(files: RequestFiles, fars: Sequence[Fraction], *, distractor_pairs: bool = True) -> ScoringRequest:
    """The request that some files make; each feature file is opened once, and stays on disk.

    Raises:
        UserError: a file is malformed or does not fit.
        OSError: one cannot be opened.
    """
    read = _read_cross if files.gallery else _read_one
    request = read(files, fars)
    words = request.words
    if not distractor_pairs:
        words += ", without pairs of two distractors"
    if files.exclude_same:
        words += f", rows of one {files.exclude_same} not compared"
    ignored = None
    rows = len(request.rows.features)
    if files.ignore_pairs:
        right = None if request.gallery is None else len(request.gallery.features)
        ignored = read_ignored(files.ignore_pairs, rows, right)
        words += f", without the {len(ignored)} pairs of {Path(files.ignore_pairs).name}"
    return replace(
        request,
        ignored=ignored,
        exclude_same=files.exclude_same,
        distractor_pairs=distractor_pairs,
        words=words,
        columns=files.columns(rows),
    )


def _read_cross(files: RequestFiles, fars: Sequence[Fraction]) -> ScoringRequest:
    """Probe and gallery."""
    paths, labels = (files.probe, files.gallery), (files.probe_labels, files.gallery_labels)
    if None in paths or None in labels:
        raise ValueError("probe and gallery are needed, with their labels")
    probe, gallery = (read_features(str(path)) for path in paths)
    people, others = united(
        *(files.people(str(path), len(rows)) for path, rows in zip(labels, (probe, gallery), strict=True))
    )
    return ScoringRequest(
        LabelledRows(probe, people, str(files.probe)),
        fars,
        gallery=LabelledRows(gallery, others, str(files.gallery)),
        words=f"{len(probe)} probe x {len(gallery)} gallery rows",
    )


def _read_one(files: RequestFiles, fars: Sequence[Fraction]) -> ScoringRequest:
    """The rows of one feature file: all pairs, or those of a list."""
    features = read_features(str(files.features))
    rows = len(features)
    pairs, words = None, "all pairs"
    if files.pairs:
        pairs = read_pairs(files.pairs, rows)
        if pairs.same is None and not files.labels:
            raise UserError(f"{files.pairs}: lines without SAME need --labels")
        words = f"the pairs of {Path(files.pairs).name}"
    people = files.people(files.labels, rows) if files.labels else People(np.full(rows, DISTRACTOR))
    if pairs is not None and pairs.same is not None:
        people = _joined(people, pairs.first[pairs.same], pairs.second[pairs.same])
    return ScoringRequest(LabelledRows(features, people, str(files.features)), fars, pairs=pairs, words=words)


def titles(paths: Sequence[str]) -> list[str]:
    """A short name of each feature file: its own, with as much of its folders as tells it from the others.

    Raises:
        UserError: a file is named twice.
    """
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise UserError("a feature file is to be compared with itself; name each file once")
    parts = [Path(path).resolve().with_suffix("").parts for path in paths]
    depth = 1
    while depth < max(map(len, parts)) and len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    short = ["/".join(part[-depth:]) for part in parts]
    return short if len(set(short)) == len(short) else list(paths)


def _checked(path: str, features: NDArray[np.float32], people: int) -> NDArray[np.float32]:
    if len(features) != people:
        raise UserError(f"{path}: {len(features)} rows, but there are labels for {people}")
    return features


def _joined(people: People, first: NDArray[np.int64], second: NDArray[np.int64]) -> People:
    """The people when the genuine pairs of a list are known too: rows that share a label or such a pair are one."""
    named = np.flatnonzero(people.labels != DISTRACTOR)
    _, first_rows, number = np.unique(people.labels[named], return_index=True, return_inverse=True)
    joined = people_of_pairs(len(people.labels), np.append(first, named), np.append(second, named[first_rows][number]))
    alone = people.labels == DISTRACTOR
    alone[first] = alone[second] = False
    return People(np.where(alone, DISTRACTOR, joined), None, people.attributes)


def _add_features(digest: hashlib._Hash, features: NDArray[np.float32]) -> None:
    digest.update(repr(features.shape).encode())
    step = max(1, BYTES_AT_ONCE // (4 * features.shape[1]))
    for start in range(0, len(features), step):
        digest.update(np.ascontiguousarray(features[start : start + step]).data)
