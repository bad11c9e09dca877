"""Align the faces of a folder to 112x112 crops, into a folder of the same structure.

Without --landmarks faces are looked for: by a detector, then 68 points by --points-model (not given: by the model that
comes with the package). What was found is the table OUTPUT.faces/faces.csv, one line a face with its box, points and
figures, and a line with the reason for each image without one. Look at it, correct it (points; 1 or 0 under use) and
give it back with --landmarks: the same points make the same crops.

A csv of landmarks is image,x0,y0,...,x4,y4 (the picture's left eye, its right eye, tip of the nose, the picture's left
mouth corner, its right one) or ...,x67,y67 (the usual 68), x before y, in pixels of the picture as shown (after the
turn that its EXIF asks for), with image the path below --input. Other orders: --landmark-order. A csv that does not fit
is refused; a face that does not is skipped and counted. Each crop is PATH.jpg, of the second face of a picture
PATH.face2.jpg; OUTPUT.contact_sheet.jpg shows up to 64. An interrupted run goes on where it stopped when the command is
given again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lwface.base.account import Account, print_summary
from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.commands.flags import (
    add_crop_flags,
    add_detector_flags,
    check_crop_flags,
    command_parser,
    detector_files,
    detector_modules,
    landmark_options,
)
from lwface.detection.choices import ALL, FACES, LARGEST, MIN_FACE, chosen_detector
from lwface.formats.image_walk import image_folder, walk_images


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="FOLDER", required=True, help="folder of images, with any folders in it")
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder for the crops, empty or new")
    add_crop_flags(parser, may_resize=False)
    group = parser.add_argument_group("without --landmarks")
    add_detector_flags(group)
    what = "of several faces in a picture: the largest and most central one (none where that is not clear), or all"
    group.add_argument("--faces", choices=FACES, help=f"{what} (default: {LARGEST})")
    what = f"smallest face that is used: the root of the area of the box around its points (default: {MIN_FACE:g})"
    group.add_argument("--min-face", type=float, metavar="PIXELS", help=what)
    arguments = parser.parse_args(argv)
    source = image_folder(arguments.input).resolve()
    check_crop_flags(arguments, finds_faces=True)
    if arguments.output.resolve().is_relative_to(source):
        what = "lies in --input: given again, the command would take its crops for photographs"
        raise UserError(f"--output {arguments.output}: {what}")
    if arguments.landmarks is not None:
        for name in ("detector", "detector_model", "points_model", "faces", "min_face"):
            if getattr(arguments, name) is not None:
                raise UserError(f"--{name.replace('_', '-')} is for faces that are looked for; --landmarks says where")
        return arguments
    arguments.detector = chosen_detector(arguments.detector, arguments.detector_model)
    arguments.faces = arguments.faces or LARGEST
    arguments.min_face = MIN_FACE if arguments.min_face is None else arguments.min_face
    if not arguments.min_face >= 0:
        raise UserError(f"--min-face {arguments.min_face:g}: expected 0 or more")
    existing(*detector_files(arguments))
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Find, where nothing says where, and align everything."""
    arguments = parse_arguments(argv)
    load(*(detector_modules(arguments) if arguments.landmarks is None else ["cv2"]))
    from lwface.making.contact_sheet import sheet_beside
    from lwface.making.crop_folder import show_images, write_images
    from lwface.making.face_crops import crop_recipe
    from lwface.making.landmark_reading import landmark_reading

    names, walked = walk_images(arguments.input)
    finds = arguments.landmarks is None
    if finds:
        arguments.landmarks = _find_faces(arguments, names, walked)
    reading = landmark_reading(arguments.landmark_order, arguments.landmark_pixels, arguments.max_residual)
    recipe = crop_recipe(arguments.input, names, arguments.landmarks, False, arguments.quality, reading, several=True)
    options = {"command": "align_faces", "quality": arguments.quality, **landmark_options(arguments)}
    job = fingerprint(options, [*(arguments.input / name for name in names), arguments.landmarks])
    journal = open_job(arguments.output, job)
    if journal is None:
        print(f"{arguments.output} is already complete")
    else:
        with journal:
            faces = recipe.faces(names)
            items = [(name, f"{name.rpartition('.')[0]}.jpg") for name in faces]
            write_images(arguments.output, items, recipe.attempt, journal, arguments.num_workers)
            show_images(arguments.output, items, journal, sheet_beside(arguments.output))
            journal.finish(options, walked)
    print_summary(read_manifest(arguments.output), f"aligned faces in {arguments.output}")
    print(f"look at {sheet_beside(arguments.output)}: every face upright, eyes level, mouth whole?")
    if finds:
        print(f"correct {arguments.landmarks} where it is wrong, and give it back with --landmarks")


def _find_faces(arguments: argparse.Namespace, names: Sequence[str], walked: Account) -> Path:
    """The table of the faces in the images ``names``, made or complete already."""
    from lwface.making.face_finding import TABLE, FaceSearch, folder_beside, write_table

    folder = folder_beside(arguments.output)
    kept = ("detector", "detector_model", "points_model", "faces", "min_face")
    options = {"command": "align_faces", **{name: getattr(arguments, name) for name in kept}}
    files = [*(arguments.input / name for name in names), *detector_files(arguments)]
    journal = open_job(folder, fingerprint(options, files))
    if journal is None:
        print(f"{folder / TABLE} is already complete")
        return folder / TABLE
    from lwface.detection.selection import ALWAYS, IF_NONE
    from lwface.landmarks.opening import face_finder

    with journal:
        closer = ALWAYS if arguments.faces == ALL else IF_NONE
        try:
            finder = face_finder(arguments.detector, arguments.detector_model, arguments.points_model, closer)
        except UserError:
            if not journal.done:
                journal.discard()  # nothing is lost, and another model may be tried in its place
            raise
        FaceSearch(arguments.input, finder, arguments.faces, arguments.min_face).through(
            names, journal, arguments.num_workers
        )
        write_table(folder / TABLE, journal, finder.count)
        journal.finish(options, walked)
    return folder / TABLE
