"""Unpack a record file into image files: OUTPUT/LABEL/KEY.jpg, the bytes as they are.

The names are made of numbers, so nothing in the file decides where it goes. An interrupted run goes on where it stopped
when the same command is given again. A damaged record stops the run; --skip-bad counts and leaves it out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import HelpFormatter
from lwface.base.journal import fingerprint, open_job, print_summary, read_manifest
from lwface.base.progress import progress
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import PNG_START, decode_rgb, image_damage
from lwface.formats.recordio import RecordError
from lwface.making.crop_folder import write_image


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="record file, or the folder with train.rec")
    parser.add_argument("--output", type=Path, required=True, help="folder for the images, empty or new")
    parser.add_argument("--skip-bad", action="store_true", help="leave damaged records out instead of stopping")
    return parser.parse_args()


def unpack_image(records: FaceRecords, index: int) -> tuple[str, bytes]:
    """``(LABEL/KEY.ending, encoded image)`` of the image at ``index``; :class:`RecordError` when it is damaged."""
    key = int(records.keys[index])
    label, data = records.read(index)
    if decode_rgb(data) is None:
        reason = image_damage(data) or "its image cannot be decoded"
        raise records.reader.error(key, reason)
    return f"{label:06d}/{key:08d}{'.png' if data.startswith(PNG_START) else '.jpg'}", data


def main() -> None:
    """Unpack everything."""
    arguments = parse_arguments()
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
