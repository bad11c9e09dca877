"""How many folds a verification pack is cut into; its file does not say, its order does.

LFW's list, and every pack drawn since, is written fold after fold, in each first the pairs of one person, then as many
of two. Ten such folds are the rule. A pack of fewer people, whom ten folds would not keep apart, has fewer
(``datasets/build_pack.py --folds``), and cut into ten the same person would choose a threshold and be judged by it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lwface.scoring.parameters import FOLDS


def drawn_folds(issame: ArrayLike) -> int:
    """The folds of a pack of pairs ``issame`` (P,): 2 to 9 where its order is that of so many, else ten."""
    same = np.asarray(issame, dtype=bool)
    starts = np.flatnonzero(np.diff(same.astype(np.int8), prepend=-1) != 0)  # of each run of equal values
    lengths = np.diff(np.append(starts, len(same)))
    folds = len(lengths) // 2
    whole = len(lengths) == 2 * folds and 2 <= folds < FOLDS and bool(same[0]) and len(set(lengths.tolist())) == 1
    return folds if whole else FOLDS
