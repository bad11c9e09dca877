"""People to train on and people to verify on: disjoint, drawn by a seed, as two folders of links.

A model that is verified on people it was trained on shows how well it learnt them, not faces.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from lwface.base.dice import shuffled
from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.journal import Journal
from lwface.base.notes import note
from lwface.base.progress import progress
from lwface.formats.person_names import check_folders_apart, composed
from lwface.making.image_folder import Sample
from lwface.making.tables import read_groups

TRAIN, VERIFY = SIDES = ("train", "verify")
FEWEST = 2  # people of a side: to tell apart, and to make a pair of two of
SHARE = 5  # one person in so many is verified on


@dataclass(frozen=True)
class PersonFolder:
    """Somebody in a folder of people.

    Attributes:
        name: of the folder that is written.
        folder: where the images lie, below the input.
        group: people of one group stay together; everybody's own where nothing says otherwise.
        images: below the input.
    """

    name: str
    folder: str
    group: str
    images: list[str] = field(default_factory=list)


class PeopleSplit(NamedTuple):
    """Who is on which side, by name."""

    train: list[PersonFolder]
    verify: list[PersonFolder]


def people_of(root: PathLike, samples: Iterable[Sample], groups: str | None) -> list[PersonFolder]:
    """The people whose images are ``samples`` of the folder ``root``, sorted by name.

    Args:
        groups: a number N: the first N folders of a path are the group, the next is the person, who is written as
            ``GROUP_PERSON``; a csv ``person,group``: of people in ``root``; None: everybody is alone.

    Raises:
        UserError: an image lies beside the folders of people, two people would have one name, two folders are one
            person by :mod:`lwface.formats.person_names`, or the table is wrong.
    """
    depth = int(groups) if groups is not None and groups.isdecimal() else 0
    people: dict[str, PersonFolder] = {}
    for sample in samples:
        parts = sample.name.split("/")
        if len(parts) < depth + 2:
            raise UserError(
                f"{Path(root) / sample.name}: lies beside the folders of people, which are {depth} further down"
            )
        folder = "/".join(parts[: depth + 1])
        group = "/".join(parts[:depth]) if depth else folder
        person = people.setdefault(folder, PersonFolder(folder.replace("/", "_"), folder, group))
        person.images.append(sample.name)
    of_name: dict[str, str] = {}
    for person in people.values():
        if (other := of_name.setdefault(person.name, person.folder)) != person.folder:
            raise UserError(f"{root}: {other} and {person.folder} would both be written as {person.name}: rename one")
    if depth:  # else they are looked at where the folder is walked
        check_folders_apart(root, people)
    found = sorted(people.values(), key=lambda person: person.name)
    return found if groups is None or depth else _by_table(found, Path(groups))


def split_people(people: Sequence[PersonFolder], count: int | None, seed: int) -> PeopleSplit:
    """``count`` of the ``people`` (None: a fifth) to verify on, drawn by ``seed``, the others to train on.

    Groups are drawn whole, those that no longer fit are passed over, so that there may be fewer people to verify on.

    Raises:
        UserError: a side would have fewer than two.
    """
    count = max(FEWEST, round(len(people) / SHARE)) if count is None else count
    if not FEWEST <= count <= len(people) - FEWEST:
        raise UserError(
            f"--verify-people {count}: of {len(people)} people from {FEWEST} to {len(people) - FEWEST} can be verified "
            f"on, as {FEWEST} are needed on each side"
        )
    groups: dict[str, list[PersonFolder]] = defaultdict(list)
    for person in people:
        groups[person.group].append(person)
    verify: list[PersonFolder] = []
    for group in shuffled(sorted(groups), random.Random(seed)):
        if len(verify) + len(groups[group]) <= count:
            verify += groups[group]
    if len(verify) < FEWEST:
        largest = max(map(len, groups.values()))
        raise UserError(
            f"--verify-people {count}: {len(people)} people are in {len(groups)} groups of up to {largest}, which stay "
            f"together: {len(verify)} can be taken; ask for more"
        )
    held_out = {person.name for person in verify}
    return PeopleSplit(
        [person for person in people if person.name not in held_out],
        [person for person in people if person.name in held_out],
    )


def write_split(root: Path, output: Path, split: PeopleSplit, journal: Journal, *, copy: bool) -> None:
    """Write ``output/train/PERSON`` and ``output/verify/PERSON``, links to the folders below ``root`` or copies.

    What ``journal`` says is done is not done again.

    Raises:
        UserError: links cannot be made there.
    """
    items = [(side, person) for side, people in zip(SIDES, split, strict=True) for person in people]
    for side in SIDES:
        (output / side).mkdir(exist_ok=True)
    rest = progress(items[journal.done :], total=len(items), initial=journal.done, label="people", unit="person")
    for side, person in rest:
        target = output / side / person.name
        if copy:
            _copy(root, person, target)
        else:
            _link(root / person.folder, target)
        journal.add(True, person.name, side)


def _by_table(people: Sequence[PersonFolder], table: Path) -> list[PersonFolder]:
    groups = read_groups(table, "person", "group")
    known = [person.name for person in people if composed(person.name) in groups]
    if not known:
        raise UserError(f"{table}: names none of the {len(people)} people (such as {people[0].name!r})")
    alone, absent = len(people) - len(known), len(groups) - len(known)
    if alone or absent:
        note(f"{table}: {alone} people are not in it, and each is a group alone; {absent} of its people are not there")
    return [replace(person, group=_group_of(person.name, groups)) for person in people]


def _group_of(name: str, groups: dict[str, str]) -> str:
    """The group by the table, or one that no table can name, so that nobody is in it but ``name``."""
    group = groups.get(composed(name))
    return f"alone {name}" if group is None else f"group {group}"


def _link(folder: Path, target: Path) -> None:
    """Relative, so that input and output may move together."""
    leads_to = os.path.relpath(folder.resolve(), target.parent.resolve())
    if target.is_symlink() and os.readlink(target) == leads_to:  # of a run that was killed before it said so
        return
    try:
        os.symlink(leads_to, target, target_is_directory=True)
    except (NotImplementedError, PermissionError) as error:
        raise UserError(f"{target}: a link cannot be made here ({error}); give --copy") from None


def _copy(root: Path, person: PersonFolder, target: Path) -> None:
    """Copy the images that are used, into a folder that gets its name when all are there."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if target.is_dir():  # of a run that was killed before it said so
        return
    for name in person.images:
        copied = part / Path(name).relative_to(person.folder)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, copied)
    part.replace(target)
