"""The cheapest way through a video: one candidate a frame, by what each costs and what each change costs.

Dynamic programming (Viterbi 1967). Without a limit on how often a person is shown it is exact. With one, what may
follow depends on all that was shown, and the :data:`WIDTH` best beginnings are kept; no way it gives breaks the limit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError


class EveryoneShownError(UserError):
    """Everyone who could be shown next was shown as often as allowed."""


WIDTH = 256

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]


class _Step(NamedTuple):
    """Of each beginning that was kept at a frame: its candidate, and the beginning it goes on from."""

    candidate: Integers
    parent: Integers


class PathSearch:
    """Frame by frame: :meth:`push` takes a frame's candidates and tells what is decided, :meth:`finish` the rest.

    Args:
        most: how often a person may be shown; None: any number of times.
        look_ahead: a frame is decided when so many frames behind it are known; None: when all are.
        width: how many beginnings are kept where there is a limit.
    """

    def __init__(self, most: int | None = None, look_ahead: int | None = None, width: int = WIDTH) -> None:
        self.most, self.look_ahead, self.width = most, look_ahead, width
        self._steps: list[_Step] = []  # of the frames that are not decided
        self._last: Integers = np.zeros(1, np.int64)  # the last candidate of each beginning
        self._cost: Floats = np.zeros(1)
        self._used = np.zeros((1, 0), np.int64)  # (beginnings, people): how often each was shown

    def used(self) -> Integers:
        """How often each person was shown, at least, in any way that is still open."""
        return self._used.min(axis=0)

    def push(self, own: Floats, change: Floats | None, people: Integers) -> int | None:
        """Add a frame.

        Args:
            own: (K,) what each candidate costs.
            change: (K of the frame before, K) what it costs that one follows the other; None: nothing, as before the
                first frame.
            people: (K,) numbers of the candidates' people.

        Returns:
            The number of the candidate that is decided for the frame ``look_ahead`` before this one, if there is one.

        Raises:
            EveryoneShownError: everyone among the candidates was shown as often as allowed; the frame is not added.
        """
        total: Floats = np.asarray(self._cost[:, None] + own, np.float64)
        if change is not None:
            total = np.asarray(total + change[self._last], np.float64)
        parent: Integers
        candidate: Integers
        cost: Floats
        if self.most is None:
            parent = total.argmin(axis=0)
            candidate = np.arange(len(own))
            cost = total[parent, candidate]
        else:
            parent, candidate, cost = self._within_limit(total, people, self.most)
        self._steps.append(_Step(candidate, parent))
        self._last, self._cost = candidate, cost
        if self.look_ahead is not None and len(self._steps) > self.look_ahead:
            return self._decided()
        return None

    def finish(self) -> list[int]:
        """The candidates of all frames that were not decided, the first one first; what is pushed now goes on there."""
        at, found = int(self._cost.argmin()), []
        self._last, self._cost = self._last[at : at + 1], np.zeros(1)
        if self.most is not None:
            self._used = self._used[at : at + 1]
        for step in reversed(self._steps):
            found.append(int(step.candidate[at]))
            at = int(step.parent[at])
        self._steps.clear()
        return found[::-1]

    def count_anew(self) -> None:
        """Forget how often people were shown."""
        self._used = np.zeros((len(self._cost), 0), np.int64)

    def _within_limit(self, total: Floats, people: Integers, most: int) -> tuple[Integers, Integers, Floats]:
        short = int(people.max()) + 1 - self._used.shape[1]
        if short > 0:
            self._used = np.pad(self._used, ((0, 0), (0, short)))
        total = np.where(self._used[:, people] < most, total, np.inf)
        open_ways = int(np.isfinite(total).sum())
        if not open_ways:
            raise EveryoneShownError(f"at most {most} frames a person: everyone who could follow was shown that often")
        kept = np.argsort(total, axis=None, kind="stable")[: min(self.width, open_ways)]
        parent, candidate = np.unravel_index(kept, total.shape)
        self._used = self._used[parent]
        self._used[np.arange(len(kept)), people[candidate]] += 1
        return parent, candidate, total[parent, candidate]

    def _decided(self) -> int:
        """Decide the oldest frame by the best way now, and forget the ways that go by another candidate."""
        at = int(self._cost.argmin())
        for step in reversed(self._steps[1:]):
            at = int(step.parent[at])
        decided = int(self._steps[0].candidate[at])
        agrees = self._steps[0].candidate == decided
        for step in self._steps[1:]:
            agrees = agrees[step.parent]
        self._steps.pop(0)
        self._cost = np.where(agrees, self._cost, np.inf)
        if self.most is not None:
            self._forget(agrees)
        return decided

    def _forget(self, agrees: NDArray[np.bool_]) -> None:
        """Drop beginnings that cannot be, so that they neither fill the width nor count as open."""
        self._last, self._cost, self._used = self._last[agrees], self._cost[agrees], self._used[agrees]
        if self._steps:
            last = self._steps[-1]
            self._steps[-1] = _Step(last.candidate[agrees], last.parent[agrees])


def cheapest_path(own: Floats, change: Floats, people: Integers, most: int | None = None) -> list[int]:
    """One of P candidates for each of T frames.

    Args:
        own: (T, P).
        change: (P, P), from one to the next.
        people: (P,).
        most: frames a person.
    """
    search = PathSearch(most)
    for number, row in enumerate(own):
        search.push(row, change if number else None, people)
    return search.finish()
