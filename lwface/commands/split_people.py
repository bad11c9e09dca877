"""Split a folder of people into OUTPUT/train and OUTPUT/verify: people to train on, and others to verify on.

Both are folders of people for every command: of links to the people's folders, or of copies with --copy. Who is on
which side is drawn by --seed, and is in OUTPUT/manifest.json, with the account of the files as "images". People of one
group (--groups), such as relatives or one recording session, are on one side. An interrupted run goes on when the same
command is given again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.account import skipped_lines
from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.base.notes import note
from lwface.commands.flags import add_people_flag, command_parser
from lwface.formats.image_walk import image_folder
from lwface.making.image_folder import walk_people
from lwface.making.people_split import SHARE, SIDES, VERIFY, people_of, split_people, write_split


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add_people_flag(parser)
    add = parser.add_argument
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder for train/ and verify/, empty or new")
    people = f"people to verify on, at most; not given: one in {SHARE}"
    add("--verify-people", type=int, metavar="N", help=people)
    groups = (
        "who stays together: a csv person,group; or a number N, where the N folders above a person's are the group, as "
        "1 for INPUT/FAMILY/PERSON/**/IMAGE, written as FAMILY_PERSON"
    )
    add("--groups", metavar="FILE|N", help=groups)
    add("--seed", type=int, default=0, metavar="N", help="of the drawing")
    add("--copy", action="store_true", help="copy the images instead of linking their folders")
    arguments = parser.parse_args(argv)
    source = image_folder(arguments.input).resolve()
    output = arguments.output.resolve()
    if output.is_relative_to(source) or source.is_relative_to(output):
        raise UserError(f"--output {arguments.output}: one folder must not lie in the other, {arguments.input}")
    if arguments.groups is not None and arguments.groups.isdecimal() and int(arguments.groups) < 1:
        raise UserError(
            f"--groups {arguments.groups}: expected 1 folder above a person's or more, or a csv person,group"
        )
    if arguments.groups is not None and not arguments.groups.isdecimal():
        existing(arguments.groups)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Draw, and write the two folders."""
    arguments = parse_arguments(argv)
    load()
    samples, walked = walk_people(arguments.input)
    people = people_of(arguments.input, samples, arguments.groups)
    split = split_people(people, arguments.verify_people, arguments.seed)
    options = {
        "command": "split_people",
        "verify_people": arguments.verify_people,
        "groups": arguments.groups,
        "seed": arguments.seed,
        "copy": arguments.copy,
    }
    table = [] if arguments.groups is None or arguments.groups.isdecimal() else [arguments.groups]
    job = fingerprint(options, [*(arguments.input / sample.name for sample in samples), *table])
    journal = open_job(arguments.output, job)
    if journal is None:
        print(f"{arguments.output} is already complete")
    else:
        with journal:
            write_split(arguments.input, arguments.output, split, journal, copy=arguments.copy)
            of_side = {side: [person.name for person in who] for side, who in zip(SIDES, split, strict=True)}
            journal.finish({**options, **of_side, "images": walked.as_json()})
    for side, who in zip(SIDES, split, strict=True):
        images = sum(len(person.images) for person in who)
        print(f"{len(who)} people, {images} images: {arguments.output / side}")
    for line in skipped_lines(read_manifest(arguments.output)["images"]):
        print(line)
    if single := [person.name for person in split.verify if len(person.images) == 1]:
        names = ", ".join(single[:3]) + (", ..." if len(single) > 3 else "")
        note(f"{len(single)} of the people in {VERIFY}/ have one image, so no pair of one person ({names})")
