"""``challenge.toml``: a challenge in one file, checked when it is read, with the line of what is wrong.

    title = "Landmarks under 15 MB"
    opens = 2026-03-01T12:00:00+08:00
    closes = 2026-03-15T12:00:00+08:00
    public_share = 0.6
    seed = 0
    submissions_a_day = 5
    submissions_in_all = 60

    [tracks.landmarks]
    title = "68 points"
    kind = "landmarks"
    reference = "reference/landmarks"
    limits = { budget = "landmarks-68" }

Every key is in ``docs/challenge.md``. An unknown one is an error that suggests the nearest.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lwface.base.errors import UserError, unknown_name
from lwface.challenge.kinds import ChallengeTrack, get_kind
from lwface.gate.budgets import EMBEDDING_LIMIT, NUMBER_TYPE, Budget, get_budget
from lwface.scoring.parameters import exact_rate

DEFINITION = "challenge.toml"
LARGEST = 2**20  # bytes of a definition
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_LIMIT_KEYS = ("budget", "flops", "model_bytes", "number_type", "width")


@dataclass(frozen=True)
class Challenge:
    """A challenge.

    Attributes:
        title, description: for people; the description is Markdown.
        opens, closes: when submissions are taken, with time zones.
        tracks: in the file's order.
        public_share: of the samples, those that the leaderboard shows while the challenge runs.
        seed: draws them.
        submissions_a_day, submissions_in_all: of a team, in a track.
        folder: where all of it lies.
    """

    title: str
    description: str
    opens: datetime
    closes: datetime
    tracks: tuple[ChallengeTrack, ...]
    public_share: float
    seed: int
    submissions_a_day: int
    submissions_in_all: int
    folder: Path

    def track(self, name: str) -> ChallengeTrack:
        """The track called ``name``; :class:`UserError` naming the nearest when there is none."""
        for track in self.tracks:
            if track.name == name:
                return track
        raise unknown_name("track", name, [track.name for track in self.tracks])

    def reference(self, track: ChallengeTrack) -> Path:
        """The folder with the truth of a track."""
        return self.folder / track.reference


def read_challenge(folder: Path) -> Challenge:
    """The challenge in ``folder``.

    Raises:
        UserError: there is none, or what is wrong in it, with its line.
    """
    path = Path(folder) / DEFINITION
    if not path.is_file():
        raise UserError(f"{path}: no such file; challenge/new.py makes a challenge")
    data = path.read_bytes()
    if len(data) > LARGEST:
        raise UserError(f"{path}: has {len(data):,} bytes, more than a definition's {LARGEST:,}")
    try:
        text = data.decode("utf-8")
        values = _toml().loads(text)
    except ValueError as error:  # UnicodeDecodeError and TOMLDecodeError, which tells the line
        raise UserError(f"{path}: not TOML: {error}") from None
    return _Reader(path, text).challenge(values)


def _toml() -> Any:
    return importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


class _Reader:
    """Reads values out of tables, and knows the line of each."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._lines = path, text.splitlines()

    def challenge(self, values: dict[str, Any]) -> Challenge:
        take = _Table(self, (), values, ("title", "description", "opens", "closes", "public_share", "seed",
                                         "submissions_a_day", "submissions_in_all", "tracks"))  # fmt: skip
        share = take("public_share", float, 0.6, lambda value: 0 < value < 1, "a share above 0 and below 1")
        seed = take("seed", int, 0, lambda value: value >= 0, "a whole number from 0 on")
        tracks = take("tracks", dict, None, bool, "one table a track, [tracks.NAME]")
        opens, closes = (take(key, datetime, None, _aware, "a time with its zone") for key in ("opens", "closes"))
        if closes <= opens:
            raise self.wrong((), "closes", f"{closes} is not after opens, {opens}")
        return Challenge(
            take("title", str, None, _filled, "a title"),
            take("description", str, ""),
            opens,
            closes,
            tuple(self._track(name, table, share, seed) for name, table in tracks.items()),
            share,
            seed,
            take("submissions_a_day", int, 5, _positive, "1 or more"),
            take("submissions_in_all", int, 60, _positive, "1 or more"),
            self._path.parent,
        )

    def _track(self, name: str, values: Any, share: float, seed: int) -> ChallengeTrack:
        where = ("tracks", name)
        if not isinstance(values, dict):
            raise self.wrong(where[:1], name, "is no table; expected [tracks.NAME]")
        if not _NAME.fullmatch(name):
            raise self.wrong(
                where, "", f"the track's name {name!r}: expected small letters, digits and dashes, up to 40"
            )
        take = _Table(self, where, values, ("title", "kind", "reference", "ranks_by", "limits", "needs_model",
                                            "tries_model", "data_rules", "settings"))  # fmt: skip
        kind_name = take("kind", str, None)
        try:
            kind = get_kind(kind_name)
        except UserError as error:
            raise self.wrong(where, "kind", str(error)) from None
        figures = {figure.name: figure for figure in kind.figures}
        limits = self._limits(where, take("limits", dict, {}))
        ranks_by = take("ranks_by", str, kind.figures[0].name)
        if ranks_by not in figures:
            raise self.wrong(where, "ranks_by", str(unknown_name("figure", ranks_by, figures)))
        return ChallengeTrack(
            name,
            take("title", str, name, _filled, "a title"),
            kind_name,
            take("reference", str, f"reference/{name}", _inside, "a folder within the challenge's own"),
            share,
            seed,
            ranks_by,
            figures[ranks_by].higher_is_better,
            limits,
            take("needs_model", bool, False),
            take("data_rules", str, ""),
            self._settings(where, take("settings", dict, {}), kind.settings),
            EMBEDDING_LIMIT if limits is None else limits.embedding,
            take("tries_model", bool, True),
        )

    def _limits(self, where: tuple[str, ...], values: dict[str, Any]) -> Budget | None:
        if not values:
            return None
        where = (*where, "limits")
        take = _Table(self, where, values, _LIMIT_KEYS)
        if "budget" in values:
            if len(values) > 1:
                raise self.wrong(where, "budget", "says all of the limits; leave the others out")
            try:
                return get_budget(take("budget", str, None))
            except UserError as error:
                raise self.wrong(where, "budget", str(error)) from None
        bounds = (take(key, int, 0, _positive, "1 or more") or None for key in ("flops", "model_bytes"))
        return Budget(
            where[1],
            *bounds,
            embedding=take("width", int, EMBEDDING_LIMIT, _positive, "1 or more"),
            number_type=take("number_type", str, NUMBER_TYPE, _filled, "a number type"),
        )

    def _settings(self, where: tuple[str, ...], values: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
        where = (*where, "settings")
        take = _Table(self, where, values, tuple(known))
        found = {name: take(name, type(default), default) for name, default in known.items()}
        if "far" in found:
            try:
                exact_rate(found["far"], "FAR")
            except UserError as error:
                raise self.wrong(where, "far", str(error)) from None
        return found

    def wrong(self, table: tuple[str, ...], key: str, says: str) -> UserError:
        """The error for a key, with its line where it can be found."""
        line = self._line(table, key)
        place = f"{self._path}, line {line}" if line else str(self._path)
        name = ".".join((*table, key)) if key else ".".join(table)
        return UserError(f"{place}: {name}: {says}" if name else f"{place}: {says}")

    def _line(self, table: tuple[str, ...], key: str) -> int | None:
        """The line of a key: of its own, of the table it stands in, or of the key that holds an inline table."""
        header, nearest = ".".join(table), None
        current = ""
        for number, line in enumerate(self._lines, start=1):
            if head := re.match(r"\s*\[+\s*([^]]+?)\s*\]", line):
                current = re.sub(r"[\"'\s]", "", head[1])
                if current == header or (current == f"{header}.{key}".strip(".")):
                    nearest = number
                continue
            if not (found := re.match(r"\s*([\w.\-\"']+)\s*=", line)):
                continue
            whole = ".".join(part for part in (current, re.sub(r"[\"']", "", found[1])) if part)
            if whole == ".".join((*table, key)).strip("."):
                return number
            if whole == header:  # an inline table
                nearest = number
        return nearest


class _Table:
    """Takes keys out of a table by name, type and condition."""

    def __init__(self, reader: _Reader, where: tuple[str, ...], values: dict[str, Any], known: tuple[str, ...]) -> None:
        self._reader, self._where, self._values = reader, where, values
        for key in values:
            if key not in known:
                raise reader.wrong(where, key, str(unknown_name("key", key, known)))

    def __call__(
        self, key: str, kind: type, default: Any, fits: Callable[[Any], bool] | None = None, expected: str = ""
    ) -> Any:
        """The value of ``key``, ``default`` where it is not there; None: it has to be."""
        if key not in self._values:
            if default is None:
                raise self._reader.wrong(self._where, key, "is missing")
            return default
        value = self._values[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table",
                     list: "a list", datetime: "a time such as 2026-03-01T12:00:00+08:00"}  # fmt: skip
            raise self._reader.wrong(self._where, key, f"{value!r} is not {names[kind]}")
        if fits is not None and not fits(value):
            raise self._reader.wrong(self._where, key, f"{value!r} is not {expected}")
        return value


def _aware(value: datetime) -> bool:
    return value.tzinfo is not None


def _filled(value: str) -> bool:
    return bool(value.strip())


def _positive(value: int) -> bool:
    return value >= 1


def _inside(value: str) -> bool:
    path = Path(value)
    return bool(value) and not path.is_absolute() and ".." not in path.parts
