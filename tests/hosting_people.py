"""People of a hosted challenge, for tests: with a browser's cookies and forms, or with a program's key."""

from __future__ import annotations

import base64
import http.client
import json
import re
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit


@dataclass
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self):
        return json.loads(self.text)


@dataclass
class Visitor:
    """Somebody at ``url``; ``cookies`` as a browser keeps them, ``csrf`` as the last page had it."""

    url: str
    key: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    def ask(self, method, path, body=b"", headers=None, timeout=60):
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        own = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if self.cookies:
            own["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, body, own | (headers or {}))
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                cookie, _, content = value.partition(";")[0].partition("=")
                self.cookies[cookie] = content
        return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)

    def get(self, path):
        got = self.ask("GET", path)
        if found := re.search(r'name="csrf" value="([^"]*)"', got.text):
            self.csrf = found[1]
        return got

    def post(self, path, **fields):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode({"csrf": self.csrf, **fields}).encode(), headers)

    def join(self, link, **fields):
        got = self.post(urlsplit(link).path, **fields)
        assert got.status == 303, got.text
        self.get("/team")
        return self

    def made(self, path, **fields):
        """What a page shows once: a link, or a key."""
        got = self.post(path, **fields)
        assert got.status == 200, got.text
        return re.search(r'<pre class="key">([^<]*)</pre>', got.text)[1]

    def create(self, length, **metadata):
        pairs = ",".join(f"{name} {base64.b64encode(str(text).encode()).decode()}" for name, text in metadata.items())
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length), "Upload-Metadata": pairs}
        return self.ask("POST", "/uploads", headers=headers | self.token)

    def patch(self, address, offset, data, **more):
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
        }
        return self.ask("PATCH", address, data, headers | self.token | more)

    def offset(self, address):
        return int(self.ask("HEAD", address, headers={"Tus-Resumable": "1.0.0"}).headers["upload-offset"])

    def hand_in(self, data, **metadata):
        """Number of the submission that a file in one piece became."""
        made = self.create(len(data), **metadata)
        assert made.status == 201, made.text
        assert self.patch(made.headers["location"], 0, data).status == 204
        return int(made.headers["submission"])

    @property
    def token(self):
        return {"X-CSRF-Token": self.csrf} if not self.key else {}


def organiser(url, link):
    return Visitor(url).join(link, name="Olga", password="a long password")


def team(olga, name):
    """The leader of a new team."""
    link = olga.made("/organise/invite", role="leader", uses="1")
    return Visitor(olga.url).join(link, team=name, name=f"{name} leader", password="a long password")
