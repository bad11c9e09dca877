"""Folders of images: one folder a person, in an order that depends on nothing but the names."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

from lwface.base.account import Account, skipped_lines
from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.image_walk import walk_images
from lwface.formats.person_names import check_folders_apart

Item = TypeVar("Item")
Result = TypeVar("Result")


class Sample(NamedTuple):
    """An image of a person. ``name`` is its path below the root, with ``/``; ``group`` what it was taken from.

    Images of one group, such as the frames of a video, are too alike to be a pair.
    """

    name: str
    person: str
    group: str = ""


class PeopleFolder(NamedTuple):
    """The images of a folder of people, ordered by person, then by path, and the account of the folder."""

    samples: list[Sample]
    account: Account


def walk_people(root: PathLike) -> PeopleFolder:
    """The images below ``root/PERSON/``; images outside such a folder are an error.

    Raises:
        UserError: as :func:`lwface.formats.image_walk.walk_images`, there is no image in a folder of a person, or two
            folders are one person by :mod:`lwface.formats.person_names`.
    """
    names, account = walk_images(root)
    samples = []
    for name in names:
        person, slash, _ = name.partition("/")
        if not slash:
            raise UserError(f"{Path(root) / name}: lies beside the folders of people; every person needs a folder")
        samples.append(Sample(name, person))
    if not samples:
        found = "; ".join(["", *skipped_lines(account.as_json())])
        raise UserError(f"{root}: no images in it; expected one folder a person, with images in each{found}")
    check_folders_apart(root, dict.fromkeys(sample.person for sample in samples))
    return PeopleFolder(samples, account)


def by_person(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """The samples of each person, in the order given, people sorted."""
    ordered = sorted(samples, key=lambda sample: sample.person)
    return {person: list(group) for person, group in groupby(ordered, key=lambda sample: sample.person)}


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """``map`` on threads: results in order, at most a few ahead of the consumer, nothing left running at the end."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
