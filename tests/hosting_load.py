"""Load on a hosted challenge: 200 people who look at pages and 20 who upload, beside one scoring. Loopback, bounded.

    python tests/hosting_load.py
    python tests/hosting_load.py --seconds 30 --gigabytes 2 --postgres

A command, not a test: absolute times are those of the machine, and the browsers are on it too. Every one of 200 clients
asks for a page, reads it, thinks for two seconds and asks for the next; 20 others send 2 GB in all, in pieces of 16 MB.
It fails on any error, where the 95th percentile of a page's time is above ``--limit`` milliseconds, or where the memory
of the web processes grows by more than 64 MB while the bytes come in. Once by SQLite, with ``--postgres`` by that.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import random
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hosting_kills import TRACK, Hosted, make_challenge, make_submissions
from hosting_people import Visitor, organiser, team
from hosting_postgres import postgres

PIECE = 16 * 1024**2
THINK_S = 2.0
GROWTH = 64 * 1024**2
PAGES = (f"/board/{TRACK}", f"/board/{TRACK}", f"/board/{TRACK}.json", "/rules", "/submissions", "/submit/landmarks")


@dataclass
class Seen:
    """What happened: milliseconds of pages, errors, bytes that were sent, the web's memory."""

    pages: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    sent: int = 0
    memory: list[int] = field(default_factory=list)
    scored: int = 0


async def ask(url: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, dict, bytes]:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        own = {"Host": parts.netloc, "Connection": "close", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in (own | headers).items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        for start in range(0, len(body), 1 << 18):
            writer.write(body[start : start + (1 << 18)])
            await writer.drain()
        answer = await reader.read(-1)
    finally:
        writer.close()
    head_bytes, _, rest = answer.partition(b"\r\n\r\n")
    first, *lines = head_bytes.decode("latin-1").split("\r\n")
    found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), found, rest


async def look(url: str, cookies: str, seen: Seen, ends: float, draws: random.Random) -> None:
    """One of those who look at pages."""
    await asyncio.sleep(draws.random() * THINK_S)
    while time.monotonic() < ends:
        path = draws.choice(PAGES)
        began = time.monotonic()
        try:
            status, _, _ = await ask(url, "GET", path, {"Cookie": cookies})
            if status != 200:
                seen.errors.append(f"{path}: status {status}")
        except OSError as error:
            seen.errors.append(f"{path}: {error}")
        seen.pages.append(1000 * (time.monotonic() - began))
        await asyncio.sleep(THINK_S * (0.5 + draws.random()))


async def send(url: str, key: str, piece: bytes, length: int, seen: Seen) -> None:
    """One of those who upload: ``length`` bytes of nonsense, which is cancelled when it is there."""
    own = {"Authorization": f"Bearer {key}", "Tus-Resumable": "1.0.0"}
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in
               (("track", TRACK), ("filename", "a.txt"))}  # fmt: skip
    metadata = ",".join(f"{name} {text}" for name, text in encoded.items())
    left = length
    while left > 0:
        one = min(left, 48 * 1024**2)  # a file of this track may have 64 MiB
        status, found, body = await ask(
            url, "POST", "/uploads", own | {"Upload-Length": str(one + 1), "Upload-Metadata": metadata}
        )
        if status != 201:
            seen.errors.append(f"POST: {status} {body[:200]!r}")
            return
        address, offset = found["location"], 0
        checksum = "sha256 " + base64.b64encode(hashlib.sha256(piece).digest()).decode()
        while offset < one:
            data = piece if one - offset >= len(piece) else piece[: one - offset]
            more = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            more |= {"Upload-Checksum": checksum} if data is piece else {}
            status, found, body = await ask(url, "PATCH", address, own | more, data)
            if status != 204:
                seen.errors.append(f"PATCH: {status} {body[:200]!r}")
                return
            offset, seen.sent = int(found["upload-offset"]), seen.sent + len(data)
        await ask(url, "DELETE", address, own)
        left -= one


