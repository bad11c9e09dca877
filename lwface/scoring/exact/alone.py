"""A sweep over tiles in one thread of one process, with NumPy alone: what a challenge's server can run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lwface.scoring.exact.tiles import Consumer, Found, PairTile


class Alone:
    """Visits every tile, one after the other."""

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
        """See :class:`lwface.scoring.exact.tiles.Sweeper`; nothing is kept and nothing shown."""
        del name, consumers, label
        for tile in tiles:
            take(look(tile))
