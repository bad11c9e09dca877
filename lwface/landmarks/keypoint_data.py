"""What each approach to the gaps of ``training.csv`` learns from."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.account import Account
from lwface.base.dice import shuffled
from lwface.base.errors import UserError
from lwface.formats.keypoint_images import KeypointFaces
from lwface.formats.keypoint_tables import FOUR, POINTS
from lwface.landmarks.keypoint_choices import FFILL, MASKED, TWO_MODELS
from lwface.training.task import Batch


class KeypointBatches:
    """Faces as training data: greys (N, 96, 96) uint8 and points (N, K, 2) float32, NaN where not known."""

    def __init__(self, faces: KeypointFaces) -> None:
        self.images = torch.from_numpy(faces.images)
        self.points = torch.from_numpy(faces.points.astype(np.float32))

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, positions: NDArray[np.int64], step: int, first: int = 0) -> Batch:
        """The faces at ``positions`` as they are: the task changes them on its device."""
        chosen = torch.from_numpy(positions)
        return Batch(self.images[chosen], self.points[chosen], {})


class KeypointPart(NamedTuple):
    """What one model learns.

    Attributes:
        name: empty, or what tells it from the approach's first model.
        points: the names of the K points it puts.
        train, held_out: faces with points (N, K, 2).
        account: rows that are learnt from, and others with the reason.
    """

    name: str
    points: tuple[str, ...]
    train: KeypointFaces
    held_out: KeypointFaces
    account: Account


FOUR_POINTS = "four"  # the name of the part of two-models that learns these alone


def part_names(approach: str) -> list[str]:
    """Of each model of ``approach``, its :attr:`KeypointPart.name`."""
    return ["", FOUR_POINTS] if approach == TWO_MODELS else [""]


def held_out_rows(count: int, share: float, seed: int) -> NDArray[np.bool_]:
    """(count,) True for ``share`` of the rows, drawn by ``seed``; at least one, and not all.

    Raises:
        UserError: there are fewer than two rows.
    """
    if count < 2:
        raise UserError(f"{count} rows: expected two or more, to learn from some and judge by others")
    number = min(max(round(share * count), 1), count - 1)
    mask = np.zeros(count, bool)
    mask[shuffled(range(count), random.Random(seed))[:number]] = True
    return mask


def forward_filled(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """``points`` (N, K, 2) with each gap filled by the same point of the nearest row above that has it.

    Gaps above the first row that has a point stay. What fills is in most rows another person's: the approach is the
    seed's, and what it is worth depends on the order of the rows.
    """
    known = ~np.isnan(points).any(axis=2)  # (N, K)
    last = np.maximum.accumulate(np.where(known, np.arange(len(points))[:, None], 0), axis=0)
    return np.take_along_axis(points, last[:, :, None], axis=0)


def _reasons(account: Account) -> str:
    return ", ".join(f"{number} {reason}" for reason, (number, _) in account.reasons.items() if number)


def parts_of(approach: str, faces: KeypointFaces, *, held_out: float, seed: int) -> list[KeypointPart]:
    """What the models of ``approach`` learn from ``faces``; the rows that judge are the same for all of them.

    Args:
        held_out: share of the rows that judge, of those that have a point at all. Gaps are filled after they are taken
            out, so that nothing of them is learnt.

    Raises:
        UserError: a model has no row to learn from or to be judged by, or a point is known in none.
    """
    some = np.flatnonzero(faces.known.any(axis=1))
    empty = len(faces.images) - len(some)
    judges = held_out_rows(len(some), held_out, seed)
    learn, judge = faces.rows(some[~judges]), faces.rows(some[judges])

    def part(name: str, points: tuple[str, ...], *, fill: bool = False, whole: bool = True) -> KeypointPart:
        columns = [POINTS.index(point) for point in points]
        places = learn.points[:, columns]
        places = forward_filled(places) if fill else places
        mine, theirs = KeypointFaces(learn.images, places), KeypointFaces(judge.images, judge.points[:, columns])
        usable = np.flatnonzero(mine.known.all(axis=1) if whole else mine.known.any(axis=1))
        account = Account(taken=len(usable))
        unfilled = "a point is known in no row above" if fill else f"not all {len(points)} points are known"
        for reason, number in (
            ("no point is known", empty),
            ("held out", len(judge.images)),
            (unfilled if whole else "no point is known", len(learn.images) - len(usable)),
        ):
            account.skip(reason, *[""] * number)
        judged = np.flatnonzero(theirs.known.any(axis=1))
        if not len(usable) or not len(judged):
            what = "to be judged by" if len(usable) else "to learn from"
            raise UserError(f"approach {approach}: no row is left {what}, of {account.seen}: {_reasons(account)}")
        train = mine.rows(usable)
        never = np.flatnonzero(~train.known.any(axis=0))
        if len(never):
            raise UserError(
                f"approach {approach}: {points[never[0]]} is known in no row, so that nothing can be learnt of it"
            )
        return KeypointPart(name, points, train, theirs.rows(judged), account)

    if approach == TWO_MODELS:
        return [part("", POINTS), part(FOUR_POINTS, FOUR)]
    return [part("", POINTS, fill=approach == FFILL, whole=approach != MASKED)]
