"""The other side: hands files in by the tus protocol, from where they broke off, and waits for the score.

What has begun is remembered in a file (address of the upload, by server, track, digests), so that the same command goes
on after a break, a restart of either side, or a day.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lwface.base.errors import UserError
from lwface.base.files import write_json

PIECE = 16 * 1024**2
MODEL = "model"  # the part that not every track takes
PATIENCE = 60  # attempts in a row that bring nothing
TIMEOUT_S = 120
RETRIED = (408, 409, 423, 429, 460, 500, 502, 503, 504)
ENDED = ("scored", "refused", "failed", "cancelled")
Say = Callable[[float, str], None]


class ServerSaysError(UserError):
    """The server refuses, and why."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ChallengeClient:
    """Talks to the server of a challenge.

    Args:
        url: of the challenge.
        key: made on the team's page.
        state: file that remembers what has begun.
    """

    def __init__(self, url: str, key: str, state: Path) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"--challenge {url}: expected such as https://challenge.example.org")
        self.url, self.key, self.state = url.rstrip("/"), key, state
        self.parts = parts

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """One request on a connection of its own.

        Raises:
            ServerSaysError: the server refuses it.
            OSError: nobody answers.
        """
        kind = http.client.HTTPSConnection if self.parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.parts.hostname or "", self.parts.port, timeout=TIMEOUT_S)
        own = {"Authorization": f"Bearer {self.key}", "Tus-Resumable": "1.0.0"}
        with contextlib.closing(connection):
            connection.request(method, self.parts.path.rstrip("/") + path, body, {**own, **(headers or {})})
            answer = connection.getresponse()
            found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        if found.status >= 400:
            raise ServerSaysError(found.status, _line(found))
        return found

    def hand_in(self, track: str, files: Mapping[str, Path], note: str, say: Say) -> int:
        """Send the files of a submission by part; its number, which the same call gives again until :meth:`forget`.

        Raises:
            UserError: the server refuses it, or does not answer for long.
        """
        digests = {
            part: sha256_of(path, lambda share, part=part: say(share, f"reading the {part}"))  # type: ignore[misc]
            for part, path in files.items()
        }
        begun = "|".join([self.url, track, *digests.values()])
        submission = ""
        for part, path in files.items():
            metadata = {"track": track, "part": part, "filename": path.name, "sha256": digests[part], "note": note}
            metadata |= {"submission": submission} if submission else {}
            address, submission = self._begun(f"{begun}|{part}", metadata, path.stat().st_size, tuple(files))
            self._send(address, path, lambda share, part=part: say(share, f"sending the {part}"))  # type: ignore[misc]
        return int(submission)

    def forget(self, submission: int) -> None:
        """A submission is done with: the same files, handed in again, are another one."""
        kept = {
            key: begun
            for key, begun in self._remembered().items()
            if not (key.startswith(f"{self.url}|") and begun[1] == str(submission))
        }
        self._remember(kept)

    def wait(self, submission: int, say: Say) -> dict[str, Any]:
        """What has become of a submission, when its scoring has ended."""
        while True:
            told = json.loads(self._patiently(lambda: self.ask("GET", f"/api/submissions/{submission}")).body)
            if told["state"] in ENDED:
                return dict(told)
            say(told["progress"], told["doing"] or told["state"])
            time.sleep(1)

    def _begun(self, key: str, metadata: Mapping[str, str], length: int, parts: tuple[str, ...]) -> tuple[str, str]:
        """Address and submission of an upload: one that has begun already, or a new one.

        Raises:
            UserError: the server refuses it, or its track takes other ``parts``; no byte was sent then.
        """
        kept = self._remembered().get(key)
        if kept is not None:
            with contextlib.suppress(ServerSaysError):
                self._patiently(lambda: self.ask("HEAD", kept[0]))
                return kept[0], kept[1]
        encoded = ",".join(
            f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in metadata.items() if text
        )
        headers = {"Upload-Length": str(length), "Upload-Metadata": encoded}
        answer = self._patiently(lambda: self.ask("POST", "/uploads", headers))
        wanted = answer.headers.get("parts", ",".join(parts)).split(",")
        if sorted(wanted) != sorted(parts):
            remedy = "give --with-model, too" if MODEL in wanted else "leave --with-model out"
            raise UserError(f"track {metadata['track']} takes {' and '.join(wanted)}: {remedy}")
        made = answer.headers["location"], answer.headers["submission"]
        self._remember({**self._remembered(), key: list(made)})
        return made

    def _send(self, address: str, path: Path, say: Callable[[float], None]) -> None:
        """Send a file from where the server has it up to."""
        length, failures, offset = path.stat().st_size, 0, -1
        with open(path, "rb") as file:
            while True:
                answer = self._patiently(lambda: self.ask("HEAD", address))
                before, offset = offset, int(answer.headers["upload-offset"])
                failures = 0 if offset > before else failures + 1
                with _passing():
                    while offset < length:
                        offset = self._piece(address, file, offset)
                        say(offset / length)
                if offset >= length:
                    return
                if failures >= PATIENCE:
                    raise UserError(f"{self.url}: takes no more of {path.name}; give the same command again later")
                time.sleep(_pause(failures))

    def _piece(self, address: str, file: Any, offset: int) -> int:
        file.seek(offset)
        data = file.read(PIECE)
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        headers = {
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
            "Upload-Checksum": f"sha256 {checksum}",
        }
        return int(self.ask("PATCH", address, headers, data).headers["upload-offset"])

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask again while the server is away or busy.

        Raises:
            UserError: it refuses, or stays away.
        """
        for failures in range(PATIENCE):
            with _passing():
                return ask()
            time.sleep(_pause(failures))
        raise UserError(f"{self.url}: no answer after {PATIENCE} attempts; give the same command again later")

    def _remembered(self) -> dict[str, list[str]]:
        try:
            return dict(json.loads(self.state.read_text()))
        except (OSError, ValueError):
            return {}

    def _remember(self, all_of_it: Mapping[str, list[str]]) -> None:
        write_json(self.state, dict(all_of_it))


def sha256_of(path: Path, say: Callable[[float], None] = lambda share: None) -> str:
    """The digest of a file; ``say`` is told the share that is read."""
    found, length = hashlib.sha256(), path.stat().st_size
    with open(path, "rb") as file:
        while block := file.read(PIECE):
            found.update(block)
            say(file.tell() / length)
    return found.hexdigest()


def state_file() -> Path:
    """Where a user's unfinished uploads are remembered."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "lwface" / "uploads.json"


@contextlib.contextmanager
def _passing() -> Iterator[None]:
    """Swallow what can be better in a moment: nobody answers, or the server is busy."""
    try:
        yield
    except ServerSaysError as error:
        if error.status not in RETRIED:
            raise
    except (OSError, http.client.HTTPException):
        pass


def _pause(failures: int) -> float:
    return float(min(5.0, 0.2 * 2**failures))


def _line(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered with status {answer.status}"
