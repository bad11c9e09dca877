"""The whole road: an invite, a submission, its score, the boards, what an organiser does. On both databases alike."""

from __future__ import annotations

import csv
import http.client
import io
import json
import re
import zipfile

import pytest
from hosting.conftest import Hosted, solution
from hosting_people import Visitor

from lwface.challenge.definition import read_challenge
from lwface.challenge.scorers import score
from lwface.hosting.app import POLICY
from lwface.hosting.site import Site

NOISES = {"Aster": (3.0, 1.0), "Birch": (2.0, 1.5), "Cedar": (1.0,), "Dahlia": (9.0,)}
SEEDS = {"Cedar": 0, "Aster": 0}  # of their last ones: the same bytes, so they share a place


def play(one: Hosted) -> dict[str, Visitor]:
    """Four teams hand in, all is scored."""
    leaders = {name: one.team(name) for name in NOISES}
    for name, noises in NOISES.items():
        for noise in noises:
            leaders[name].hand_in(solution(noise, SEEDS.get(name, 1)), track="points", filename="solution.txt")
    one.score()
    return leaders


def boards(one: Hosted) -> list[str]:
    return [one.olga.get(f"/board/points.json?half={half}").text for half in ("public", "private")]


@pytest.fixture
def course_of_four(hosted):
    return hosted, play(hosted)


def test_scores_are_those_of_the_command_line_and_equal_ones_share_a_place(course_of_four, course, tmp_path):
    one, _ = course_of_four
    track = read_challenge(course).tracks[0]
    expected = {}
    for name, noises in NOISES.items():
        for noise in noises:
            (tmp_path / "solution.txt").write_bytes(solution(noise, SEEDS.get(name, 1)))
            found = score(track, tmp_path / "solution.txt", course / "reference" / "points")
            expected[name] = min(expected.get(name, found), found, key=lambda result: result.public["nme"])
    public, private = map(json.loads, boards(one))
    for board, half in ((public, "public"), (private, "private")):
        for entry in board["entries"]:
            assert entry["figures"] == getattr(expected[entry["team"]], half)
    assert [(entry["place"], entry["team"]) for entry in public["entries"]] == [
        (1, "Aster"),
        (1, "Cedar"),
        (3, "Birch"),
        (4, "Dahlia"),
    ]
    rows = list(csv.DictReader(io.StringIO(one.olga.get("/board/points.csv").text)))
    assert [float(row["nme"]) for row in rows] == [entry["figures"]["nme"] for entry in public["entries"]]


def test_postgres_gives_the_same_bytes(course_of_four, postgres_url, site, tmp_path):
    one, _ = course_of_four
    other = Hosted(Site(**{**site.__dict__, "database": postgres_url, "data": str(tmp_path / "other")}))
    try:
        play(other)
        assert boards(other) == boards(one)
    finally:
        other.end()


def test_what_an_organiser_does(course_of_four):
    one, leaders = course_of_four
    olga, aster = one.olga, leaders["Aster"]
    olga.get("/organise")
    number = re.search(r'/organise/teams/(\d+)"[^/]*/?[^/]*reason-\1', olga.get("/organise").text)[1]
    teams = re.findall(r'<th scope="row">(\w+)</th>', olga.get("/organise").text)
    assert "Aster" in teams
    assert number

    # disqualified: out of the places, with the reason, and handing in no more
    number = teams.index("Aster") + 1  # they joined in the order of their names
    assert olga.post(f"/organise/teams/{number}", reason="=a second account").status == 200
    entries = json.loads(boards(one)[0])["entries"]
    assert [(entry["place"], entry["team"]) for entry in entries] == [
        (1, "Cedar"),
        (2, "Birch"),
        (3, "Dahlia"),
        (None, "Aster"),
    ]
    assert ",'=a second account\n" in olga.get("/board/points.csv?half=public").text
    refused = aster.create(10, track="points", filename="a.txt")
    assert refused.status == 403
    assert "a second account" in refused.json["error"]
    olga.post(f"/organise/teams/{number}", reason="")

    # frozen: what comes later is scored and not shown
    olga.post("/organise/freeze", freeze="yes")
    before = boards(one)
    leaders["Dahlia"].hand_in(solution(0.5), track="points", filename="solution.txt")
    one.score()
    assert boards(one) == before
    assert "Frozen at" in Visitor(one.url).get("/board/points").text
    olga.post("/organise/freeze", freeze="no")
    shown = boards(one)
    assert json.loads(shown[0])["entries"][0]["team"] == "Dahlia"

    # scored again: the same figures, each once more, at no cost
    olga.post("/organise/rescore")
    assert "wait or are being scored" in olga.get("/board/points").text
    one.score()
    assert boards(one) == shown
    told = olga.get("/organise/everything.json").json
    assert all([score["version"] for score in row["scores"]] == [1, 2] for row in told["submissions"])
    assert [deed["what"].split(":")[0] for deed in told["deeds"]][-2:] == [
        "let the leaderboard go on",
        "score all again",
    ]
    with zipfile.ZipFile(io.BytesIO(zip_of(one))) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("everything.json")) == told
        assert archive.read(f"files/{told['submissions'][0]['id']}/submission/solution.txt") == solution(3.0, 0)

    # the private half is the organiser's until it is shown
    assert leaders["Birch"].get("/board/points.json?half=private").status == 403
    assert "private" not in leaders["Birch"].get("/submissions/3").text
    olga.post("/organise/reveal", reveal="yes")
    page = leaders["Birch"].get("/board/points").text
    assert "Final: ranked on the private half" in page


def zip_of(one: Hosted) -> bytes:
    connection = http.client.HTTPConnection(one.url.removeprefix("http://"))
    cookie = "; ".join(f"{name}={value}" for name, value in one.olga.cookies.items())
    connection.request("GET", "/organise/everything.zip", headers={"Cookie": cookie})
    data = connection.getresponse().read()
    connection.close()
    return data


def test_pages_are_safe_and_say_what_is_wrong(hosted):
    leader = hosted.team("<b>Ash</b>")
    number = leader.hand_in(b"no solution", track="points", filename="../../solution.txt")
    hosted.score()
    page = leader.get(f"/submissions/{number}")
    assert "solution.txt: row 1 has 2 fields" in page.text
    assert page.headers["content-security-policy"] == POLICY
    assert "&lt;b&gt;Ash" in page.text
    assert "<b>Ash" not in page.text
    stranger = Visitor(hosted.url)
    assert stranger.get("/submissions").headers["location"] == "/login"
    assert hosted.team("Oak").get(f"/submissions/{number}").status == 404
    assert stranger.get("/nowhere").status == 404
    assert stranger.get("/board/nothing").status == 400
    for address in ("/organise", "/organise/everything.json", "/organise/everything.zip", "/organise/submissions.csv"):
        assert leader.get(address).status == 403


def test_progress_comes_live(hosted):
    leader = hosted.team("Elm")
    number = leader.hand_in(solution(1.0), track="points", filename="solution.txt")
    connection = http.client.HTTPConnection(hosted.url.removeprefix("http://"), timeout=30)
    cookie = "; ".join(f"{name}={value}" for name, value in leader.cookies.items())
    connection.request("GET", "/submissions/events", headers={"Cookie": cookie})
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")

    def told():
        while not (line := answer.readline()).startswith(b"data: "):
            pass
        return json.loads(line[6:])[0]

    first = told()
    assert (first["id"], first["state"]) == (number, "queued")
    hosted.score()
    while told()["state"] != "scored":
        pass
    connection.close()
