"""Hand a submission in to a hosted challenge, from where it broke off before, and wait for its figures.

    export LWFACE_KEY=...   # made on the page of your team
    python challenge/submit.py solution.txt --challenge http://127.0.0.1:8000 --track landmarks

The file goes in pieces, each compared by its digest. Interrupted? The same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from lwface.base.commands import EXIT_OK, existing, load
from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.commands.flags import PRINT, add_json_flag, check_is_no_folder, command_parser

KEY = "LWFACE_KEY"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the submission")
    add("--with-model", type=Path, metavar="FILE", help="the model it was made with, where the track asks for it")
    add("--challenge", metavar="URL", required=True, help="address of the challenge")
    add("--track", required=True, metavar="NAME", help="the track, as the challenge's address bar has it")
    add("--note", default="", metavar="TEXT", help="note to yourselves")
    add("--no-wait", action="store_true", help="leave when it is handed in, before it is scored")
    add_json_flag(parser)
    arguments = parser.parse_args(argv)
    existing(arguments.file, arguments.with_model)
    for path in filter(None, (arguments.file, arguments.with_model)):
        check_is_no_folder("FILE", path, "the file to hand in")
    if arguments.json and arguments.json != PRINT:
        check_is_no_folder("--json", arguments.json, "the file with the figures")
    if not os.environ.get(KEY):
        raise UserError(f"{KEY} is not set: make a key on the page of your team, then: export {KEY}=...")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Hand in, wait, print; the exit status."""
    arguments = parse_arguments(argv)
    load("tqdm")
    from lwface.hosting.client import ChallengeClient, state_file

    client = ChallengeClient(arguments.challenge, os.environ[KEY], state_file())
    files = {"submission": arguments.file} | ({"model": arguments.with_model} if arguments.with_model else {})
    number = client.hand_in(arguments.track, files, arguments.note, _progress)
    print(f"\r{'':50}\rsubmission {number}: {client.url}/submissions/{number}", file=sys.stderr)
    if arguments.no_wait:
        client.forget(number)
        return EXIT_OK
    told = client.wait(number, _progress)
    client.forget(number)
    print(f"\r{'':50}\r", end="", file=sys.stderr)
    return report(told, arguments.json)


def report(told: dict[str, Any], json_file: str | None) -> int:
    """Print what has become of it; the exit status, which is 0 where it is scored."""
    if json_file and json_file != PRINT:
        write_json(json_file, told)
    if json_file == PRINT:
        print(json.dumps(told, indent=2))
    if told["state"] != "scored":
        raise UserError(f"submission {told['id']} is {told['state']}: {told['line'] or 'no reason was told'}")
    for half, figures in told["figures"].items() if json_file != PRINT else ():
        print("\n".join(f"{half:8} {name:10} {value:.6g}" for name, value in figures.items()))
    return EXIT_OK


def _progress(share: float, doing: str) -> None:
    print(f"\r{100 * share:5.1f} % {doing:30}", end="", file=sys.stderr, flush=True)
