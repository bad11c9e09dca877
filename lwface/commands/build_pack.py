"""Make a verification pack (.bin) of pairs of faces from a folder of people (INPUT/PERSON/**/IMAGE).

The pairs come from a file, or are drawn: half of the same person, half not, in ten folds of different people. Images
must be 112x112 already, or be aligned by --landmarks, or be resized where --resize says so. With --landmarks, a contact
sheet beside the pack shows up to 64 crops. The pack appears when it is complete; an interrupted run starts again and
ends with the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.journal import print_summary
from lwface.commands.flags import (
    add_crop_flags,
    add_flag,
    add_people_flag,
    check_crop_flags,
    command_parser,
)
from lwface.making.image_folder import image_folder, person_samples
from lwface.making.pair_list import check_count, draw_pairs, read_pairs


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add_people_flag(parser)
    what = "the pack to write, such as heldout.bin"
    parser.add_argument("--output", type=Path, metavar="FILE", required=True, help=what)
    source = parser.add_mutually_exclusive_group(required=True)
    pairs = "file of pairs: IMAGE IMAGE 0|1 a line, or LFW's pairs.txt"
    source.add_argument("--pairs", type=Path, metavar="FILE", help=pairs)
    count = "draw this many pairs, a multiple of 20"
    add_flag(source, "--pack-pairs", "--count", type=int, metavar="N", help=count)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the drawing")
    add_crop_flags(parser)
    arguments = parser.parse_args(argv)
    if arguments.output.exists():
        raise UserError(f"{arguments.output}: already there; delete it, or choose another --output")
    image_folder(arguments.input)
    existing(arguments.pairs)
    check_crop_flags(arguments)
    if arguments.pairs is None:
        check_count(arguments.pack_pairs)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Build the pack."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.making.contact_sheet import sheet_beside
    from lwface.making.face_crops import crop_recipe
    from lwface.making.landmark_reading import landmark_reading
    from lwface.making.pack_building import build_pack

    samples = person_samples(arguments.input)
    names = [sample.name for sample in samples]
    reading = landmark_reading(arguments.landmark_order, arguments.landmark_pixels, arguments.max_residual)
    recipe = crop_recipe(arguments.input, names, arguments.landmarks, arguments.resize, arguments.quality, reading)
    sheet = sheet_beside(arguments.output) if arguments.landmarks else None
    done = build_pack(
        arguments.output,
        samples,
        recipe,
        lambda usable: (
            read_pairs(arguments.pairs, [sample.name for sample in usable])
            if arguments.pairs
            else draw_pairs(usable, arguments.pack_pairs, arguments.seed)
        ),
        arguments.num_workers,
        sheet,
    )
    print_summary(done, f"pairs of {done['images']} images in {arguments.output}")
    if sheet:
        print(f"look at {sheet}: every face upright, eyes level, mouth whole?")
