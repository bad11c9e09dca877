"""Uploads: broken anywhere they go on, and what arrives is what was sent; quotas, and what cannot be."""

from __future__ import annotations

import base64
import hashlib
import socket
from urllib.parse import urlsplit

import numpy as np
import pytest
from hosting.conftest import solution

from lwface.base.errors import UserError
from lwface.hosting import client, tus, uploads
from lwface.hosting.client import ChallengeClient
from lwface.hosting.queue import cancel
from lwface.hosting.submissions import remove_files, safe_name
from lwface.hosting.tables import UploadRow
from lwface.hosting.tus import read_checksum, read_metadata
from lwface.hosting.uploads import UploadError

BODY = solution(2.0) * 3


@pytest.fixture
def begun(hosted):
    """A leader, the address of an upload of BODY, and the file that it fills."""
    leader = hosted.team("Elm")
    made = leader.create(len(BODY), track="points", filename="solution.txt")
    address = made.headers["location"]
    return hosted, leader, address, hosted.site.files / address.rsplit("/", 1)[1]


def checksum(data):
    return {"Upload-Checksum": "sha256 " + base64.b64encode(hashlib.sha256(data).digest()).decode()}


def break_off(leader, address, offset, data, length, more=()):
    """Send ``data`` of a request that says it has ``length`` bytes, and hang up."""
    parts = urlsplit(leader.url)
    cookies = "; ".join(f"{name}={value}" for name, value in leader.cookies.items())
    head = [
        f"PATCH {address} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Cookie: {cookies}",
        f"X-CSRF-Token: {leader.csrf}",
        "Tus-Resumable: 1.0.0",
        "Content-Type: application/offset+octet-stream",
        f"Upload-Offset: {offset}",
        f"Content-Length: {length}",
        *more,
    ]
    with socket.create_connection((parts.hostname, parts.port)) as one:
        one.sendall("\r\n".join([*head, "", ""]).encode() + data)
        one.shutdown(socket.SHUT_WR)
        while one.recv(1 << 16):
            pass


