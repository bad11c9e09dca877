"""What a scorer gives back: figures of the public half, the private half and all, or what is wrong with a file."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lwface.base.errors import UserError

_ROW = re.compile(r"\b(?:row|line) (\d+)")
_FIELD = re.compile(r"\b(?:field|column|guess) (\w+)")
_LONGEST = 400  # characters of a message: a field of a hostile file may have millions


class Malformed(UserError):
    """A submission that is no submission: it has no score and costs no quota.

    Attributes:
        file: the submission's name, without the folder.
        row, field: where, as the file counts; None where the whole file is meant.
    """

    exit_status = 1

    def __init__(self, file: str, says: str) -> None:
        says = "".join(letter if letter.isprintable() else "?" for letter in " ".join(says.split()))
        if len(says) > _LONGEST:
            says = f"{says[:_LONGEST]} ..."
        super().__init__(f"{file}: {says}")
        self.file = file
        row, place = _ROW.search(says), _FIELD.search(says)
        self.row = int(row[1]) if row else None
        self.field = place[1] if place else None


@dataclass(frozen=True)
class Result:
    """The figures of a submission.

    Attributes:
        public, private, all: by name.
        intervals: of a side, by name: between which values a figure lies with 95 % confidence.
        details: of each side, for a report, what JSON can hold: ``counts`` by name, and ``tables``, each a list of rows
            (the first its header) by its title. Those of "private" and "all" tell of the private half.
    """

    public: Mapping[str, float]
    private: Mapping[str, float]
    all: Mapping[str, float]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "public": dict(self.public),
            "private": dict(self.private),
            "all": dict(self.all),
            "intervals": {
                side: {name: list(ends) for name, ends in own.items()} for side, own in self.intervals.items()
            },
            "details": dict(self.details),
        }


@contextlib.contextmanager
def judging(submission: Path) -> Iterator[None]:
    """While the block reads or judges ``submission``, what is wrong with it is :class:`Malformed`.

    The message says the file's name, never the folder it lies in.
    """
    try:
        yield
    except Malformed:
        raise
    except (UserError, UnicodeError) as error:
        says = str(error)
        for known in (f"{submission}: ", f"{submission}, "):
            says = says.removeprefix(known)
        raise Malformed(submission.name, says.replace(str(submission), submission.name)) from None
    except OSError as error:
        raise Malformed(submission.name, error.strerror or "cannot be read") from None


def finite(submission: Path, figures: Mapping[str, float]) -> Mapping[str, float]:
    """``figures``; :class:`Malformed` where one is no finite number, which no well-formed submission brings about."""
    for name, value in figures.items():
        if not math.isfinite(value):
            raise Malformed(submission.name, f"its {name} is not a finite number: the values in it are too large")
    return figures
