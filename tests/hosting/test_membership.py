"""Who is in, who leads, and whose files lie here, on both databases."""

from __future__ import annotations

import http.client
import re

import pytest
from hosting.conftest import Hosted, solution
from hosting_people import Visitor

from lwface.hosting.accounts import DeniedError
from lwface.hosting.membership import hand_lead, remove_person
from lwface.hosting.site import Site
from lwface.hosting.tables import PersonRow, SessionRow, SubmissionRow, TokenRow

PASSWORD = "a long password"


@pytest.fixture(params=["sqlite", "postgres"])
def both(request, site):
    """A hosted course on each database."""
    if request.param == "postgres":
        site = Site(**{**site.__dict__, "database": request.getfixturevalue("postgres_url")})
    one = Hosted(site)
    yield one
    one.end()


def ident(one, name):
    """The number of a person."""
    with one.database.reading() as session:
        return session.query(PersonRow).filter(PersonRow.name == name).one().id


def joined(one, leader, name):
    link = leader.made("/team/invite").removeprefix(one.url)
    return Visitor(one.url).join(link, name=name, password=PASSWORD)


def organised(one, path, **fields):
    one.olga.get("/organise")
    return one.olga.post(f"/organise/{path}", **fields)


def space(visitor):
    return re.search(r"<p>([0-9.]+ \w+) of", visitor.get("/submissions").text)[1]


def stream(one, visitor):
    """The events of a visitor's page, opened and read up to the first."""
    connection = http.client.HTTPConnection(one.url.removeprefix("http://"), timeout=30)
    connection.request(
        "GET", "/submissions/events", headers={"Cookie": f"lwface_session={visitor.cookies['lwface_session']}"}
    )
    answer = connection.getresponse()
    while not answer.readline().startswith(b"data: "):
        pass
    return connection, answer


def test_who_is_removed_is_out_at_once_and_what_they_handed_in_stays(both):
    ann = both.team("Elm")
    ben = joined(both, ann, "Ben")
    number = ben.hand_in(solution(1.0), track="points", filename="solution.txt")
    program = Visitor(both.url, key=ben.made("/keys", label="laptop"))
    still_good = ann.made("/team/invite").removeprefix(both.url)
    connection, events = stream(both, ben)
    other = Visitor(both.url)
    assert other.post("/login", name="Ben", password=PASSWORD).status == 303

    ben_id = ident(both, "Ben")
    assert ann.post(f"/organise/people/{ben_id}/remove").status == 403
    assert organised(both, f"people/{ben_id}/remove").status == 200
    assert b"event: out" in events.read()  # and it ends
    connection.close()
    for one in (ben, other):
        assert one.get("/submissions").headers["location"] == "/login"
    assert program.get(f"/api/submissions/{number}").status == 401
    with both.database.reading() as session:
        assert not session.query(TokenRow).count()
        assert not session.query(SessionRow).filter(SessionRow.person_id == ben_id).count()
    assert "an organiser has removed you" in Visitor(both.url).post("/login", name="Ben", password=PASSWORD).text
    assert "no such name" in Visitor(both.url).post("/login", name="Ben", password="another password").text
    assert Visitor(both.url).get(still_good).status == 404  # nor by another name
    assert organised(both, f"people/{ben_id}/password").status == 400
    assert organised(both, f"people/{ben_id}/remove").status == 400
    both.score()
    assert ann.get(f"/api/submissions/{number}").json["state"] == "scored"
    assert "Ben" not in ann.get("/team").text

    assert organised(both, f"people/{ben_id}/return").status == 200
    assert organised(both, f"people/{ben_id}/return").status == 400
    assert Visitor(both.url).post("/login", name="Ben", password=PASSWORD).status == 303
    assert "Ben, member" in ann.get("/team").text
    deeds = [deed["what"] for deed in both.olga.get("/organise/everything.json").json["deeds"]]
    assert deeds[-2:] == ["removed Ben", "let Ben in again, as member"]


