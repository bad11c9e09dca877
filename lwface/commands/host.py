"""Host a challenge: a web server with accounts, uploads that go on where they broke, a queue, scoring and leaderboards.

    python challenge/host.py my-course

Open the link that it prints: the first organiser comes by it, and invites the others. It listens on this machine alone
unless --listen says otherwise; in front of people belongs a proxy that speaks https, and --url then tells its address.
Ctrl-C ends it; what was being uploaded or scored goes on at the next start. docs/hosting.md has the whole road.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.extras import available, missing
from lwface.base.files import shown
from lwface.commands.flags import check_least, command_parser
from lwface.hosting.site import AUTO, CAGES, GIB, Site, sqlite_url

NEEDS = ("fastapi", "uvicorn", "sqlalchemy", "argon2", "jinja2")
DATABASE = "LWFACE_DATABASE"
EVERYWHERE, HERE = ("0.0.0.0", "::"), ("127.0.0.1", "::1", "localhost")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("challenge", type=Path, metavar="FOLDER", help="the challenge: a folder with challenge.toml")
    what = "folder of uploads and, without --database, the database; not given: FOLDER/hosted"
    add("--site-data", type=Path, metavar="DIR", help=what)
    what = (
        f"URL of a database, such as postgresql+pg8000://me@host/name; {DATABASE} hides a password; not given: SQLite"
    )
    add("--database", metavar="URL", default=os.environ.get(DATABASE), help=what)
    add("--listen", metavar="ADDRESS", default="127.0.0.1", help="address of this machine to listen at")
    add("--port", type=int, default=8000, metavar="N", help="port to listen at; 0: any that is free")
    add("--url", metavar="URL", help="what people type to come here; not given: http://ADDRESS:PORT")
    add("--web", type=int, default=1, metavar="N", help="processes that answer; 0: this machine only scores")
    add("--scorers", type=int, default=1, metavar="N", help="processes that score; 0: this machine only answers")
    add("--team-space", type=float, default=50, metavar="GB", help="space of a team's files, in units of 1024^3 bytes")
    add("--score-memory", type=float, default=4, metavar="GB", help="memory of one scoring, in units of 1024^3 bytes")
    add("--score-seconds", type=float, default=1800, metavar="S", help="time of one scoring")
    what = "scorings in a cage of bubblewrap: auto where that works, always or not at all, never; docs/hosting.md"
    add("--cage", choices=CAGES, default=AUTO, help=what)
    add("--lease", type=float, default=15, metavar="S", help="a scoring process silent for so long counts as dead")
    arguments = parser.parse_args(argv)
    existing(arguments.challenge)
    check_least(arguments, {"port": 0, "web": 0, "scorers": 0})
    for name in ("team_space", "score_memory", "score_seconds", "lease"):
        if not 0 < getattr(arguments, name) < 1e9:
            raise UserError(f"--{name.replace('_', '-')} {getattr(arguments, name):g}: expected more than 0")
    if arguments.listen in EVERYWHERE and not arguments.url:
        raise UserError(f"--listen {arguments.listen}: say by --url how people reach it")
    if not arguments.web and not arguments.scorers:
        raise UserError("--web 0 and --scorers 0: there is nothing left to do")
    for name in NEEDS:
        if not available(name):
            raise missing(name, "host")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Host it until Ctrl-C."""
    arguments = parse_arguments(argv)
    load("lwface.hosting.server")
    from lwface.challenge.definition import read_challenge
    from lwface.challenge.scorers import check_reference
    from lwface.challenge.templates import check_trials
    from lwface.hosting.cage import choose_cage
    from lwface.hosting.server import listening_socket, prepare, serve

    challenge = read_challenge(arguments.challenge)
    for track in challenge.tracks:
        check_reference(track, challenge.reference(track))
    check_trials(challenge)
    listener = listening_socket(arguments.listen, arguments.port) if arguments.web else None
    port = listener.getsockname()[1] if listener else arguments.port
    site = site_asked_for(arguments, port)
    why = choose_cage(arguments.cage, site) if arguments.scorers else None
    site = dataclasses.replace(site, cage=bool(arguments.scorers) and why is None)
    link = prepare(site)
    print(f"{challenge.title}: {site.url}, data in {shown(site.data)}; Ctrl-C ends it", flush=True)
    if arguments.web and arguments.listen not in HERE and not site.url.startswith("https:"):
        print("note: passwords go over the net as they are: put a proxy that speaks https before it", file=sys.stderr)
    if site.cage:
        print("scorings run in bubblewrap: without a network, in a folder of their own", flush=True)
    elif arguments.scorers:
        print(f"note: scorings run without a cage: {why}", file=sys.stderr)
    if link:
        print(f"the first organiser comes by {link}", flush=True)
    serve(site, listener, arguments.web, arguments.scorers)
    print("ended", flush=True)


def site_asked_for(arguments: argparse.Namespace, port: int) -> Site:
    """The site that the flags describe."""
    listen = f"[{arguments.listen}]" if ":" in arguments.listen else arguments.listen
    data = (arguments.site_data or arguments.challenge / "hosted").resolve()
    return Site(
        challenge=str(arguments.challenge.resolve()),
        data=str(data),
        database=arguments.database or sqlite_url(data),
        url=(arguments.url or f"http://{listen}:{port}").rstrip("/"),
        team_bytes=int(arguments.team_space * GIB),
        memory_bytes=int(arguments.score_memory * GIB),
        seconds=arguments.score_seconds,
        lease_s=arguments.lease,
    )
