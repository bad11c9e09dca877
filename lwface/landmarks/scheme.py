"""The 68 points of the iBUG 300-W scheme: what they are, and which change places in a mirror.

"Left" is the picture's left throughout. Data sets differ in the jaw: where a face is turned, synthetic ones project the
head's own points, of which some are hidden; those marked by hand slide along the outline.
"""

from __future__ import annotations

import numpy as np

POINTS = 68
REGIONS: dict[str, slice] = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)
OUTER_CORNERS = (36, 45)  # of the eyes: the inter-ocular distance of 300-W is between them

# Lines to draw: first point, last point, and whether the last is joined to the first.
LINES = (
    *((0, 16, False), (17, 21, False), (22, 26, False), (27, 30, False), (31, 35, False)),
    *((36, 41, True), (42, 47, True), (48, 59, True), (60, 67, True)),
)


def _mirror() -> np.ndarray:
    """For each point the one whose place it takes when the picture is mirrored."""
    pairs = [(i, 16 - i) for i in range(17)] + [(17 + i, 26 - i) for i in range(10)]
    pairs += [(i, i) for i in range(27, 31)] + [(31 + i, 35 - i) for i in range(5)]
    for left, right in ((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)):
        pairs += [(left, right), (right, left)]
    pairs += [(48 + i, 54 - i) for i in range(7)] + [(55 + i, 59 - i) for i in range(5)]
    pairs += [(60 + i, 64 - i) for i in range(5)] + [(65 + i, 67 - i) for i in range(3)]
    table = np.empty(POINTS, np.int64)
    for point, other in pairs:
        table[point] = other
    return table


MIRROR = _mirror()
