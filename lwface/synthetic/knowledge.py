"""What the renderer knows of a person, as a row of numbers: a teacher that has seen the head itself.

A network that only tells people apart learns slowly from rendered ones, each of whom it sees a few times. One that is
also drawn to these numbers, whatever pose and light, hears at every image what a face is made of. They are
written as a teacher's feature file (:mod:`lwface.recognition.teachers`): two rows an image, as it is and mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.files import PathLike
from lwface.formats.feature_file import FeatureWriter
from lwface.synthetic.appearance import BEARD_STYLES, HAIR_STYLES, BeardParts, HairCut
from lwface.synthetic.form import MIRRORED, strengths
from lwface.synthetic.person import STREAM_FORM, Person, generator

UNEVEN = frozenset({"moles"})  # as many as a person has: left out
SIDED = frozenset({"parting", "swept"})  # change their sign in a mirrored picture
KINDS = {"hair_style": HAIR_STYLES, "beard": BEARD_STYLES}
KIND_WEIGHT = 3.0  # of the kind that a person has; other numbers have a standard deviation of 1


def known(person: Person, *, mirrored: bool = False) -> NDArray[np.float64]:
    """The numbers (T,) of a person's head, skin, eyes and hair, in their own units; as many for all of a set.

    Args:
        mirrored: as a mirrored picture shows the person. What is on one side of the head alone is left out.
    """
    found = [person.shape]
    if person.form:
        found.append(strengths(generator(person.seed, person.identity, 0, STREAM_FORM))[:MIRRORED])
    for name, value in vars(person.look).items():
        if name == "cut":
            found += [_numbers(part, of, mirrored) for part, of in vars(value or NO_CUT).items()]
        elif name not in UNEVEN:
            found.append(_numbers(name, value, mirrored))
    return np.concatenate(found).astype(np.float64)


NO_BEARD, NO_CUT = BeardParts(0, 0, 0, 0), HairCut(np.zeros(10, np.float32), 0, 0, 0, 0, 0)


def _numbers(name: str, value: Any, mirrored: bool) -> NDArray[np.float64]:
    if name in KINDS:
        return np.array([float(value == kind) for kind in KINDS[name]])
    if name == "beard_parts":
        value = value or NO_BEARD
    sign = -1 if mirrored and name in SIDED else 1
    return sign * np.atleast_1d(np.asarray(value, np.float64))


def write_teacher(path: PathLike, people: Sequence[Person], images: int) -> None:
    """The feature file of ``people`` with ``images`` each, in this order: 2 N rows of numbers that all have mean 0.

    Each number has a standard deviation of 1 over the people, but whether a person's hair or beard is of a kind has one
    of at most half of :data:`KIND_WEIGHT`; what is the same for all is left out.
    """
    rows = np.array([[known(who), known(who, mirrored=True)] for who in people])  # (P, 2, T)
    spread = rows.std(axis=(0, 1))
    kinds = np.isin(rows, (0, 1)).all(axis=(0, 1))
    factor = np.where(kinds, KIND_WEIGHT, 1 / np.maximum(spread, 1e-9))
    rows = ((rows - rows.mean(axis=(0, 1))) * factor)[..., spread > 1e-6]
    with FeatureWriter(path, 2 * images * len(people), rows.shape[2], unit_rows=False) as writer:
        for both in rows.astype(np.float32):
            writer.write(np.tile(both, (images, 1)))