def test_broken_off_anywhere_it_goes_on(begun):
    _, leader, address, file = begun
    draws = np.random.default_rng(0)
    while (offset := leader.offset(address)) < len(BODY):
        piece = BODY[offset : offset + int(draws.integers(1, len(BODY) // 4))]
        if draws.random() < 0.5:
            break_off(leader, address, offset, piece, len(BODY) - offset + 1)
        else:
            # The server may not have noticed yet that the last one broke off, and may have kept more of it meanwhile.
            assert leader.patch(address, offset, piece, **checksum(piece)).status in (204, 409, 423)
    assert file.read_bytes() == BODY
    assert leader.patch(address, len(BODY), b"").status == 403  # it is whole
    assert leader.get("/api/submissions/1").json["state"] == "queued"


def test_bytes_that_no_offset_tells_of_are_cut_off(begun):
    """As after a kill between writing and telling."""
    _, leader, address, file = begun
    assert leader.patch(address, 0, BODY[:1000]).status == 204
    with open(file, "ab") as written:
        written.write(b"garbage" * 100)
    assert leader.offset(address) == 1000
    assert leader.patch(address, 1000, BODY[1000:]).status == 204
    assert file.read_bytes() == BODY


def test_a_checksum_decides_about_its_whole_request(begun):
    _, leader, address, file = begun
    assert leader.patch(address, 0, b"x" * 100, **checksum(b"y" * 100)).status == 460
    assert leader.offset(address) == 0
    break_off(leader, address, 0, b"x" * 50, 100, [f"Upload-Checksum: {checksum(b'x' * 100)['Upload-Checksum']}"])
    assert leader.offset(address) == 0
    while (got := leader.patch(address, 0, BODY, **checksum(BODY))).status == 423:
        pass  # the server has not noticed yet that the last one broke off
    assert got.status == 204
    assert file.read_bytes() == BODY


def test_what_cannot_be(begun):
    hosted, leader, address, _ = begun
    assert leader.patch(address, 5, b"x").status == 409
    assert leader.patch(address, 0, BODY + b"x").status == 413
    assert leader.patch(address, 0, b"x", **{"Tus-Resumable": "0.2.2"}).status == 412
    assert leader.patch(address, 0, b"x", **{"Content-Type": "text/plain"}).status == 415
    assert leader.patch(address, "-1", b"x").status == 400
    assert leader.patch(address, 0, b"x", **{"Upload-Checksum": "md5 AAAA"}).status == 400
    assert leader.patch("/uploads/" + "0" * 32, 0, b"x").status == 404
    assert hosted.team("Oak").patch(address, 0, b"x").status == 404  # another team's
    upload = address.rsplit("/", 1)[1]
    uploads.make_file(hosted.database, hosted.site.files, upload)
    with uploads.sole_writer(hosted.site.files, upload):
        assert leader.patch(address, 0, b"x").status == 423
    for length, metadata, says in (
        (10, {"track": "point", "filename": "a.txt"}, "did you mean 'points'"),
        (10, {"track": "points", "filename": "a.exe"}, "ends in .txt or .zip"),
        (0, {"track": "points", "filename": "a.txt"}, "0 bytes"),
        (10**12, {"track": "points", "filename": "a.txt"}, "bytes"),
        (10, {"track": "points", "filename": "a.onnx", "part": "model"}, "takes submission"),
        (10, {"track": "points", "filename": "a.txt", "sha256": "zz"}, "64 hexadecimal"),
        (10, {"track": "points", "filename": "a.txt", "submission": "99"}, "begun none of that number"),
    ):
        refused = leader.create(length, **metadata)
        assert (refused.status, says in refused.json["error"]) == (400, True), refused.text
    assert leader.ask("DELETE", address, headers={"Tus-Resumable": "1.0.0", **leader.token}).status == 204
    assert leader.patch(address, 0, b"x").status == 410


@pytest.mark.parametrize("step", ["make_file", "sole_writer", "Receiver", "_receive"])
def test_what_is_removed_while_a_request_for_it_begins_leaves_no_file(begun, monkeypatch, step):
    """The removal comes just before each step of the request in turn."""
    hosted, leader, address, file = begun
    going_on = getattr(tus, step)

    def after_removal(*given):
        with hosted.database.writing() as session:
            assert cancel(session, 1)
        assert remove_files(hosted.database, hosted.site, 1) == 1
        return going_on(*given)

    monkeypatch.setattr(tus, step, after_removal)
    assert leader.patch(address, 0, BODY).status == 410
    assert not file.exists()
    assert not list(hosted.site.files.iterdir())


def test_quotas(hosted):
    leader = hosted.team("Elm")
    for noise in (1, 2):
        leader.hand_in(solution(noise), track="points", filename="solution.txt")
    leader.hand_in(b"malformed", track="points", filename="solution.txt")
    hosted.score()
    leader.hand_in(solution(3), track="points", filename="solution.txt")  # the malformed one cost nothing
    late = leader.create(10, track="points", filename="a.txt")
    assert (late.status, "3 of 3 today" in late.json["error"]) == (403, True)
    other = hosted.team("Oak")
    begun = [other.create(9, track="points", filename="a.txt").headers["location"] for _ in range(4)]
    for address in begun:  # begun before the quota was used up, ended after
        assert other.patch(address, 0, b"123456789").status == 204
    states = [other.get(f"/api/submissions/{number}").json for number in range(5, 9)]
    assert [one["state"] for one in states] == ["queued"] * 3 + ["refused"]
    assert "3 of 3 today" in states[-1]["line"]
    with hosted.database.writing() as session:
        session.query(UploadRow).filter(UploadRow.part == "submission").update({"length": 4_000_000})
    full = hosted.team("Yew")
    for expected in (201, 201, 403):
        assert full.create(4_000_000, track="points", filename="a.txt").status == expected


def test_the_client_goes_on_where_it_broke_off(hosted, tmp_path, monkeypatch):
    leader = hosted.team("Elm")
    monkeypatch.setattr(client, "PIECE", 2000)
    (tmp_path / "solution.txt").write_bytes(solution(1.0))
    files = {"submission": tmp_path / "solution.txt"}

    def talks():
        return ChallengeClient(hosted.url, leader.made("/keys", label="x"), tmp_path / "state.json")

    seen, doings = [], []

    def told(share, doing):
        doings.append(doing)
        if doing == "sending the submission":
            seen.append(share)

    def killed(share, doing):
        told(share, doing)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        talks().hand_in("points", files, "", killed)
    (tmp_path / "state.json").unlink()  # killed before it was written: the server knows the digest
    number = talks().hand_in("points", files, "", told)
    assert seen == sorted(seen)
    assert list(dict.fromkeys(doings)) == ["reading the submission", "sending the submission"]
    assert talks().hand_in("points", files, "", lambda share, doing: None) == number
    hosted.score()
    assert talks().wait(number, lambda share, doing: None)["state"] == "scored"
    again = talks()
    again.forget(number + 1)
    assert again.hand_in("points", files, "", lambda share, doing: None) == number
    again.forget(number)
    assert again.hand_in("points", files, "", lambda share, doing: None) == number + 1
    with pytest.raises(UserError, match="track points takes submission: leave --with-model out"):
        again.hand_in("points", {**files, "model": tmp_path / "state.json"}, "", lambda *_: None)
    assert leader.get(f"/api/submissions/{number + 2}").json["progress"] == 0
    assert leader.get(f"/api/submissions/{number + 2}").json["state"] == "uploading"  # not a byte was sent
    with pytest.raises(UserError, match="this key is none"):
        ChallengeClient(hosted.url, "none", tmp_path / "other.json").hand_in("points", files, "", lambda *_: None)
    with pytest.raises(UserError, match="expected such as"):
        ChallengeClient("ftp://x", "none", tmp_path / "other.json")


def test_headers():
    assert read_metadata("a YQ==, b,c w6k=") == {"a": "a", "b": "", "c": "é"}
    for wrong in ("a !", "a /w==", "a " + "A" * 9000):
        with pytest.raises(UploadError):
            read_metadata(wrong)
    assert read_checksum(None) is None
    assert safe_name("../../etc/pass wd.TXT") == "pass_wd.TXT"
    assert safe_name("C:\\x\\.hidden") == "hidden"
    assert safe_name("") == "file"
