"""Who is on each row of a feature file, and what else is known of the rows.

The people come from one of four sources:

* a text file, one integer a line, in the order of the rows; equal numbers are one person, -1 is a distractor: a person
  who appears once, whose every pair is an impostor pair;
* a csv with a header and one line a row, in the order of the rows; one of its columns names the people. Any text is a
  person; an empty field or -1 is a distractor. Its other columns are attributes;
* the file list that the features were made from, whose folders are the people: ``person/image.jpg`` or
  ``person/video``. The person is the name of the folder ``depth`` levels above the last part of the path (1: the folder
  that holds the image, or the video's folder; 2: the one above, as in ``person/video/frame.jpg``). Folders of the same
  name are one person, wherever they lie, which is said. It has one attribute, ``folder``: all of the path but its last
  part;
* the folder of people that the features were made from, ``person/**/image``, where it has no file list: the person is
  the first folder of an image's path (or of a video's), or that ``depth`` levels above the last part. It has the same
  attribute.

Values are compared, not spellings (:mod:`lwface.formats.values`): 3.0 is person 3, -1.0 and NaN are distractors. Names
that look the same are one person, those that nearly do are told (:mod:`lwface.formats.person_names`).
Blanks around a name or value do not count. Names become integers in the order in which they first occur.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError, unknown_name
from lwface.base.files import PathLike
from lwface.base.notes import note
from lwface.formats.file_list import LIST_NAME, listed_paths, names_of_rows
from lwface.formats.person_names import composed, tell_alike
from lwface.formats.text_files import numbered_lines, table_rows
from lwface.formats.values import lost_digits, value_of, whole_number

DISTRACTOR = -1
LABEL_LIMIT = 2**62  # numbers from here on are given to distractors

NO_VALUE = -1  # the code of an empty field
FOLDER = "folder"  # the attribute of a file list


class Codes(NamedTuple):
    """One column of text: each row's value by its number."""

    codes: NDArray[np.int64]  # (N,) index into ``values``, NO_VALUE for an empty field
    values: list[str]


@dataclass(frozen=True)
class People:
    """Who is on each row.

    Attributes:
        labels: (N,) equal numbers are one person, -1 is a distractor.
        names: the person of label i; None: the labels are the numbers of a text file.
        attributes: by column.
    """

    labels: NDArray[np.int64]
    names: list[str] | None = None
    attributes: dict[str, Codes] = field(default_factory=dict)


def read_people(
    path: PathLike, rows: int, *, column: str | None = None, depth: int = 0, attributes: Sequence[str] = ()
) -> People:
    """The people of a feature file of ``rows`` rows.

    Args:
        path: a text file of labels; with ``column`` a csv; with ``depth`` a file list, or the folder of a
            ``filelist.txt``; a folder of people without one.
        rows: rows of the feature file.
        column: the column of the csv that names the people.
        depth: of the folder in the file list that names the people; 0: the file is no file list.
        attributes: columns of the csv to read besides, or ``folder`` of a file list.

    Raises:
        UserError: the file does not fit the features, a line is malformed, or there is no such column; names file and
            line.
    """
    if os.path.isdir(path) and column is None and not (Path(path) / LIST_NAME).is_file():
        return _from_paths(path, _walked(path, rows), rows, depth, attributes)
    if depth:
        return _from_paths(path, _listed(path, depth), rows, depth, attributes)
    if os.path.isdir(path):
        raise UserError(f"{path}: has a {LIST_NAME}: --label-folders says how far above the last part the people are")
    if column is None:
        if Path(path).suffix.lower() == ".csv":
            header = next(table_rows(path), (0, []))[1]
            raise UserError(
                f"{path}: which column of the csv names the people? It has {', '.join(header)}: add --label-column NAME"
            )
        return People(read_labels(path, rows))
    columns = _columns(path, rows, [column, *attributes], people=column)
    labels, names = columns[column]
    tell_alike(f"{path}: column {column!r}", names)
    if str(DISTRACTOR) in names:
        labels = np.where(labels == names.index(str(DISTRACTOR)), DISTRACTOR, labels)
    return People(labels, names, {name: columns[name] for name in attributes})


def read_labels(path: PathLike, rows: int) -> NDArray[np.int64]:
    """The labels (rows,) of a feature file of ``rows`` rows.

    Raises:
        UserError: a line is not an integer from -1 on, or there are not ``rows`` lines; names file and line.
    """
    labels = []
    for number, text in numbered_lines(path):
        label = integer(text)
        if label is None and text and not value_of(text):
            label = DISTRACTOR
        if label is None or not DISTRACTOR <= label < LABEL_LIMIT or lost_digits(text):
            raise UserError(
                f"{path}, line {number}: {text!r} is not a label; give an integer from 0 on, or -1 for a distractor"
            )
        labels.append(label)
    if len(labels) != rows:
        raise UserError(
            f"{path}: {len(labels)} labels for {rows} feature rows; give one a line, in the order of the rows"
        )
    return np.array(labels, dtype=np.int64)


