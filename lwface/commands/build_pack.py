"""Make a verification pack (.bin) of pairs of faces from a folder of people (INPUT/PERSON/**/IMAGE).

The pairs come from a file, or are drawn: half of the same person, half not, in ten folds (or --folds) of different
people. A pair of one person is never drawn inside one clip (--clips). Images must be 112x112 already, or be aligned by
--landmarks, or be resized where --resize says so. With --landmarks, a contact sheet beside the pack shows up to 64
crops. The pack appears when it is complete; an interrupted run starts again and ends with the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.account import print_summary
from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.notes import note
from lwface.commands.flags import (
    add_crop_flags,
    add_flag,
    add_people_flag,
    check_crop_flags,
    command_parser,
)
from lwface.formats.image_walk import image_folder
from lwface.making.clips import AUTO, RULES, pairs_inside, rule_or_table, with_clips
from lwface.making.image_folder import walk_people
from lwface.making.pair_list import FEWEST_FOLDS, FOLDS, check_count, draw_pairs, read_pairs


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add_people_flag(parser)
    what = "the pack to write, such as heldout.bin"
    parser.add_argument("--output", type=Path, metavar="FILE", required=True, help=what)
    source = parser.add_mutually_exclusive_group(required=True)
    pairs = "file of pairs: IMAGE IMAGE 0|1 a line, or LFW's pairs.txt"
    source.add_argument("--pairs", type=Path, metavar="FILE", help=pairs)
    count = "draw this many pairs, a multiple of twice the number of folds"
    add_flag(source, "--pack-pairs", "--count", type=int, metavar="N", help=count)
    add = parser.add_argument
    folds = (
        f"folds of a drawn pack, from {FEWEST_FOLDS} to {FOLDS}: each has people of its own, two at least. A pack of "
        f"fewer than {FOLDS} is known by the order of its pairs, and is evaluated in as many"
    )
    add("--folds", type=int, default=FOLDS, metavar="N", help=folds)
    clips = (
        "what is one clip, inside which no pair of one person is drawn. folder: each folder below PERSON/; name: "
        "images whose names differ in the number at the end; none; a csv image,clip. auto: folder where people have "
        "several of them, which is said, else none"
    )
    add("--clips", default=AUTO, metavar="|".join([*RULES, "FILE"]), help=clips)
    add("--seed", type=int, default=0, metavar="N", help="of the drawing")
    add_crop_flags(parser)
    arguments = parser.parse_args(argv)
    if arguments.output.exists():
        raise UserError(f"{arguments.output}: already there; delete it, or choose another --output")
    image_folder(arguments.input)
    existing(arguments.pairs)
    check_crop_flags(arguments)
    arguments.clips = rule_or_table(arguments.clips)
    if arguments.pairs is None:
        check_count(arguments.pack_pairs, arguments.folds)
    elif (arguments.folds, arguments.clips) != (FOLDS, AUTO):
        raise UserError("--folds and --clips are for pairs that are drawn (--pack-pairs), not for those of --pairs")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Build the pack."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.making.contact_sheet import sheet_beside
    from lwface.making.face_crops import crop_recipe
    from lwface.making.landmark_reading import landmark_reading
    from lwface.making.pack_building import build_pack
    from lwface.making.whole_frames import squashed_frames

    samples, walked = walk_people(arguments.input)
    if arguments.pairs is None:
        samples, doubt = with_clips(samples, arguments.clips)
        if doubt:
            note(doubt)
    names = [sample.name for sample in samples]
    reading = landmark_reading(arguments.landmark_order, arguments.landmark_pixels, arguments.max_residual)
    recipe = crop_recipe(arguments.input, names, arguments.landmarks, arguments.resize, arguments.quality, reading)
    if arguments.resize and not arguments.aligned and (doubt := squashed_frames(arguments.input, names)):
        note(doubt)
    sheet = sheet_beside(arguments.output) if arguments.landmarks else None
    done = build_pack(
        arguments.output,
        samples,
        recipe,
        lambda usable: (
            read_pairs(arguments.pairs, [sample.name for sample in usable])
            if arguments.pairs
            else draw_pairs(usable, arguments.pack_pairs, arguments.seed, arguments.folds)
        ),
        arguments.num_workers,
        sheet,
    )
    done.account.leave_out(walked)
    what = f"pairs of {done.account.taken} images in {arguments.output}"
    print_summary({**done.account.as_json(), "taken": len(done.pairs)}, what)
    if inside := pairs_inside(samples, [pair[:2] for pair in done.pairs if pair.same]):
        genuine = sum(pair.same for pair in done.pairs)
        note(f"{inside} of the {genuine} pairs of one person lie inside one folder, which may be a clip")
    if sheet:
        print(f"look at {sheet}: every face upright, eyes level, mouth whole?")
