"""Which pairs a command line asks for: features, people, groups and lists on disk -> comparisons.

Everything but the features is read once, so that several feature files of the same rows are compared alike.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.feature_file import read_features
from lwface.formats.labels import DISTRACTOR, PairRows, read_ignored, read_pairs
from lwface.formats.people import (
    Codes,
    People,
    add_label_flags,
    check_label_flags,
    people_of_pairs,
    read_columns,
    read_people,
    united,
)
from lwface.scoring.exact.comparisons import Comparisons, PairList
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import BLOCK_SIZE, Grid

HASHED_AT_ONCE = 2**24


@dataclass(frozen=True)
class Protocol:
    """Pairs of the rows of any feature file that fits.

    Attributes:
        people: who is on each row; with a gallery, on each probe row.
        gallery: features and people of the gallery, None: the rows are compared with each other.
        pairs: the list, None: all pairs.
        ignored: (P, 2) rows of pairs left out.
        exclude_same: the attribute whose equal values are not compared.
        distractor_pairs: whether pairs of two distractors count.
        words: which pairs these are.
    """

    people: People
    gallery: tuple[NDArray[np.float32], People, str] | None
    pairs: PairRows | None
    ignored: NDArray[np.int64] | None
    exclude_same: str | None
    distractor_pairs: bool
    words: str

    def features(self, path: str) -> NDArray[np.float32]:
        """The rows of a feature file; :class:`UserError` when they are not those of the people."""
        features = read_features(path)
        if len(features) != len(self.people.labels):
            raise UserError(f"{path}: {len(features)} rows, but there are labels for {len(self.people.labels)}")
        return features

    def comparisons(
        self, path: str, *, block_size: int = BLOCK_SIZE, device: torch.device | None = None
    ) -> tuple[Comparisons, int, int]:
        """The pairs of a feature file, the rows (those of the gallery with them) and the width.

        Raises:
            UserError: the file has another number of rows than there are people.
        """
        features = self.features(path)
        rows = FeatureSet(features, self.people.labels, path, groups=self._groups(self.people))
        if self.pairs is not None:
            listed = PairList(
                rows,
                *self.pairs,
                block_size=block_size * 128,
                distractor_pairs=self.distractor_pairs,
                ignored=self.ignored,
            )
            return listed, len(rows), rows.width
        gallery = None
        if self.gallery is not None:
            others, people, name = self.gallery
            gallery = FeatureSet(others, people.labels, name, 1, groups=self._groups(people))
        grid = Grid(
            rows,
            gallery,
            block_size=block_size,
            distractor_pairs=self.distractor_pairs,
            ignored=self.ignored,
            device=device,
        )
        return grid, len(rows) + (len(gallery) if gallery is not None else 0), rows.width

    def identity(self, path: str, *settings: object) -> str:
        """Tells these pairs of these features, scored with these settings, from any others."""
        digest = hashlib.sha256(repr((self.exclude_same, self.distractor_pairs, settings)).encode())
        digest.update(_file_sha256(path).encode())
        arrays = [self.people.labels, self.ignored, *(self.pairs or ()), self._groups(self.people)]
        if self.gallery is not None:
            arrays += [self.gallery[1].labels, self._groups(self.gallery[1])]
            digest.update(_file_sha256(self.gallery[2]).encode())
        for array in arrays:
            digest.update(b"|" if array is None else np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _groups(self, people: People) -> NDArray[np.int64] | None:
        return None if self.exclude_same is None else people.attributes[self.exclude_same].codes


def read_protocol(args: argparse.Namespace) -> Protocol:
    """The protocol that the flags of :func:`add_protocol_flags` ask for.

    Raises:
        UserError: a file is missing, malformed or does not fit.
    """
    include = args.distractor_pairs == "include"
    words = "" if include else ", without pairs of two distractors"
    words += f", rows of one {args.exclude_same} not compared" if args.exclude_same else ""
    probe = args.probe or args.features
    rows = len(read_features(probe))
    wanted = [args.exclude_same] if args.exclude_same else []
    gallery = None
    if args.gallery:
        others = read_features(args.gallery)
        people, other_people = united(
            _people(args, args.probe_labels, rows, wanted), _people(args, args.gallery_labels, len(others), wanted)
        )
        gallery = (others, other_people, args.gallery)
        words = f"{rows} probe x {len(others)} gallery rows{words}"
    ignored = (
        read_ignored(args.ignore_pairs, rows, None if gallery is None else len(gallery[0]))
        if args.ignore_pairs
        else None
    )
    words += f", without the {len(ignored)} pairs of {Path(args.ignore_pairs).name}" if ignored is not None else ""
    pairs = None
    if args.pairs:
        pairs = read_pairs(args.pairs, rows)
        if pairs.same is None and not args.labels:
            raise UserError(f"{args.pairs}: lines without SAME need --labels")
        words = f"the pairs of {Path(args.pairs).name}{words}"
    elif gallery is None:
        words = f"all pairs{words}"
    if gallery is None:
        people = _people(args, args.labels, rows, wanted) if args.labels else People(np.full(rows, DISTRACTOR))
        if pairs is not None and pairs.same is not None:
            people = _joined(people, pairs.first[pairs.same], pairs.second[pairs.same])
    return Protocol(people, gallery, pairs, ignored, args.exclude_same, include, words)


def read_attributes(args: argparse.Namespace, rows: int, columns: list[str]) -> dict[str, Codes]:
    """Columns of ``--attributes``, or of the csv that holds the labels."""
    source = args.attributes or args.labels
    if not (source and Path(source).suffix.lower() == ".csv"):
        raise UserError(f"column {columns[0]!r}: no csv with columns is given; name it with --attributes FILE.csv")
    return read_columns(source, rows, columns)


def add_protocol_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say which rows and pairs are compared."""
    add = parser.add_argument
    add("--features", metavar="FILE", help="feature file whose rows are compared with each other")
    add(
        "--labels",
        metavar="FILE",
        help="who is on each row: one integer a line, -1 for a distractor; or a csv with --label-column; or a file "
        "list (or its folder) with --label-folders",
    )
    add_label_flags(add)
    add("--attributes", metavar="FILE", help="csv with a header and one line a row, if not that of --labels")
    add(
        "--exclude-same",
        metavar="COLUMN",
        help="do not compare rows with the same value in this column of the csv; folder: of one folder of a file list",
    )
    add("--ignore-pairs", metavar="FILE", help="leave these pairs out: ROW ROW a line, what follows # does not count")
    add("--pairs", metavar="FILE", help="score these pairs only: ROW ROW [SAME] a line, rows from 0, SAME 0 or 1")
    add("--probe", metavar="FILE", help="feature file whose rows are compared with those of --gallery")
    add("--probe-labels", metavar="FILE", help="labels of the probe rows")
    add("--gallery", metavar="FILE", help="feature file of the gallery")
    add("--gallery-labels", metavar="FILE", help="labels of the gallery rows")
    add("--distractor-pairs", choices=["include", "exclude"], default="include", help="count pairs of two distractors")


