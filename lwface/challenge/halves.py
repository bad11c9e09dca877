"""Which samples of a test are public and which private: drawn by a seed and their names, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.challenge.kinds import SIDES, ChallengeTrack
from lwface.scoring.drawn_groups import halves


def sides(track: ChallengeTrack, names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """For public, private and all, which of the samples ``names`` (N,) belong to it, (N,) each.

    Samples of one name (pictures of one person, where people are what is drawn) are on one side.

    Raises:
        UserError: one of the sides would be empty: a fault of the challenge, not of a submission.
    """
    different, place = np.unique(np.asarray(names), return_inverse=True)
    public = halves(different.tolist(), track.public_share, track.seed)
    if public.all() or not public.any():
        raise UserError(
            f"track {track.name}: a public share of {track.public_share:g} of {len(public)} leaves a side empty"
        )
    chosen = public[place.reshape(-1)]
    return dict(zip(SIDES, (chosen, ~chosen, np.ones_like(chosen)), strict=True))


def taken(values: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    """Those of ``values`` (N,) that are ``chosen`` (N,)."""
    return [value for value, own in zip(values, chosen.tolist(), strict=True) if own]