def read_columns(path: PathLike, rows: int, columns: Sequence[str]) -> dict[str, Codes]:
    """Columns of a csv that has a header and one line a row of a feature file; errors as in :func:`read_people`."""
    return _columns(path, rows, columns)


def _columns(path: PathLike, rows: int, columns: Sequence[str], people: str | None = None) -> dict[str, Codes]:
    """The same; the column ``people`` is looked at more closely."""
    lines = table_rows(path)
    header = [name.strip() for name in next(lines, (0, []))[1]]
    for name in columns:
        if name not in header:
            raise UserError(f"{path}: {unknown_name('column', name, header)}")
        if header.count(name) > 1:
            raise UserError(f"{path}: has {header.count(name)} columns {name!r}; rename all but one")
    places = [header.index(name) for name in columns]
    found = [_Column() for _ in columns]
    for line, fields in lines:
        if not fields:
            raise UserError(f"{path}, line {line}: is blank; there must be one line a row of the feature file")
        if len(fields) != len(header):
            raise UserError(f"{path}, line {line}: {len(fields)} fields, the header has {len(header)}")
        for place, column in zip(places, found, strict=True):
            column.add(fields[place])
    if columns:
        _check_rows(path, len(found[0].codes), rows)
    if people is not None:
        _check_people(f"{path}: column {people!r}", found[columns.index(people)].code_of_text)
    return {name: column.finished() for name, column in zip(columns, found, strict=True)}


class _Column:
    """A column that is being read. Each text is looked at once, however many rows have it."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.code_of_text: dict[str, int] = {}
        self._code_of_value = {"": NO_VALUE}

    def add(self, text: str) -> None:
        """One more row."""
        code = self.code_of_text.get(text)
        if code is None:
            code = self._code_of_value.setdefault(value_of(text), len(self._code_of_value) - 1)
            self.code_of_text[text] = code
        self.codes.append(code)

    def finished(self) -> Codes:
        """The whole."""
        return Codes(np.array(self.codes, dtype=np.int64), list(self._code_of_value)[1:])


def _check_people(where: str, code_of_text: dict[str, int]) -> None:
    """Say which texts were taken for no name, or for one person's; :class:`UserError` where numbers lost digits."""
    whole: dict[int, str] = {}
    for text, code in code_of_text.items():
        spelling = text.strip()
        if code == NO_VALUE and spelling:
            note(f"{where}: {spelling!r} is taken for no name, so that its rows are distractors")
        if lost_digits(text):
            raise UserError(
                f"{where}: {spelling!r} is a whole number that was made a float, which has not so many digits: others "
                "may have become the same; write the column as whole numbers or text"
            )
        digits = spelling.lstrip("+").partition(".")[0]
        if whole_number(text) is not None and spelling.partition("e")[0] == spelling and digits.isdecimal():
            other = whole.setdefault(code, digits)
            if other != digits:
                note(f"{where}: {other!r} and {digits!r} are one number, so they are one person")


def united(first: People, second: People) -> tuple[People, People]:
    """The same with common numbers, so that one text is one person (one value) in both, as probe and gallery need.

    The number 7 of a text file is the text "7". Attributes must have the same columns.
    """
    attributes: tuple[dict[str, Codes], dict[str, Codes]] = ({}, {})
    for name, column in first.attributes.items():
        for side, codes in zip(attributes, _recoded(column, second.attributes[name]), strict=True):
            side[name] = codes
    if first.names is None and second.names is None:
        return replace(first, attributes=attributes[0]), replace(second, attributes=attributes[1])
    names, other_names = _recoded(_as_codes(first), _as_codes(second))
    tell_alike("probe and gallery", other_names.values)
    return People(*names, attributes[0]), People(*other_names, attributes[1])


