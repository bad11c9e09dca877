"""Folders of images: one folder a person, in an order that depends on nothing but the names."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.image_files import is_image_name

Item = TypeVar("Item")
Result = TypeVar("Result")


class Sample(NamedTuple):
    """An image of a person. ``name`` is its path below the root, with ``/``; ``group`` what it was taken from.

    Images of one group, such as the frames of a video, are too alike to be a pair.
    """

    name: str
    person: str
    group: str = ""


def image_folder(root: PathLike) -> Path:
    """The folder ``root``; :class:`UserError` when it is not there."""
    if not Path(root).is_dir():
        raise UserError(f"{root}: no such folder of images")
    return Path(root)


def image_names(root: PathLike) -> list[str]:
    """All images below ``root``, as sorted paths relative to it; links to folders are not followed."""
    base = image_folder(root)
    found = []
    for folder, _, files in os.walk(base, onerror=_cannot_list):
        inside = Path(folder).relative_to(base)
        found += [(inside / name).as_posix() for name in files if is_image_name(name)]
    for name in found:
        if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
            raise UserError(f"{root}: the file name {name!r} cannot be written in a list; rename it")
    return sorted(found, key=lambda name: name.split("/"))


def person_samples(root: PathLike) -> list[Sample]:
    """The images below ``root/PERSON/``, ordered by person, then by path; images outside such a folder are an error."""
    samples = []
    for name in image_names(root):
        person, slash, _ = name.partition("/")
        if not slash:
            raise UserError(f"{Path(root) / name}: lies beside the folders of people; every person needs a folder")
        samples.append(Sample(name, person))
    if not samples:
        raise UserError(f"{root}: no images in it; expected one folder a person, with images in each")
    return samples


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


def _cannot_list(error: OSError) -> None:
    raise error
