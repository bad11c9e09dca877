"""A small challenge that is hosted for tests: on SQLite, and on PostgreSQL of Debian's package where it is there."""

from __future__ import annotations

import io
import os
import secrets
import socket
import threading
import time

import numpy as np
import pytest
import uvicorn
from argon2 import PasswordHasher
from hosting_people import Visitor, organiser, team
from hosting_postgres import postgres, programs
from sqlalchemy import create_engine

from lwface.formats.point_solution import write_solution
from lwface.hosting import hall, keys
from lwface.hosting.app import make_app
from lwface.hosting.child import scored
from lwface.hosting.database import Database
from lwface.hosting.queue import claim
from lwface.hosting.scorer import Scorer, Watched, working_folder
from lwface.hosting.server import prepare
from lwface.hosting.site import Site, sqlite_url

TOML = """
title = "A course"
description = "Points."
opens = 2026-01-01T00:00:00+00:00
closes = 2099-01-01T00:00:00+00:00
submissions_a_day = 3
submissions_in_all = 4
[tracks.points]
title = "Points on faces"
kind = "landmarks"
reference = "reference/points"
"""


def truth():
    draws = np.random.default_rng(0)
    return {f"image{number:03}.jpg": draws.uniform(50, 300, (68, 2)) for number in range(12)}


def solution(noise, seed=0):
    """The bytes of a solution that is worse by ``noise`` pixels."""
    draws = np.random.default_rng(seed)
    file = io.StringIO()
    for name, points in truth().items():
        moved = points + draws.normal(0, noise, points.shape) if noise else points
        file.write(" ".join([name, *(f"{value:.4f}" for value in moved.ravel())]) + "\n")
    return file.getvalue().encode()


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    (folder / "challenge.toml").write_text(TOML)
    (folder / "reference" / "points").mkdir(parents=True)
    write_solution(folder / "reference" / "points" / "truth.txt", truth())
    return folder


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL; skipped where the package is not there, which under ``CI`` is a failure."""
    if programs() is None:
        message = "no PostgreSQL found; on Debian: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with postgres("fsync=off") as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server):
    """An empty database there."""
    name = f"t{secrets.token_hex(8)}"
    engine = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template template0")
    engine.dispose()
    return postgres_server.removesuffix("/postgres") + f"/{name}"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Passwords hashed with less work than is right outside tests; no page that is a second old."""
    monkeypatch.setattr(hall, "FRESH_S", 0.0)
    monkeypatch.setattr(keys, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def site(course, tmp_path):
    return Site(
        challenge=str(course), data=str(tmp_path), database=sqlite_url(tmp_path), lease_s=30.0, team_bytes=10_000_000
    )


class Hosted:
    """The pages in a thread of this process; scoring when asked for."""

    def __init__(self, site):
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.site = Site(**{**site.__dict__, "url": self.url})
        self.link = prepare(self.site)
        self.database = Database(self.site.database)
        self.server = uvicorn.Server(uvicorn.Config(make_app(self.site), log_level="warning"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)
        self.olga = organiser(self.url, self.link)

    def team(self, name) -> Visitor:
        return team(self.olga, name)

    def score(self, *, apart=False):
        """Score all that waits: in this process, which is sooner done, or apart as a scoring process does."""
        scorer = Scorer(self.site)
        while scorer.score_next() if apart else self._score_here(scorer):
            pass

    def _score_here(self, scorer):
        held = claim(self.database, self.site, scorer.name)
        if held is not None:
            with working_folder(self.site.work) as folder:
                scorer.settle(held, Watched(end=scored(scorer.job(held, folder), lambda line: None)), 0, None)
        return held is not None

    def end(self):
        self.server.should_exit = True
        self.thread.join()
        self.database.close()


@pytest.fixture
def hosted(site):
    one = Hosted(site)
    yield one
    one.end()