async def watch(hosted: Hosted, files: list[bytes], leader: Visitor, seen: Seen, ends: float) -> None:
    """Look at the web's memory, and keep one submission being scored."""
    number = await asyncio.to_thread(leader.hand_in, files[0], track=TRACK, filename="solution.txt")
    while time.monotonic() < ends:
        seen.memory.append(sum(resident(pid) for pid, command in hosted.below().items() if "processes web" in command))
        state = (await asyncio.to_thread(leader.get, f"/api/submissions/{number}")).json["state"]
        if state not in ("queued", "running"):
            seen.scored += state == "scored"
            data = files[seen.scored % len(files)]
            number = await asyncio.to_thread(leader.hand_in, data, track=TRACK, filename="solution.txt")
        await asyncio.sleep(0.5)


def resident(pid: int) -> int:
    """Bytes of memory of a process that are its own."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text()
        return 1024 * int(re.search(r"RssAnon:\s+(\d+)", text)[1])
    return 0


async def load(hosted: Hosted, arguments: argparse.Namespace, folder: Path) -> Seen:
    """All at once."""
    seen, draws = Seen(), random.Random(0)
    olga = organiser(hosted.url, hosted.link())
    leaders = [team(olga, f"Team {number}") for number in range(arguments.uploaders)]
    files = [path.read_bytes() for path in make_submissions(hosted.challenge, folder / "files").values()]
    keys = [leader.made("/keys", label="load") for leader in leaders]
    cookies = [f"lwface_session={leader.cookies['lwface_session']}" for leader in leaders]
    piece = random.Random(1).randbytes(PIECE)
    ends = time.monotonic() + arguments.seconds
    share = int(arguments.gigabytes * 1e9 / arguments.uploaders)
    looking = [look(hosted.url, draws.choice(cookies), seen, ends, random.Random(n)) for n in range(arguments.clients)]
    sending = [send(hosted.url, key, piece, share, seen) for key in keys]
    await asyncio.gather(*looking, *sending, watch(hosted, files, leaders[0], seen, ends))
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--uploaders", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--limit", type=float, default=300, metavar="MS")
    parser.add_argument("--postgres", action="store_true")
    arguments = parser.parse_args()
    if shutil.disk_usage(tempfile.gettempdir()).free < 2e9 + arguments.gigabytes * 1e9:
        sys.exit(f"error: {tempfile.gettempdir()} has too little space for {arguments.gigabytes} GB")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        database = stack.enter_context(postgres()) if arguments.postgres else None
        hosted = Hosted(make_challenge(folder / "challenge"), folder / "hosted", database)
        try:
            seen = asyncio.run(load(hosted, arguments, folder))
        finally:
            hosted.end()
    report(seen, arguments.limit)


def report(seen: Seen, limit: float) -> None:
    """Print the figures; exit where one is not good."""
    pages = sorted(seen.pages)
    median, late = (pages[int(share * (len(pages) - 1))] for share in (0.5, 0.95))
    growth = max(seen.memory) - seen.memory[min(4, len(seen.memory) - 1)]
    print(f"{len(pages)} pages, median {median:.0f} ms, 95 % within {late:.0f} ms; {seen.sent / 1e9:.2f} GB uploaded")
    print(
        f"{seen.scored} scored meanwhile; memory of the web {max(seen.memory) / 2**20:.0f} MiB, {growth / 2**20:+.0f}"
    )
    wrong = seen.errors[:10]
    wrong += [f"95 % within {late:.0f} ms, more than {limit:g}"] if late > limit else []
    wrong += [f"memory grew by {growth / 2**20:.0f} MiB"] if growth > GROWTH else []
    if wrong:
        sys.exit("\n".join([f"FAILED, {len(seen.errors)} errors", *wrong]))
    print("ok")


if __name__ == "__main__":
    main()
