"""In which order a row of landmarks lists the points of a face: ours, and those of other tools, by name.

Ours (``arcface``) is the picture's left eye, its right eye, the tip of the nose, the picture's left corner of the
mouth, its right one; x before y. Nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

from lwface.base.errors import UserError, unknown_name

DLIB5 = "dlib5"  # two corners of the eye on the picture's right, two of the one on its left, base of the nose
Y_FIRST = ",yx"

# Of 3387 real frames (docs/data.md): median 3.0, 99.9 % within 10.5. Full profiles come to 15.7; faces whose points are
# in another order to 13.5 or more, in the median of a file to 14.6 or more.
MAX_RESIDUAL = 12.5

# Where in a row the points of our order stand. "subject": the person's own left first, which is the picture's right.
NAMED = {
    "arcface": "01234",
    "subject": "10243",
    "mouth-first": "34201",
    "mouth-first-subject": "43210",
    "nose-first": "12034",
    "nose-first-subject": "21043",
    "mouth-before-nose": "01423",
    "mouth-before-nose-subject": "10432",
    DLIB5: DLIB5,
}


@dataclass(frozen=True)
class LandmarkOrder:
    """``columns``: five digits, where in a row the points of our order stand, or ``dlib5``; ``y_first``: y before x."""

    columns: str = NAMED["arcface"]
    y_first: bool = False

    @property
    def is_named(self) -> bool:
        """Whether the order of the points has a name."""
        return self.columns in NAMED.values()

    def __str__(self) -> str:
        names = {columns: name for name, columns in NAMED.items()}
        return names.get(self.columns, self.columns) + (Y_FIRST if self.y_first else "")


def landmark_order(text: str) -> LandmarkOrder:
    """The order called ``text``: a name of :data:`NAMED` or five digits, then ``,yx`` where y comes before x.

    Raises:
        UserError: there is no such order.
    """
    name = text.removesuffix(Y_FIRST)
    columns = name if sorted(name) == list("01234") else NAMED.get(name)
    if columns is None:
        raise unknown_name("order of landmarks (or five digits, with or without ,yx)", text, NAMED)
    return LandmarkOrder(columns, text.endswith(Y_FIRST))


def order_for(order: LandmarkOrder, count: int) -> None:
    """:class:`UserError` where ``order`` cannot be of rows of ``count`` points."""
    if count == 68 and order.columns == DLIB5:
        raise UserError(f"--landmark-order {order}: is of 5 points; the csv has 68")
