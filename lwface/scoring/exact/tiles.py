"""What a sweep over pairs is made of: the tiles it visits, and the consumers that add up what is seen.

Without PyTorch, which takes longer to import than a set takes to read: see :mod:`lwface.scoring.exact.sharding`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from numpy.typing import NDArray

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

State = dict[str, NDArray[Any]]  # one-dimensional arrays of int32, int64 or float64
States = Sequence[Mapping[str, NDArray[Any]]]
Found = TypeVar("Found")


class PairTile(NamedTuple):
    """A rectangle of positions; with ``above``, only what lies above the diagonal of the whole square."""

    first: int
    first_end: int
    second: int
    second_end: int
    above: bool = False

    @property
    def area(self) -> int:
        """Cells, those on and below the diagonal left out with ``above``."""
        columns = self.second_end - self.second
        if not self.above:
            return (self.first_end - self.first) * columns
        cut = min(max(self.first, self.second), self.first_end)  # rows before this one lie above it entirely
        longest, beyond = (max(self.second_end - 1 - row, 0) for row in (cut, self.first_end))  # cells of a row
        return (cut - self.first) * columns + (longest * (longest + 1) - beyond * (beyond + 1)) // 2


class Consumer(Protocol):
    """Adds up what it sees."""

    def state(self) -> State:
        """All of it, as arrays; the same names and types in every process."""
        ...

    def merge(self, states: States) -> None:
        """Become the sum of ``states``."""
        ...


class Sweeper(Protocol):
    """Who visits tiles: the ``Workers`` of :mod:`lwface.scoring.exact.sharding`, or ``Alone``."""

    def sweep(
        self,
        name: str,
        tiles: Sequence[PairTile],
        look: Callable[[PairTile], Found],
        take: Callable[[Found], None],
        consumers: Sequence[Consumer],
        *,
        label: str,
    ) -> None:
        """Visit every tile once; see :meth:`lwface.scoring.exact.sharding.Workers.sweep`."""
        ...


@cache
def libraries() -> ThreadpoolController:
    """What computes in threads of its own, looked up once: NumPy's BLAS is loaded with it."""
    from threadpoolctl import ThreadpoolController  # here: a challenge's server has NumPy alone

    return ThreadpoolController()
