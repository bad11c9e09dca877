"""Pairs for 1:1 verification: read from a file, or drawn so that ten-fold evaluation is fair.

A drawn list is ordered as LFW's is: fold after fold, in each first the pairs of the same person, then as many of
different people. The people of a fold are in no other, so a threshold is never tested on people it was chosen with.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container, Sequence
from typing import NamedTuple

from lwface.base.dice import below, shuffled
from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.notes import note
from lwface.formats.text_files import numbered_lines
from lwface.formats.values import TRUTHS, value_of, whole_number
from lwface.making.image_folder import Sample, by_person

FOLDS = 10  # what everybody evaluates packs in; a pack of fewer shows it by its order
FEWEST_FOLDS = 2


class Pair(NamedTuple):
    """Two images by name, and whether they show the same person."""

    first: str
    second: str
    same: bool


def read_pairs(path: PathLike, names: Sequence[str]) -> list[Pair]:
    """The pairs of a text file, one a line; :class:`UserError` with the line for one that is wrong or not in ``names``.

    A line is ``IMAGE IMAGE 0|1``, or as in LFW's ``pairs.txt`` ``PERSON N M`` for the same person and ``PERSON N PERSON
    M`` for different ones, with the images ``PERSON/PERSON_%04d.*``. Its fields are separated by tabs, semicolons or
    commas, or by blanks where names have none. A first line of one or two numbers, as LFW's, is passed over, and so is
    a table's header.
    """
    known = {name: name for name in names} | {name.rpartition(".")[0]: name for name in names}
    pairs = []
    for number, line in numbered_lines(path, names=True):
        words = line.split()
        if not words or (number == 1 and len(words) <= 2 and all(word.isdecimal() for word in words)):
            continue
        readings = [pair for fields in _readings(line) if (pair := _parsed(fields)) is not None]
        if not readings and number == 1 and _is_header(line, known):
            note(f"{path}: line 1, {line!r}, is taken for a header")
            continue
        if not readings:
            raise UserError(
                f"{path}: line {number} is not a pair: IMAGE IMAGE 0|1, PERSON N M or PERSON N PERSON M expected"
            )
        pair = next((pair for pair in readings if pair.first in known and pair.second in known), readings[0])
        for name in pair[:2]:
            if name not in known:
                raise UserError(f"{path}: line {number}: no usable image {name!r} among the images")
        pairs.append(Pair(known[pair.first], known[pair.second], pair.same))
    if not pairs:
        raise UserError(f"{path}: no pairs in it")
    return pairs


def _readings(line: str) -> list[list[str]]:
    """The fields of a line by each separator that gives enough of them; with Windows' backslashes also as slashes."""
    parted = [[field.strip() for field in line.rstrip(mark).split(mark)] for mark in "\t;,"]
    found = [fields for fields in (*parted, line.split()) if len(fields) in (3, 4)]
    return [*found, *([field.replace("\\", "/") for field in fields] for fields in found if "\\" in line)]


def _is_header(line: str, known: Container[str]) -> bool:
    return any(not any(_number(field) or field in known for field in fields) for fields in _readings(line))


def _number(text: str) -> bool:
    return whole_number(text) is not None


def _parsed(fields: list[str]) -> Pair | None:
    first, *_, last = fields
    if len(fields) == 3 and _number(fields[1]) and _number(last):
        return Pair(_lfw_name(first, fields[1]), _lfw_name(first, last), True)
    if len(fields) == 3 and value_of(last) in TRUTHS:
        return Pair(first, fields[1], bool(TRUTHS[value_of(last)]))
    if len(fields) == 4 and _number(fields[1]) and _number(last):
        return Pair(_lfw_name(first, fields[1]), _lfw_name(fields[2], last), False)
    return None


def _lfw_name(person: str, number: str) -> str:
    return f"{person}/{person}_{whole_number(number):04d}"


def check_count(count: int, folds: int = FOLDS) -> None:
    """:class:`UserError` unless so many pairs can be drawn, half of one person, for so many equal folds."""
    if not FEWEST_FOLDS <= folds <= FOLDS:
        raise UserError(f"{folds} folds: expected {FEWEST_FOLDS} to {FOLDS}, as packs are evaluated")
    if count < 2 * folds or count % (2 * folds):
        raise UserError(f"{count} pairs cannot fill {folds} equal folds, half same: give a multiple of {2 * folds}")


