"""What decides a set of procedural people in sequences; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from lwface.base.errors import UserError

SHOWN, MASKED = FACES = ("shown", "masked")
IMAGES, POSE, OUTINGS = "images.tar", "pose.pkl", "outings.csv"


@dataclass(frozen=True)
class PeopleOptions:
    """What to make. Everything here, and nothing else, decides the result."""

    seed: int = 0
    people: int = 100
    videos: int = 8
    sequences: int = 2
    frames: int = 6
    fps: float = 6.0
    face: str = SHOWN

    def check(self) -> None:
        """:class:`UserError` for what cannot be made."""
        for name, low, high in (
            ("seed", 0, 2**31),
            ("people", 2, 9999),
            ("videos", 2, 1000),
            ("sequences", 1, 9999),
            ("frames", 1, 9999),
        ):
            if not low <= getattr(self, name) <= high:
                raise UserError(f"--{name} {getattr(self, name)}: expected {low} to {high}")
        if not 0 < self.fps <= 1000:
            raise UserError(f"--fps {self.fps:g}: expected more than 0 and at most 1000")

    @property
    def learnt(self) -> int:
        """Videos of a person that are learnt from where half are: the first of two, two of three."""
        return (self.videos - 1) // 2 + 1
