"""The queue: each submission has one score a version, whoever is killed, late, or told to stop."""

from __future__ import annotations

import signal
import threading

import pytest
from hosting.conftest import solution

from lwface.hosting import child
from lwface.hosting.database import Database, now
from lwface.hosting.queue import Ranks, cancel, claim, finish, give_back, refuse, renew, score_again
from lwface.hosting.scorer import Scorer
from lwface.hosting.server import prepare
from lwface.hosting.site import Site
from lwface.hosting.tables import PersonRow, SubmissionRow, TeamRow

RESULT = {"public": {"nme": 0.1}, "private": {"nme": 0.2}, "all": {"nme": 0.15}, "details": {}}
RANKS = Ranks("nme", -1)


@pytest.fixture(params=["sqlite", "postgres"])
def queue(request, site):
    """A database with one submission that waits, its site, and the number."""
    if request.param == "postgres":
        site = Site(**{**site.__dict__, "database": request.getfixturevalue("postgres_url")})
    prepare(site)
    database = Database(site.database)
    with database.writing() as session:
        team = TeamRow(name="T", created=0.0)
        session.add(team)
        session.flush()
        person = PersonRow(name="P", password="", role="leader", team_id=team.id, created=0.0)
        session.add(person)
        session.flush()
        row = SubmissionRow(
            team_id=team.id, person_id=person.id, track="points", state="queued", created=0.0, accepted=1.0
        )
        session.add(row)
        session.flush()
        number = row.id
    yield database, site, number
    database.close()


def state(database, number):
    with database.reading() as session:
        row = session.get(SubmissionRow, number)
        return row.state, [score.version for score in row.scores]


def expire(database, number):
    with database.writing() as session:
        session.get(SubmissionRow, number).lease = now(session) - 1


def test_a_result_counts_once_and_only_from_who_holds_it(queue):
    database, site, number = queue
    first = claim(database, site, "one")
    assert first.submission == number
    assert claim(database, site, "two") is None
    assert renew(database, site, first, 0.5, "busy")
    expire(database, number)
    second = claim(database, site, "two")  # the first one is taken for dead, and is not
    assert second.attempt == 2
    assert not renew(database, site, first, 0.6, "busy")
    assert not finish(database, first, RESULT, RANKS)
    assert finish(database, second, RESULT, RANKS)
    assert not finish(database, second, RESULT, RANKS)
    assert not refuse(database, first, "late")
    assert state(database, number) == ("scored", [1])


def test_many_processes_that_ask_at_once_get_different_ones(queue):
    database, site, number = queue
    with database.writing() as session:
        row = session.get(SubmissionRow, number)
        for place in range(11):
            session.add(
                SubmissionRow(
                    team_id=row.team_id, person_id=row.person_id, track="points", state="queued", created=0.0,
                    accepted=2.0 + place,
                )
            )  # fmt: skip
    got: list[int] = []

    def take(name):
        mine = Database(site.database)
        while (held := claim(mine, site, name)) is not None:
            got.append(held.submission)
            assert finish(mine, held, RESULT, RANKS)
        mine.close()

    threads = [threading.Thread(target=take, args=(f"worker {one}",)) for one in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(got) == len(set(got)) == 12


def test_cancelled_while_it_is_scored(queue):
    database, site, number = queue
    held = claim(database, site, "one")
    with database.writing() as session:
        assert cancel(session, number)
        assert not cancel(session, number)
    assert not renew(database, site, held, 0.5, "busy")
    assert not finish(database, held, RESULT, RANKS)
    assert state(database, number) == ("cancelled", [])


def test_scored_again_while_it_is_scored(queue):
    database, site, number = queue
    held = claim(database, site, "one")
    with database.writing() as session:
        assert score_again(session, 2) == 1
    assert not finish(database, held, RESULT, RANKS)  # against the reference that was wrong
    held = claim(database, site, "one")
    assert held.version == 2
    assert finish(database, held, RESULT, RANKS)
    assert state(database, number) == ("scored", [2])


def test_what_kills_every_process_ends(queue):
    database, site, number = queue
    for _ in range(site.most_attempts):
        assert claim(database, site, "one") is not None
        expire(database, number)
    assert claim(database, site, "one") is None
    assert state(database, number)[0] == "failed"


def test_given_back(queue):
    database, site, number = queue
    held = claim(database, site, "one")
    assert give_back(database, held)
    assert state(database, number)[0] == "queued"


@pytest.fixture
def handed_in(hosted):
    """A hosted course with one submission that waits, and its number."""
    leader = hosted.team("Elm")
    return hosted, leader, leader.hand_in(solution(1.0), track="points", filename="solution.txt")


def told(leader, number):
    return leader.get(f"/api/submissions/{number}").json


def test_limits_of_a_scoring(handed_in):
    one, leader, number = handed_in
    tight = Scorer(Site(**{**one.site.__dict__, "seconds": 0.05}))
    assert tight.score_next()
    assert told(leader, number)["line"] == "its scoring took more than 0.05 seconds"
    one.olga.get("/organise")
    one.olga.post("/organise/rescore")
    assert Scorer(Site(**{**one.site.__dict__, "memory_bytes": 40_000_000})).score_next()
    assert told(leader, number)["state"] == "failed"
    one.olga.post("/organise/rescore")
    one.score(apart=True)
    assert told(leader, number)["state"] == "scored"
    assert not list(one.site.work.glob("*"))


def test_a_killed_sub_process_is_tried_again(handed_in, monkeypatch):
    one, leader, number = handed_in
    scorer = Scorer(one.site)
    real = Scorer._watch

    def killed(self, process, held):
        process.send_signal(signal.SIGKILL)
        return real(self, process, held)

    monkeypatch.setattr(Scorer, "_watch", killed)
    assert scorer.score_next()
    monkeypatch.undo()
    assert told(leader, number)["state"] == "queued"
    assert scorer.score_next()
    assert (told(leader, number)["state"], told(leader, number)["attempt"]) == ("scored", 2)


def test_a_scoring_process_that_is_told_to_stop_gives_back(handed_in):
    one, leader, number = handed_in
    scorer = Scorer(one.site)
    scorer.stop()
    assert scorer.score_next()
    assert told(leader, number)["state"] == "queued"


def test_a_digest_that_is_another_one(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(child.UserError, match="arrived with SHA-256 ba7816bf8f01"):
        child.check_digest(tmp_path / "a", "0" * 64, lambda line: None)