def draw_pairs(samples: Sequence[Sample], count: int, seed: int, folds: int | None = None) -> list[Pair]:
    """``count`` different pairs of ``samples``, half of them of the same person, the same for the same ``seed``.

    Same-person pairs are drawn person first, so that people with many images do not fill the list, and never within
    one non-empty group (a video). :class:`UserError` when a fold's people cannot give that many; it names how many can,
    and the flag of another number of folds where there was a choice (``folds`` is not None, which is ten).
    """
    choice = folds is not None
    folds = FOLDS if folds is None else folds
    check_count(count, folds)
    people = by_person(samples)
    dice = random.Random(seed)
    names = shuffled(sorted(people), dice)
    fold_people = [[people[name] for name in names_of_fold] for names_of_fold in _folds_of(names, folds)]
    each = count // (2 * folds)
    if min(map(_pairs_of_kind, fold_people)) < each:
        raise _too_many(count, seed, folds, people, names, choice=choice)
    pairs: list[Pair] = []
    for fold in fold_people:
        pairs += _draw_same(fold, each, dice)
        pairs += _draw_different(fold, each, dice)
    return pairs


def _folds_of(names: list[str], folds: int) -> list[list[str]]:
    """The people of each fold; ``names`` are in the order that the dice made."""
    return [sorted(names[fold::folds]) for fold in range(folds)]


def _pairs_of_kind(people: list[list[Sample]]) -> int:
    """How many pairs of one person, and as many of two, these people can give."""
    return min(sum(map(_same_pairs, people)), _different_pairs(people))


def _too_many(
    count: int, seed: int, folds: int, people: dict[str, list[Sample]], names: list[str], *, choice: bool
) -> UserError:
    """The rule that cannot be kept, and what can be had; with a ``choice``, in other numbers of folds too."""
    possible = {
        number: 2 * number * min(_pairs_of_kind([people[name] for name in fold]) for fold in _folds_of(names, number))
        for number in range(folds, FEWEST_FOLDS - 1 if choice else folds - 1, -1)
    }
    # How many of the pairs asked for each can give, in folds that are equal.
    given = {number: min(most, count // (2 * number) * 2 * number) for number, most in possible.items()}
    best = max(given, key=lambda number: (given[number], number))
    each, images = count // (2 * folds), sum(map(len, people.values()))
    other = ""
    if best != folds:
        fewer = "" if given[best] == count else f" --pack-pairs {given[best]}"
        other = f", in {best} folds {possible[best]}: add --folds {best}{fewer}"
    elif given[best]:
        other = f": give --pack-pairs {given[best]}"
    apart = ", not inside one clip," if any(s.group for person in people.values() for s in person) else ""
    return UserError(
        f"{count} pairs are too many for {len(people)} people and {images} images: each of {folds} folds has people of "
        f"its own and needs {each} pairs of one person{apart} and {each} of two; seed {seed} can give "
        f"{possible[folds]}{other}"
    )


def _draw_same(people: list[list[Sample]], count: int, dice: random.Random) -> list[Pair]:
    """Person by person in turn, in a random order; each person's pairs in a random order without repetition."""
    queues: dict[int, list[Pair]] = {}  # made when a person's first turn comes: all at once may be very many
    pairs: list[Pair] = []
    while True:
        for i in shuffled(range(len(people)), dice):
            if i not in queues:
                images = enumerate(people[i], 1)
                every = [Pair(a.name, b.name, True) for n, a in images for b in people[i][n:] if _apart(a, b)]
                queues[i] = shuffled(every, dice)
            if queues[i]:
                pairs.append(queues[i].pop())
                if len(pairs) == count:
                    return pairs


def _draw_different(people: list[list[Sample]], count: int, dice: random.Random) -> list[Pair]:
    """Two people at random, an image of each at random, until there are enough different pairs."""
    if count * 4 > _different_pairs(people):  # so many that throwing until all are different would take long
        samples = [(i, sample) for i, person in enumerate(people) for sample in person]
        every = [Pair(a.name, b.name, False) for n, (i, a) in enumerate(samples) for j, b in samples[n + 1 :] if i != j]
        return shuffled(every, dice)[:count]
    pairs: dict[Pair, None] = {}
    while len(pairs) < count:
        i, j = below(len(people), dice), below(len(people) - 1, dice)
        i, j = sorted((i, j + (j >= i)))
        first, second = (person[below(len(person), dice)] for person in (people[i], people[j]))
        pairs[Pair(first.name, second.name, False)] = None
    return list(pairs)


def _apart(a: Sample, b: Sample) -> bool:
    return not a.group or a.group != b.group


def _same_pairs(person: list[Sample]) -> int:
    sizes = Counter(sample.group for sample in person if sample.group).values()
    return len(person) * (len(person) - 1) // 2 - sum(n * (n - 1) // 2 for n in sizes)


def _different_pairs(people: list[list[Sample]]) -> int:
    sizes = [len(person) for person in people]
    return (sum(sizes) ** 2 - sum(n * n for n in sizes)) // 2
