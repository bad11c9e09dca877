"""What is handed in to the faceless challenge, and the truth it is scored on.

A submission is five people a sample, the best first, by their place among the people learnt from. The challenge takes
JSON: a list of lists in the order of the samples, or an object with that under ``predictions``. As a csv,
``sample,guess_1,...,guess_5``, it says which sample each line is of, and lines may come in any order.

The truth is a csv ``sample,index,person``: who is on each sample. ``index`` is empty where the person is none of those
learnt from: such samples are asked for and do not count. The people are a csv ``index,person``.

The challenge's server answered -1 to whatever was wrong; here the first fault is told, with its place.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike, write_text
from lwface.formats.keypoint_tables import table
from lwface.formats.values import whole_number

GUESSES = 5
LIMIT = 2**31  # people
_SAMPLE, _INDEX, _PERSON, _PREDICTIONS = "sample", "index", "person", "predictions"


@dataclass(frozen=True, eq=False)
class SequenceTruth:
    """Who is on each sample.

    Attributes:
        samples: S names.
        indices: (S,) places among the people learnt from; -1 for a stranger.
        people: S names, of strangers too.
    """

    samples: list[str]
    indices: NDArray[np.int64]
    people: list[str]


def guess_count(people: int) -> int:
    """How many guesses a sample has where ``people`` were learnt from."""
    return min(GUESSES, people)


def write_guesses(path: PathLike, samples: Sequence[str], guesses: NDArray[np.int64]) -> None:
    """Write the submission ``guesses`` (S, K) beside and renamed: a csv where ``path`` ends so, else JSON."""
    rows = guesses.tolist()
    if not _is_csv(path):
        write_text(path, json.dumps(rows) + "\n")
        return
    columns = [_SAMPLE, *(f"guess_{place}" for place in range(1, guesses.shape[1] + 1))]
    _write_table(path, columns, ([name, *row] for name, row in zip(samples, rows, strict=True)))


def read_guesses(path: PathLike, samples: Sequence[str], people: int | None = None) -> NDArray[np.int64]:
    """The guesses (S, K) of a submission, in the order of ``samples``.

    Args:
        path: JSON, or a csv where its name ends so.
        samples: those asked for.
        people: how many were learnt from; None: not known, so that five guesses are expected and any place is taken.

    Raises:
        UserError: what is wrong, with its line or row.
    """
    count = GUESSES if people is None else guess_count(people)
    if _is_csv(path):
        return _of_table(path, samples, count, people)
    try:
        value = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {' '.join(str(error).split())[:80]}") from None
    if isinstance(value, dict):
        if _PREDICTIONS not in value:
            raise UserError(f"{path}: an object without {_PREDICTIONS!r}; expected a list of lists of {count} numbers")
        value = value[_PREDICTIONS]
    if not isinstance(value, list):
        raise UserError(f"{path}: expected a list of lists of {count} numbers, not {_kind(value)}")
    if len(value) != len(samples):
        first = f"the first is {samples[0]}" if samples else "there are none"
        raise UserError(f"{path}: {len(value)} rows for {len(samples)} samples, one a sample in their order ({first})")
    return np.array([_row(f"{path}: row {n} ({samples[n]})", row, count, people) for n, row in enumerate(value)])


def write_truth(path: PathLike, truth: SequenceTruth) -> None:
    """Write the truth, beside and renamed."""
    places = ("" if index < 0 else index for index in truth.indices.tolist())
    _write_table(path, [_SAMPLE, _INDEX, _PERSON], zip(truth.samples, places, truth.people, strict=True))


def read_truth(path: PathLike) -> SequenceTruth:
    """The truth; :class:`UserError` with the line where it makes no sense."""
    samples, indices, people = dict[str, int](), [], []
    for line, places, fields in table(path, (_SAMPLE, _INDEX, _PERSON)):
        where = f"{path}, line {line}"
        name, cell = (fields[places[column]].strip() for column in (_SAMPLE, _INDEX))
        _unseen(where, name, samples, line)
        index = whole_number(cell) if cell else -1
        if index is None or (cell and not 0 <= index < LIMIT):
            raise UserError(f"{where}, column {_INDEX}: {cell!r} is not a whole number from 0 on, nor empty")
        indices.append(index)
        people.append(fields[places[_PERSON]].strip())
    return SequenceTruth(list(samples), np.array(indices, np.int64), people)


def write_people(path: PathLike, people: Sequence[str]) -> None:
    """Write the people learnt from, in their order, beside and renamed."""
    _write_table(path, [_INDEX, _PERSON], enumerate(people))


def read_people_learnt(path: PathLike) -> list[str]:
    """The people learnt from; :class:`UserError` unless their places are 0, 1, 2, ... in some order."""
    found: dict[int, str] = {}
    for line, places, fields in table(path, (_INDEX, _PERSON)):
        index = whole_number(fields[places[_INDEX]])
        if index is None or index < 0 or index in found:
            raise UserError(f"{path}, line {line}, column {_INDEX}: {fields[places[_INDEX]]!r} is no place, or not new")
        found[index] = fields[places[_PERSON]].strip()
    if max(found) != len(found) - 1:
        raise UserError(f"{path}: {len(found)} people, but places up to {max(found)}; expected 0 to {len(found) - 1}")
    return [found[index] for index in range(len(found))]


def _of_table(path: PathLike, samples: Sequence[str], count: int, people: int | None) -> NDArray[np.int64]:
    columns = [f"guess_{place}" for place in range(1, count + 1)]
    asked = {name: place for place, name in enumerate(samples)}
    seen: dict[str, int] = {}
    guesses = np.full((len(samples), count), -1, np.int64)
    for line, places, fields in table(path, (_SAMPLE, *columns)):
        where, name = f"{path}, line {line}", fields[places[_SAMPLE]].strip()
        _unseen(where, name, seen, line)
        if name not in asked:
            raise UserError(f"{where}: {name} is not asked for; the first that is: {samples[0]}")
        numbers = [whole_number(fields[places[column]]) for column in columns]
        for column, number in zip(columns, numbers, strict=True):
            if number is None:
                cell = fields[places[column]].strip()
                raise UserError(f"{where}, column {column}: {cell!r} is not a whole number")
        guesses[asked[name]] = _row(f"{where} ({name})", numbers, count, people)
    missing = [name for name in samples if name not in seen]
    if missing:
        raise UserError(f"{path}: {missing[0]} is missing, {len(missing)} of {len(samples)} samples in all")
    return guesses


def _row(where: str, row: Any, count: int, people: int | None) -> list[int]:
    """Five different people; what is wrong is told at once."""
    if not isinstance(row, list):
        raise UserError(f"{where}: expected {count} numbers, not {_kind(row)}")
    if len(row) != count:
        raise UserError(f"{where}: {len(row)} guesses; expected {count}")
    for place, number in enumerate(row, start=1):
        if isinstance(number, bool) or not isinstance(number, int):
            raise UserError(f"{where}: guess {place} is {_kind(number)}; expected a whole number")
        if number < 0 or number >= (LIMIT if people is None else people):
            known = f"people are 0 to {people - 1}" if people is not None else "expected 0 or more"
            raise UserError(f"{where}: guess {place} is {number}; {known}")
        if number in row[: place - 1]:
            raise UserError(f"{where}: guesses {number} twice; the guesses of a sample must differ")
    return list(row)


def _unseen(where: str, name: str, seen: dict[str, int], line: int) -> None:
    if not name:
        raise UserError(f"{where}: names no sample")
    if name in seen:
        raise UserError(f"{where}: {name} is there twice, first in line {seen[name]}")
    seen[name] = line


def _kind(value: Any) -> str:
    names = {bool: "a truth value", float: "a number with a point", str: "text", dict: "an object", list: "a list"}
    return "null" if value is None else names.get(type(value), "a number")


def _is_csv(path: PathLike) -> bool:
    return Path(path).suffix.lower() == ".csv"


def _write_table(path: PathLike, columns: Sequence[str], rows: Any) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())
