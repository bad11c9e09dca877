"""What decides a bank of heads; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from lwface.base.errors import UserError

HEADS = "heads.npz"


@dataclass(frozen=True)
class HeadOptions:
    """What to render. Everything here, and nothing else, decides the result."""

    seed: int = 0
    people: int = 520
    shots: int = 4  # of each, from in front
    backs: int = 1  # of each, from behind: hair and skin without a face

    def check(self) -> None:
        """:class:`UserError` for what cannot be made."""
        for name, low, high in (("seed", 0, 2**31), ("people", 2, 99_999), ("shots", 1, 999), ("backs", 0, 999)):
            if not low <= getattr(self, name) <= high:
                raise UserError(f"--{name} {getattr(self, name)}: expected {low} to {high}")
