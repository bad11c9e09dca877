"""What a submission to the faceless challenge is worth: its score, top-1 and top-5, public and private.

The right person at place i, from 0, earns ``100 - 10 * i`` points; the score is the mean over the samples. (The
challenge's ``evaluate.py`` adds the points of every place, so that one person guessed five times would earn 400; such a
row is refused here.) Samples of strangers do not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.sequence_submission import SequenceTruth
from lwface.scoring.drawn_groups import Estimate, halves, share_interval
from lwface.scoring.intervals import FEWEST_PEOPLE

BEST, LOSS_A_PLACE = 100, 10


def places_of_hits(guesses: NDArray[np.int64], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place (S,) of the right person ``indices`` (S,) among the guesses (S, K), from 0; -1 where there is none."""
    hits = guesses == indices[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1), -1)


def points(places: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each place (S,) earns."""
    return np.where(places < 0, 0.0, BEST - LOSS_A_PLACE * places)


def score_guesses(
    guesses: NDArray[np.int64], truth: SequenceTruth, *, public: float | None = None, seed: int = 0
) -> dict[str, Any]:
    """All figures, as they go into JSON: points, and shares from 0 to 1.

    Args:
        guesses: (S, K) in the order of the truth.
        truth: who it was.
        public: share of the samples on the public side; None: not divided.
        seed: of the sides and the intervals.

    Returns:
        ``score``, ``top1`` and ``top5`` with 95 % intervals (low and high None for fewer than ten people), ``hits`` at
        each place, counts, and the sides.

    Raises:
        UserError: the truth holds strangers only.
    """
    known = truth.indices >= 0
    if not known.any():
        raise UserError("the truth names nobody who was learnt from, so that no guess can be right")
    places = places_of_hits(guesses, truth.indices)
    owners = [person for person, counts in zip(truth.people, known, strict=True) if counts]
    earned = points(places)
    figures = {"top1": (places == 0).astype(float), "top5": (places >= 0).astype(float)}
    found: dict[str, Any] = {"score": _as_points(share_interval(earned[known] / BEST, owners, seed))}
    found |= {name: vars(share_interval(row[known], owners, seed)) for name, row in figures.items()}
    found["score"]["value"] = float(earned[known].mean())  # as of the sides: the same points give the same digits
    found |= {
        "hits": [int((places[known] == place).sum()) for place in range(guesses.shape[1])],
        "samples": int(known.sum()),
        "people": len(set(owners)),
        "strangers": int((~known).sum()),
    }
    if public is not None:
        side = halves(truth.samples, public, seed)
        found["sides"] = {
            name: {
                "samples": int(chosen.sum()),
                "score": float(earned[chosen].mean()) if chosen.any() else None,
            }
            for name, chosen in (("public", side & known), ("private", ~side & known))
        }
    return found


def as_text(found: dict[str, Any]) -> str:
    """The figures of :func:`score_guesses` for people, in the challenge's words."""
    lines = [f"{found['samples']} samples of {found['people']} people"]
    if found["strangers"]:
        lines[0] += f"; {found['strangers']} of strangers do not count"
    for name, says, unit, times in (
        ("top1", "top 1 accuracy", " %", 100),
        ("top5", "top 5 accuracy", " %", 100),
        ("score", "mean score", "", 1),
    ):
        lines.append(f"{says:16}{estimate_text(found[name], times, unit)}")
    lines += [
        f"{name:16}{side['score']:6.2f}   {side['samples']} samples"
        for name, side in found.get("sides", {}).items()
        if side["samples"]
    ]
    return "\n".join([*lines, *no_interval_lines(found)])


def no_interval_lines(found: dict[str, Any]) -> list[str]:
    """A line that says why there are no intervals, where there are none."""
    few = found["people"] < FEWEST_PEOPLE
    return [f"no intervals: fewer than {FEWEST_PEOPLE} people"] if few else []


def _as_points(share: Estimate) -> dict[str, float | None]:
    """A share of all points as points."""
    return {name: None if value is None else BEST * value for name, value in vars(share).items()}


def estimate_text(estimate: dict[str, Any], times: float = 1, unit: str = "") -> str:
    """A figure with its interval, ``times`` as large."""
    text = f"{times * estimate['value']:6.2f}{unit}"
    if estimate["low"] is None:
        return text
    return f"{text}   ({times * estimate['low']:.2f} to {times * estimate['high']:.2f}, 95 % over people)"