def people_of_pairs(rows: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """The people (N,) that follow from genuine pairs (P,) alone: rows that a chain of pairs joins are one person.

    For a list of pairs that says itself which are genuine. A person's number is its lowest row.
    """
    people = np.arange(rows)
    while True:
        lowest = np.minimum(people[first], people[second])
        joined = people.copy()
        np.minimum.at(joined, people[first], lowest)
        np.minimum.at(joined, people[second], lowest)
        joined = joined[joined]
        if (joined == people).all():
            return people
        people = joined


def in_bands(column: Codes, width: float, name: str) -> Codes:
    """A column of numbers by bands ``[low, low + width)`` that start at multiples of ``width``, in their order.

    Raises:
        UserError: a value is not a number.
    """
    bands = [_band(value, width, name) for value in column.values]
    order, inverse = np.unique(np.array(bands, dtype=np.int64), return_inverse=True)
    of_code = np.append(inverse, NO_VALUE)  # the last is what NO_VALUE finds
    values = [f"{band * width:g} to below {(band + 1) * width:g}" for band in order.tolist()]
    return Codes(of_code[column.codes], values)


def _band(value: str, width: float, name: str) -> int:
    try:
        return int(np.floor(float(value) / width))
    except (ValueError, OverflowError):
        raise UserError(f"column {name!r}: {value!r} is not a number, so it lies in no band of {width:g}") from None


def _from_paths(path: PathLike, paths: Iterable[list[str]], rows: int, depth: int, attributes: Sequence[str]) -> People:
    """The people by the folders of ``paths`` in parts: ``depth`` above the last part, or the first where it is 0."""
    if wrong := [name for name in attributes if name != FOLDER]:
        raise UserError(f"{path}: {unknown_name('column', wrong[0], [FOLDER])} (it is a file list)")
    names: dict[str, int] = {}
    folders: dict[str, int] = {}
    above: dict[str, str] = {}  # where each person's folder was first seen
    elsewhere: dict[str, str] = {}  # and another place
    labels, of_folder = [], []
    for parts in paths:
        if len(parts) <= depth:
            raise UserError(f"{path}: {'/'.join(parts)!r} has no folder {depth} above it to name a person")
        person = len(parts) - 1 - depth if depth else 0
        name, place = composed(parts[person]), "/".join(parts[:person])
        labels.append(names.setdefault(name, len(names)))
        if above.setdefault(name, place) != place:
            elsewhere.setdefault(name, place)
        if attributes:
            of_folder.append(folders.setdefault("/".join(parts[:-1]), len(folders)))
    _check_rows(path, len(labels), rows)
    if elsewhere:
        name, other = next(iter(elsewhere.items()))
        note(
            f"{path}: {len(elsewhere)} of {len(names)} folder names lie in several folders ({name!r} in "
            f"{above[name] or '.'!r} and in {other or '.'!r}) and are one person each; if the folder above names the "
            f"people, as in PERSON/CLIP/FRAME, give --label-folders {depth + 1}"
        )
    tell_alike(f"{path}: folders", names)
    codes = Codes(np.array(of_folder, dtype=np.int64), list(folders))
    return People(np.array(labels, dtype=np.int64), list(names), {FOLDER: codes} if attributes else {})


def _walked(path: PathLike, rows: int) -> Iterator[list[str]]:
    """The parts of the path of each row's image or video in a folder of people."""
    for name in names_of_rows(path, rows):
        if "/" not in name and not os.path.isdir(os.path.join(path, name)):
            raise UserError(
                f"{os.path.join(path, name)}: lies beside the folders of people; every person needs a folder"
            )
        yield name.split("/")


def _listed(path: PathLike, depth: int) -> Iterator[list[str]]:
    """The parts of each line of a file list, which has a folder ``depth`` above the last."""
    if os.path.isdir(path):
        path = Path(path) / LIST_NAME
    for number, text in listed_paths(path):
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if len(parts) <= depth or parts[-1 - depth] == "..":
            raise UserError(f"{path}, line {number}: {text!r} has no folder {depth} above it to name a person")
        yield parts


def _check_rows(path: PathLike, found: int, rows: int) -> None:
    if found != rows:
        raise UserError(f"{path}: {found} lines for {rows} feature rows; give one a row, in the order of the rows")


def _recoded(first: Codes, second: Codes) -> tuple[Codes, Codes]:
    """The second's values numbered as the first's, those it has alone after them."""
    known = {value: number for number, value in enumerate(first.values)}
    numbers = [known.setdefault(value, len(known)) for value in second.values] + [NO_VALUE]
    values = list(known)
    return Codes(first.codes, values), Codes(np.array(numbers)[second.codes], values)


def _as_codes(people: People) -> Codes:
    """The people as text."""
    if people.names is not None:
        return Codes(people.labels, people.names)
    numbers, codes = np.unique(people.labels, return_inverse=True)
    distractors = int(np.count_nonzero(numbers == DISTRACTOR))  # first of all, being the lowest
    return Codes(codes - distractors, [str(number) for number in numbers[distractors:].tolist()])


def integer(text: str) -> int | None:
    """The integer that is written, None where it is none."""
    try:
        return int(text)
    except ValueError:
        return whole_number(text)
