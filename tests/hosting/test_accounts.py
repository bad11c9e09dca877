"""Accounts: links, passwords, sessions, forged requests, keys, tries."""

from __future__ import annotations

import re

import pytest
from hosting.conftest import Hosted
from hosting_people import Visitor

from lwface.base.errors import UserError
from lwface.hosting import keys
from lwface.hosting.accounts import DeniedError, clean_name, tally
from lwface.hosting.site import Site
from lwface.hosting.tables import InviteRow, PersonRow, SessionRow, TokenRow

WELL = {"name": "Ann", "password": "a long password", "team": "Elm"}


def test_a_link_is_used_once_and_by_its_role(hosted):
    link = hosted.olga.made("/organise/invite", role="leader", uses="1").removeprefix(hosted.url)
    ann = Visitor(hosted.url)
    assert "10 to 200 characters" in ann.post(link, **{**WELL, "password": "short"}).text
    assert "letters that can be printed" in ann.post(link, **{**WELL, "name": " \x07 "}).text
    assert ann.post(link, **WELL).status == 303
    assert Visitor(hosted.url).post(link, **{**WELL, "name": "Ben"}).status == 404
    ann.get("/team")
    member = ann.made("/team/invite").removeprefix(hosted.url)
    ben = Visitor(hosted.url).join(member, name="Ben", password="another password")
    assert "Ben, member" in ann.get("/team").text
    assert ben.post("/team/invite").status == 403
    assert ben.get("/organise").status == 403
    assert hosted.olga.post("/organise/invite", role="member", uses="1").status == 400
    taken = hosted.olga.made("/organise/invite", role="leader", uses="1").removeprefix(hosted.url)
    assert "is taken" in Visitor(hosted.url).post(taken, **{**WELL, "team": "Oak"}).text
    assert "there is a team" in Visitor(hosted.url).post(taken, **{**WELL, "name": "Cy"}).text


def test_log_in_out_and_a_new_password(hosted):
    ann = hosted.team("Elm")
    again = Visitor(hosted.url)
    assert again.post("/login", name="Elm leader", password="a wrong password").status == 403
    assert again.post("/login", name="nobody", password="a wrong password").status == 403
    done = again.post("/login", name=" Elm  leader", password="a long password")
    assert done.status == 303
    assert {"HttpOnly", "SameSite=lax"} <= set(done.headers["set-cookie"].replace("; ", ";").split(";"))
    assert again.get("/submissions").status == 200
    number = re.search(r"Elm leader, leader, Elm\n.*?/people/(\d+)/", hosted.olga.get("/organise").text, re.DOTALL)[1]
    link = hosted.olga.made(f"/organise/people/{number}/password").removeprefix(hosted.url)
    assert Visitor(hosted.url).post(link, password="a newer password").status == 303
    assert again.get("/submissions").status == 303  # all are logged out
    assert ann.post("/login", name="Elm leader", password="a long password").status == 403
    ann.cookies.clear()
    assert ann.post("/login", name="Elm leader", password="a newer password").status == 303
    ann.get("/team")
    old = dict(ann.cookies)
    assert ann.post("/logout").status == 303
    ann.cookies = old
    assert ann.get("/submissions").status == 303


def test_forged_requests_change_nothing(hosted):
    ann = hosted.team("Elm")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ann.ask("POST", "/keys", b"label=x", form).status == 403
    assert ann.ask("POST", "/keys", b"label=x&csrf=" + b"0" * 43, form).status == 403
    body = f"label=x&csrf={ann.csrf}".encode()
    assert ann.ask("POST", "/keys", body, form | {"Origin": "https://elsewhere.example"}).status == 403
    assert ann.ask("POST", "/keys", body, form | {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert ann.ask("POST", "/login", b"name=a&password=b", form | {"Origin": "https://elsewhere.example"}).status == 403
    assert ann.ask("POST", "/keys", b"x" * 70_000, form).status == 400
    assert ann.ask("POST", "/keys", b"&".join([b"a=b"] * 60), form).status == 400
    assert ann.ask("POST", "/keys", body, form | {"Origin": hosted.url}).status == 200
    ann.csrf = ""
    assert ann.create(10, track="points", filename="a.txt").status == 403


def test_keys_are_for_programs_until_removed(hosted):
    ann = hosted.team("Elm")
    key = ann.made("/keys", label="laptop")
    program = Visitor(hosted.url, key=key)
    assert program.create(10, track="points", filename="a.txt").status == 201
    number = re.search(r"/keys/(\d+)/remove", ann.get("/team").text)[1]
    hosted.team("Oak").post(f"/keys/{number}/remove")  # another's: nothing happens
    assert program.get("/submissions").status == 200
    ann.post(f"/keys/{number}/remove")
    assert program.ask("POST", "/uploads").status == 401


def test_the_database_holds_no_key_and_no_password(hosted):
    ann = hosted.team("Elm")
    key = ann.made("/keys", label="laptop")
    with hosted.database.reading() as session:
        rows = [row for table in (InviteRow, PersonRow, SessionRow, TokenRow) for row in session.query(table)]
        held = [getattr(row, column.name) for row in rows for column in row.__table__.columns]
    text = " ".join(map(str, held))
    assert not [secret for secret in (key, "a long password", *ann.cookies.values()) if secret in text]
    assert "$argon2id$" in text


def test_tries_are_counted_for_all_processes(hosted):
    for _ in range(3):
        tally(hosted.database, "someone", 3)
    with pytest.raises(DeniedError, match="more than 3 tries"):
        tally(hosted.database, "someone", 3)
    tally(hosted.database, "someone else", 3)


def test_names():
    assert clean_name("  Ann\u00a0 B\ufb01 ") == "Ann Bfi"
    for wrong in ("", " ", "a" * 41, "a\u202eb", "a\nb\x00"):
        with pytest.raises(UserError):
            clean_name(wrong)


def test_nobodys_password_is_nobodys():
    assert not keys.is_password(None, "a long password")
    assert keys.is_password(keys.hash_password("a long password"), "a long password")


def test_letters_and_numbers_that_no_database_takes(site, postgres_url):
    one = Hosted(Site(**{**site.__dict__, "database": postgres_url}))
    try:
        ann = one.team("Elm")
        assert ann.post("/login", name="a\0b", password="a long password").status == 403
        assert ann.post("/keys", label="a\0b\u202e").status == 200
        assert ann.create(10, track="points", filename="a\0.txt", note="a\0b").status == 201
        for address in ("/submissions/0", f"/submissions/{2**70}", "/submissions/x", "/join/%00", "/board/%00.json"):
            assert ann.get(address).status in (400, 404), address
        assert ann.patch("/uploads/%00", 0, b"x").status == 404
        one.olga.get("/organise")
        assert one.olga.post("/organise/teams/1", reason="a\0b").status == 200
        assert one.olga.post(f"/organise/teams/{2**70}", reason="x").status == 404
        assert one.olga.post("/organise/teams/77", reason="x").status == 400
    finally:
        one.end()
