"""What the pages of one process share: the site, its challenge, the database, the templates."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from lwface.challenge.definition import Challenge, read_challenge
from lwface.hosting.database import Database
from lwface.hosting.site import Site

FRESH_S = 1.0  # how old what many ask for may be


@dataclass
class _Kept:
    value: Any = None
    made: float = -math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Hall:
    """See this module; :func:`open_hall` makes it."""

    site: Site
    challenge: Challenge
    database: Database
    templates: Environment
    _kept: dict[Hashable, _Kept] = field(default_factory=dict)
    _watched: Counter[int] = field(default_factory=Counter)  # changed in the thread of the event loop alone

    def page(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The template ``name`` with what it shows."""
        text = self.templates.get_template(name).render(challenge=self.challenge, site=self.site, **values)
        return HTMLResponse(text, status)

    def fresh(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, or gave less than :data:`FRESH_S` ago; one thread makes it while others wait."""
        kept = self._kept.setdefault(key, _Kept())
        with kept.lock:
            if time.monotonic() - kept.made >= FRESH_S:
                kept.value, kept.made = make(), time.monotonic()
            return kept.value

    @contextlib.contextmanager
    def watching(self, team: int) -> Iterator[None]:
        """Count one more page that is open on a team's submissions, until the block ends."""
        self._watched[team] += 1
        try:
            yield
        finally:
            self._watched[team] -= 1

    def watched(self) -> list[int]:
        """The teams that somebody looks at."""
        return sorted(team for team, pages in list(self._watched.items()) if pages)


def open_hall(site: Site) -> Hall:
    """The hall of a process."""
    loader = PackageLoader("lwface.hosting")
    templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    templates.filters.update(moment=moment, minute=minute, size=size)
    return Hall(site, read_challenge(Path(site.challenge)), Database(site.database), templates)


def moment(seconds: float | None) -> str:
    """A time in words, UTC."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def minute(seconds: float) -> str:
    """The same to the minute, for a column that says UTC."""
    return moment(seconds)[: len("2026-11-29 18:31")]


def size(number: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError
