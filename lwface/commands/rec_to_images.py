"""Unpack a record file into image files: OUTPUT/LABEL/KEY.jpg, the bytes as they are.

The names are made of numbers, so nothing in the file decides where it goes. An interrupted run goes on where it stopped
when the same command is given again. A damaged record stops the run; --skip-bad counts and leaves it out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.account import print_summary
from lwface.base.commands import load
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.commands.flags import add_records_flag, command_parser
from lwface.formats.record_files import RecordError, record_file


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add_records_flag(parser)
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder for the images, empty or new")
    add("--skip-bad", action="store_true", help="leave damaged records out instead of stopping")
    arguments = parser.parse_args(argv)
    record_file(arguments.input)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Unpack everything."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.base.progress import progress
    from lwface.formats.face_records import FaceRecords
    from lwface.making.crop_folder import write_image
    from lwface.making.unpacking import unpack_image

    records = FaceRecords(arguments.input)
    options = {"command": "rec_to_images", "skip_bad": arguments.skip_bad}
    journal = open_job(arguments.output, fingerprint(options, [records.path, records.reader.idx_path]))
    if journal is None:
        print(f"{arguments.output} is already complete")
    else:
        with journal:
            rest = range(journal.done, len(records))
            for index in progress(rest, total=len(records), initial=journal.done, label="images", unit="image"):
                name = str(records.keys[index])
                try:
                    target, data = unpack_image(records, index)
                except RecordError as error:
                    if not arguments.skip_bad:
                        raise
                    journal.add(False, name, str(error).split(": ", 2)[-1])
                    continue
                write_image(arguments.output, target, data)
                journal.add(True, name, target)
            journal.finish(options)
    print_summary(read_manifest(arguments.output), f"images in {arguments.output}")