def check_protocol_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with the parser's error where flags do not go together."""
    cross = {"--probe", "--probe-labels", "--gallery", "--gallery-labels"}
    given = {flag for flag in cross if getattr(args, flag[2:].replace("-", "_"))}
    if given and (given != cross or args.features or args.labels or args.pairs or args.attributes):
        parser.error(
            f"a cross product takes {', '.join(sorted(cross))}, and no --features --labels --pairs --attributes"
        )
    if not given and not (args.features and (args.labels or args.pairs)):
        parser.error("give --features with --labels or --pairs, or --probe and --gallery with their labels")
    if args.exclude_same is not None and not args.exclude_same.strip():
        parser.error("--exclude-same takes the name of a column")
    check_label_flags(parser, args)
    if args.ignore_pairs and args.report and Path(args.ignore_pairs).resolve().parent == Path(args.report).resolve():
        parser.error("the report writes a new list of pairs into its folder: keep the one to --ignore-pairs elsewhere")


def _people(args: argparse.Namespace, path: str, rows: int, columns: list[str]) -> People:
    own = columns if not args.attributes else []
    if own and not (args.label_column or args.label_folders):
        raise UserError(
            f"column {own[0]!r}: {path} is no csv with --label-column; name a csv with --attributes FILE.csv"
        )
    people = read_people(path, rows, column=args.label_column, depth=args.label_folders, attributes=own)
    if columns and args.attributes:
        people = People(people.labels, people.names, read_columns(args.attributes, rows, columns))
    return people


def _joined(people: People, first: NDArray[np.int64], second: NDArray[np.int64]) -> People:
    """The people when the genuine pairs of a list are known too: rows that share a label or such a pair are one."""
    named = np.flatnonzero(people.labels != DISTRACTOR)
    _, first_rows, number = np.unique(people.labels[named], return_index=True, return_inverse=True)
    joined = people_of_pairs(len(people.labels), np.append(first, named), np.append(second, named[first_rows][number]))
    alone = people.labels == DISTRACTOR
    alone[first] = alone[second] = False
    return People(np.where(alone, DISTRACTOR, joined), None, people.attributes)


@cache
def _file_sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(HASHED_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()