def test_the_lead_is_handed_on_and_a_leader_cannot_leave_others_behind(both):
    ann = both.team("Elm")
    both.team("Oak")
    ben = joined(both, ann, "Ben")
    ann_id, ben_id, oak_id = (ident(both, name) for name in ("Elm leader", "Ben", "Oak leader"))
    assert "hand its lead" in organised(both, f"people/{ann_id}/remove").text
    assert ben.post("/team/lead", person=ben_id).status == 403
    for wrong in (oak_id, ann_id, 2**60, "x"):
        assert ann.post("/team/lead", person=wrong).status == 400
    assert ann.post("/team/lead", person=ben_id).status == 303
    assert {"Elm leader, member", "Ben, leader"} <= set(re.findall(r"<li>([^<]*)</li>", ben.get("/team").text))
    assert ann.post("/team/invite").status == 403
    assert ben.post("/team/invite").status == 200
    with both.database.writing() as session, pytest.raises(DeniedError):  # as when the lead has just gone from them
        hand_lead(session, 1, ben_id, by=ann_id)
    assert organised(both, "teams/1/lead", person=ann_id).status == 200
    assert ben.post("/team/invite").status == 403
    assert organised(both, f"people/{ben_id}/remove").status == 200
    assert organised(both, "teams/1/lead", person=ben_id).status == 400
    assert organised(both, f"people/{ann_id}/remove").status == 200  # the last one may go
    assert organised(both, f"people/{ben_id}/return").status == 200  # and who comes back first, leads
    assert organised(both, f"people/{ann_id}/return").status == 200
    page = organised(both, f"people/{oak_id}/remove").text
    assert {"Ben, leader, Elm", "Elm leader, member, Elm", "Oak leader, removed, Oak"} <= set(
        re.findall(r"<li>([^<]*)\n", page)
    )
    told = both.olga.get("/organise/everything.json").json["deeds"]
    assert [(deed["person"], deed["what"]) for deed in told if "lead of" in deed["what"]] == [
        ("Elm leader", "handed the lead of the team to Ben"),
        ("Olga", "handed the lead of Elm to Elm leader"),
    ]


def test_organisers_are_never_all_removed(both):
    link = both.olga.made("/organise/invite", role="organiser", uses="1").removeprefix(both.url)
    pat = Visitor(both.url).join(link, name="Pat", password=PASSWORD)
    for_organisers = both.olga.made("/organise/invite", role="organiser", uses="2").removeprefix(both.url)
    olga_id, pat_id = ident(both, "Olga"), ident(both, "Pat")
    assert "cannot remove yourself" in organised(both, f"people/{olga_id}/remove").text
    assert pat.get("/organise").status == 200
    assert pat.post(f"/organise/people/{olga_id}/remove").status == 200
    with both.database.writing() as session, pytest.raises(DeniedError):  # as when both do so at the same moment
        remove_person(session, olga_id, pat_id)
    assert both.olga.get("/organise").headers["location"] == "/login"
    assert Visitor(both.url).get(for_organisers).status == 404


def test_space_comes_back_at_once(both):
    """Without a scoring process that sweeps."""
    ann, oak = both.team("Elm"), both.team("Oak")
    made = ann.create(6_000_000, track="points", filename="a.txt")
    address, number = made.headers["location"], int(made.headers["submission"])
    assert ann.patch(address, 0, b"begun").status == 204
    assert ann.create(6_000_000, track="points", filename="b.txt").status == 403
    assert ann.post(f"/submissions/{number}/remove").status == 409  # it is not cancelled yet
    assert oak.post(f"/submissions/{number}/cancel").status == 404
    assert ann.post(f"/submissions/{number}/cancel").status == 303
    assert ann.patch(address, 5, b"more").status == 410
    assert not list(both.site.files.iterdir())
    assert space(ann) == "0 bytes"
    made = ann.create(6_000_000, track="points", filename="b.txt")
    assert made.status == 201
    gone = ann.ask("DELETE", made.headers["location"], headers={"Tus-Resumable": "1.0.0", **ann.token})
    assert gone.status == 204
    assert space(ann) == "0 bytes"


def test_files_without_a_score_are_removed_by_their_team(both):
    ann, oak = both.team("Elm"), both.team("Oak")
    scored = ann.hand_in(solution(1.0), track="points", filename="solution.txt")
    refused = ann.hand_in(b"malformed", track="points", filename="solution.txt")
    both.score()
    failed = ann.hand_in(solution(2.0), track="points", filename="solution.txt")
    with both.database.writing() as session:
        session.get(SubmissionRow, failed).state = "failed"
    assert ann.post(f"/submissions/{scored}/remove").status == 409
    assert oak.post(f"/submissions/{refused}/remove").status == 404
    organised(both, "freeze", freeze="no")
    assert both.olga.post(f"/submissions/{refused}/remove").status == 403
    page = ann.get("/submissions").text
    assert re.findall(r"/submissions/(\d+)/remove", page) == [str(failed), str(refused)]
    for number in (refused, failed):
        assert f"/submissions/{number}/remove" in ann.get(f"/submissions/{number}").text
        assert ann.post(f"/submissions/{number}/remove").status == 303
        assert ann.post(f"/submissions/{number}/remove").status == 409
        assert "removed" in ann.get(f"/submissions/{number}").text
    assert len(list(both.site.files.iterdir())) == 1
    organised(both, "rescore")
    both.score()
    states = {number: ann.get(f"/api/submissions/{number}").json["state"] for number in (scored, refused, failed)}
    assert states == {scored: "scored", refused: "refused", failed: "failed"}
