"""Look inside a verification pack (lfw.bin): pairs, folds, formats, sizes, damage, images and pairs that repeat.

Nothing in the pack is run: its pickle is only looked into. Packs of Python 2 and 3 are read, with images as bytes, text
or uint8 arrays. With --unpack the images are written too, with pairs.txt (for build_pack.py --pairs), filelist.txt
(for gen_image_feature.py, one line an image of each pair) and issame.txt (for eval/verification.py --issame). An
interrupted --unpack goes on where it stopped when the same command is given again. Exit status 1: an image is damaged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.account import print_summary
from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.commands.flags import PRINT, add_json_flag, add_num_workers_flag, command_parser

EXIT_DAMAGED = 1


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="FILE", required=True, help="the verification pack, such as lfw.bin")
    add("--unpack", type=Path, metavar="DIR", help="write images and lists into this folder, empty or new")
    add("--skip-bad", action="store_true", help="of --unpack: leave out pairs with a damaged image instead of stopping")
    add_json_flag(parser)
    add_num_workers_flag(parser)
    arguments = parser.parse_args(argv)
    if arguments.skip_bad and arguments.unpack is None:
        raise UserError("--skip-bad is about --unpack DIR: give it")
    existing(arguments.input)
    if arguments.input.is_dir():
        raise UserError(f"--input {arguments.input}: is a folder; give a pack in it, such as lfw.bin")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Describe, and unpack where asked."""
    arguments = parse_arguments(argv)
    load("cv2")
    import json

    from lwface.base.files import write_json
    from lwface.formats.verification_pack import read_pack
    from lwface.making.pack_inspection import inspect_pack

    pack = read_pack(arguments.input)
    report = inspect_pack(pack, arguments.num_workers)
    if arguments.json == PRINT:
        print(json.dumps(report.as_json(), indent=2))
    else:
        if arguments.json:
            write_json(arguments.json, report.as_json())
        print("\n".join(report.lines(str(arguments.input))))
    if arguments.unpack is not None:
        _unpack(arguments)
    return EXIT_DAMAGED if report.damaged else 0


def _unpack(arguments: argparse.Namespace) -> None:
    """Write the files."""
    from lwface.formats.verification_pack import read_pack
    from lwface.making.pack_unpacking import PRODUCTS, unpack_pack

    options = {"command": "pack_info", "skip_bad": arguments.skip_bad}
    journal = open_job(arguments.unpack, fingerprint(options, [arguments.input]), PRODUCTS)
    if journal is None:
        print(f"{arguments.unpack} is already complete")
    else:
        with journal:
            unpack_pack(read_pack(arguments.input), arguments.unpack, journal, skip_bad=arguments.skip_bad)
            journal.finish(options)
    print_summary(read_manifest(arguments.unpack), f"pairs in {arguments.unpack}")
