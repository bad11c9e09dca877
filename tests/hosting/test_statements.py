"""How many statements a page sends to the database: so many, whatever number of teams, people and submissions."""

from __future__ import annotations

import contextlib
import json

import pytest
from hosting.conftest import solution
from hosting_people import Visitor
from sqlalchemy import Engine, event, func, select

from lwface.hosting import database as database_module
from lwface.hosting.database import Database, change_setting, now, setting, standing
from lwface.hosting.hall import open_hall
from lwface.hosting.pages.live import LATEST, happening
from lwface.hosting.server import prepare
from lwface.hosting.site import Site
from lwface.hosting.tables import PersonRow, ScoreRow, SubmissionRow, TeamRow, UploadRow

MOST = {  # of a page that nobody else has asked for in this second
    "/board/points": 4,
    "/board/points.json": 4,
    "/rules": 1,
    "/submissions": 3,
    "/submissions/1": 4,
    "/api/submissions/1": 4,
    "/submit/points": 3,
    "/team": 3,
}
OF_ORGANISERS = {"/organise": 9, "/organise/everything.json": 7, "/organise/submissions.csv": 7}
HEADS = {"patch": 5, "head": 2}  # of uploads


@contextlib.contextmanager
def statements():
    """The statements that are sent in the block, but those that begin a transaction of SQLite."""
    sent = []

    def note(_connection, _cursor, statement, *_):
        if not statement.startswith("begin"):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


def crowd(session, teams, people, submissions):
    """More teams, each of so many people and scored submissions, as the ones that are there."""
    like = session.scalars(select(ScoreRow)).first()
    for number in range(teams):
        team = TeamRow(name=f"Crowd {number}", created=0.0)
        session.add(team)
        session.flush()
        mates = [PersonRow(name=f"P{number} {one}", password="", role="member", team_id=team.id, created=0.0)
                 for one in range(people)]  # fmt: skip
        session.add_all(mates)
        session.flush()
        for place in range(submissions):
            row = SubmissionRow(team_id=team.id, person_id=mates[place % people].id, track="points", state="scored",
                                created=0.0, accepted=1.0 + place)  # fmt: skip
            session.add(row)
            session.flush()
            scored(session, row, like, f"{number}-{place}")


def scored(session, row, like, name):
    score = ScoreRow(submission_id=row.id, version=1, public=like.public, private=like.private, figures=like.figures,
                     details=like.details)  # fmt: skip
    upload = UploadRow(id=name, submission_id=row.id, part="submission", filename="a.txt", length=9, state="complete",
                       touched=0.0)  # fmt: skip
    session.add_all([score, upload])
    session.flush()
    row.score_id = score.id


def counts(visitor, pages):
    found = {}
    for page in pages:
        with statements() as sent:
            assert visitor.get(page).status == 200
        found[page] = len(sent)
    return found


def test_pages_send_no_more_with_more_of_everything(hosted):
    ann = hosted.team("Elm")
    ann.hand_in(solution(1.0), track="points", filename="solution.txt")
    hosted.score()
    assert counts(ann, MOST) == MOST
    assert counts(hosted.olga, OF_ORGANISERS) == OF_ORGANISERS
    with hosted.database.writing() as session:
        crowd(session, teams=7, people=3, submissions=5)
        one, like = session.get(SubmissionRow, 1), session.get(ScoreRow, 1)
        for place in range(6):
            more = SubmissionRow(team_id=one.team_id, person_id=one.person_id, track="points", state="scored",
                                 created=0.0, accepted=9.0)  # fmt: skip
            session.add(more)
            session.flush()
            scored(session, more, like, f"more{place}")
    assert counts(ann, MOST) == MOST
    assert counts(hosted.olga, OF_ORGANISERS) == OF_ORGANISERS
    assert len(json.loads(ann.get("/board/points.json").text)["entries"]) == 8
    assert counts(Visitor(hosted.url), ["/rules", "/login"]) == {"/rules": 0, "/login": 0}  # nobody is looked for
    program = Visitor(hosted.url, key=ann.made("/keys", label="x"))
    assert counts(program, ["/api/submissions/1"]) == {"/api/submissions/1": 4}


def test_a_piece_of_an_upload(hosted):
    ann = hosted.team("Elm")
    address = ann.create(100, track="points", filename="a.txt").headers["location"]
    with statements() as sent:
        assert ann.patch(address, 0, b"begun").status == 204
    assert len(sent) == HEADS["patch"] + 1  # the row is locked while the file is made
    with statements() as sent:
        assert ann.patch(address, 5, b" and on").status == 204
    assert len(sent) == HEADS["patch"]
    with statements() as sent:
        assert ann.offset(address) == 12
    assert len(sent) == HEADS["head"]


@pytest.fixture(params=["sqlite", "postgres"])
def both(request, site):
    """A site on each database, with its tables."""
    if request.param == "postgres":
        site = Site(**{**site.__dict__, "database": request.getfixturevalue("postgres_url")})
    prepare(site)
    return site


def test_what_is_live_takes_two_for_all_teams(both):
    hall = open_hall(both)
    with hall.database.writing() as session:
        for number in range(3):
            session.add(TeamRow(name=f"T{number}", created=0.0))
            role = "removed" if number else "leader"
            session.add(PersonRow(name=f"P{number}", password="", role=role, team_id=number + 1, created=0.0))
            session.flush()
            for _ in range((0, 2, LATEST + 5)[number]):
                row = SubmissionRow(team_id=number + 1, person_id=number + 1, track="points", created=0.0)
                session.add(row)
                session.flush()
    with hall.watching(3), hall.watching(3), hall.watching(1):
        with hall.watching(2):
            assert hall.watched() == [1, 2, 3]
        assert hall.watched() == [1, 3]
    assert hall.watched() == []
    with statements() as sent:
        told = happening(hall, [1, 2, 3])
    assert len(sent) == 2
    assert told.removed == {2, 3}
    assert {team: [one["id"] for one in rows] for team, rows in told.submissions.items()} == {
        1: [],
        2: [2, 1],
        3: list(range(2 + LATEST + 5, 7, -1)),
    }
    assert happening(hall, []).submissions == {}
    hall.database.close()


def test_settings_and_the_time_in_one(both):
    database = Database(both.database)
    with database.reading() as session, statements() as sent:
        told = standing(session)
        assert list(told.settings) == ["secret"]
        assert abs(told.moment - now(session)) < 60
    assert len(sent) == 2
    database.close()


def test_a_connection_that_the_server_has_ended_is_made_anew(postgres_url, monkeypatch):
    monkeypatch.setattr(database_module, "TRUSTED_S", 0.0)
    database, other = Database(postgres_url), Database(postgres_url)
    database.create_tables()
    for block in (database.reading, database.writing):
        with block() as session:
            number = session.execute(select(func.pg_backend_pid())).scalar_one()
        with other.writing() as session:
            assert session.execute(select(func.pg_terminate_backend(number, 5000))).scalar_one()
        with block() as session:
            assert session.execute(select(func.pg_backend_pid())).scalar_one() != number
    with contextlib.suppress(ZeroDivisionError), database.writing() as session:  # what writes has transactions
        change_setting(session, "x", "y")
        session.flush()
        raise ZeroDivisionError
    with database.reading() as session:
        assert setting(session, "x") == ""
    other.close()
    database.close()
