"""What became of all that a job was given: taken, or left out with the reason. Nothing is passed over in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

EXAMPLES = 3  # names told of each reason


@dataclass
class Account:
    """Counts things; ``seen`` is always what was taken and what was left out together.

    Attributes:
        taken: how many are used.
        reasons: why others are not; for each how many, and the first names.
    """

    taken: int = 0
    reasons: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    @property
    def skipped(self) -> int:
        """How many were left out."""
        return sum(count for count, _ in self.reasons.values())

    @property
    def seen(self) -> int:
        """How many there were."""
        return self.taken + self.skipped

    def skip(self, reason: str, *names: str) -> None:
        """Count ``names`` as left out. A name that is no text is made printable."""
        count, examples = self.reasons.get(reason, (0, []))
        told = [_printable(name) for name in names[: max(0, EXAMPLES - len(examples))]]
        self.reasons[reason] = count + len(names), [*examples, *told]

    def leave_out(self, other: Account) -> None:
        """Count what another account left out as left out of this one too."""
        for reason, (count, examples) in other.reasons.items():
            before, told = self.reasons.get(reason, (0, []))
            self.reasons[reason] = before + count, [*told, *examples][:EXAMPLES]

    def as_json(self) -> dict[str, Any]:
        """``seen``, ``taken`` and, by reason, ``skipped`` with ``count`` and ``examples``."""
        skipped = {reason: {"count": n, "examples": names} for reason, (n, names) in sorted(self.reasons.items()) if n}
        return {"seen": self.seen, "taken": self.taken, "skipped": skipped}


def skipped_lines(summary: dict[str, Any]) -> list[str]:
    """A line for each reason of :meth:`Account.as_json`, for people."""
    lines = []
    for reason, found in summary["skipped"].items():
        examples = ", ".join(found["examples"]) + (", ..." if found["count"] > len(found["examples"]) else "")
        lines.append(f"skipped {found['count']}: {reason} ({examples})")
    return lines


def print_summary(summary: dict[str, Any], what: str) -> None:
    """Say how many ``what`` were taken, and how many were skipped and why."""
    print("\n".join([f"{summary['taken']} {what}", *skipped_lines(summary)]))


def _printable(name: str) -> str:
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
