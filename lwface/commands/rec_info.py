"""Show what is inside a record file: layout, images, classes, sizes and the first records; --check reads everything.

A verification pack (FILE.bin) is shown as pack_info.py shows it. The exit status is 1 when --check finds damage. It
also counts the images that an EXIF orientation turns: other readers, such as MXNet's, do not turn them.
"""

from __future__ import annotations

import argparse

from lwface.base.commands import load
from lwface.commands.flags import add_num_workers_flag, add_records_flag, check_least, command_parser
from lwface.formats.record_files import record_file


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add_records_flag(parser)
    add("--records", type=int, default=5, metavar="N", help="how many of the first records to show")
    add("--check", action="store_true", help="read and decode every image, check every label and size")
    add_num_workers_flag(parser)
    arguments = parser.parse_args(argv)
    check_least(arguments, {"records": 0})
    record_file(arguments.input)  # or a pack: it is a file too
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Describe, and check where asked."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.formats.face_records import FaceRecords
    from lwface.formats.verification_pack import read_pack
    from lwface.making.pack_inspection import inspect_pack
    from lwface.making.record_inspection import (
        check,
        describe,
        describe_labels,
        problem_of,
    )

    if arguments.input.suffix == ".bin":
        report = inspect_pack(read_pack(arguments.input), arguments.num_workers)
        print("\n".join(report.lines(str(arguments.input))))
        return 1 if report.damaged else 0
    records = FaceRecords(arguments.input)
    if records.has_property:
        _ = records.num_classes  # one line where that file is wrong, not one for each image
    if arguments.check:
        status = check(len(records), lambda index: problem_of(records, index), arguments.num_workers)
        if status:
            return status
    describe(records, arguments.records)
    describe_labels(records)
    return 0
