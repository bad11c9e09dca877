"""Propose which labels of a set of faces are wrong: a list to read, to shorten and to train with, and contact sheets.

From the features of a folder of people or of a record file (--features, or made by --model): mislabelled images, images
that are there twice, second persons in one folder, and one person in two folders. Nothing is changed or deleted. Delete
the lines of the list that are wrong, and give it to recognition/train.py --leave-out. The rules, and what they find:
docs/cleaning.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.files import shown
from lwface.base.notes import note
from lwface.commands.flags import (
    add_backend_flag,
    add_batch_size_flag,
    add_device_flag,
    add_label_flags,
    add_layer_flag,
    add_model_flag,
    add_num_workers_flag,
    check_is_no_folder,
    check_label_flags,
    check_least,
    command_parser,
)
from lwface.formats.image_walk import image_folder
from lwface.formats.record_files import record_file
from lwface.models.names import model_file
from lwface.settings.places import typed

if TYPE_CHECKING:
    import numpy as np

    from lwface.features.writing import Listing, RecordListing
    from lwface.formats.cleaning_list import CleaningLine
    from lwface.formats.face_records import FaceRecords
    from lwface.scoring.cleaning import Proposal

MUCH = 0.1  # of the images
SCORES = ("duplicate", "stranger", "home", "same")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    what = (
        "folder of people, INPUT/PERSON/**/IMAGE (or one with filelist.txt), or record file, or folder with train.rec"
    )
    add("--input", type=Path, metavar="PATH", required=True, help=what)
    what = "list to write, such as clean.csv; contact sheets are put beside it, and with --model the features"
    add("--output", type=Path, metavar="FILE", required=True, help=what)
    what = "csv, or text file of labels, in the order of the rows, in place of folders and records"
    add("--labels", metavar="FILE", help=what)
    add_label_flags(parser)
    add("--features", type=Path, metavar="FILE", help="feature file of the input, by gen_image_feature.py")
    group = parser.add_argument_group("without --features")
    add_model_flag(group, required=False)
    add_layer_flag(group)
    add_batch_size_flag(group)
    add_device_flag(group)
    add_backend_flag(group)
    add_num_workers_flag(group, default=2)
    group.add_argument("--resume", action="store_true", help="go on with features of an interrupted run")
    group = parser.add_argument_group("thresholds, cosines; not given: from the scores of strangers, but for the first")
    for name, meaning in zip(
        SCORES,
        (
            "two images of at least this are one photograph (not given: 0.97)",
            "an image or a group whose best score with the rest of its label is at most this is somebody else",
            "somebody else with an image of another person of at least this is that person",
            "people whose mean features score at least this are one",
        ),
        strict=True,
    ):
        group.add_argument(f"--{name}-score", type=float, metavar="COSINE", help=meaning)
    arguments = parser.parse_args(argv)
    check_label_flags(parser, arguments)
    check_least(arguments, {"batch_size": 1})
    check_is_no_folder("--output", arguments.output, "the list")
    if (arguments.features is None) == (arguments.model is None):
        raise UserError("give --features FILE of the input, or --model MODEL that makes them, one of both")
    for name in SCORES:
        value = getattr(arguments, f"{name}_score")
        if value is not None and not -1 <= value <= 1:
            raise UserError(f"--{name}-score {value:g}: expected a cosine, from -1 to 1")
    arguments.records = _is_records(arguments.input)
    if arguments.records:
        record_file(arguments.input)
    else:
        image_folder(arguments.input)
    existing(arguments.features, arguments.labels)
    if arguments.model is not None:
        model_file(arguments.model)
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Propose, and write the list and the sheets."""
    arguments = parse_arguments(argv)
    load("cv2", *(["torch"] if arguments.model else []))
    from lwface.formats.cleaning_list import write_cleaning
    from lwface.formats.feature_file import read_features, validate
    from lwface.scoring.cleaning import DUPLICATE, CleaningRules, propose

    path = arguments.features or _make_features(arguments)
    rows = validate(path).rows
    images = _open_records(arguments, rows) if arguments.records else _open_folder(arguments, rows)
    fixed = {name: getattr(arguments, f"{name}_score") for name in SCORES}
    fixed["duplicate"] = DUPLICATE if fixed["duplicate"] is None else fixed["duplicate"]
    found = propose(read_features(path), images.labels, CleaningRules(**fixed))
    write_cleaning(arguments.output, (_line(proposal, images) for proposal in found.proposals), keys=arguments.records)
    for text in found.told:
        print(text)
    counts = Counter(proposal.kind for proposal in found.proposals)
    print(f"{len(found.proposals)} proposals for {rows} images, in {arguments.output}")
    for kind, count in counts.items():
        sheet = arguments.output.with_suffix(f".{kind.replace(' ', '_')}.jpg")
        _write_sheet(sheet, [proposal for proposal in found.proposals if proposal.kind == kind], images)
        print(f"  {count} {kind}: {sheet}, each beside the image that tells")
    out = len({proposal.row for proposal in found.proposals if proposal.kind in _left_out_kinds()})
    if out > MUCH * rows:
        note(
            f"{out} of {rows} images are proposed to be left out, which is much: look at the sheets whether the model "
            "knows such faces and the features are those of the input"
        )
    if found.proposals:
        train = typed("train", "recognition/train.py")
        print(f"delete the lines that are wrong, then: {train} ... --leave-out {shown(arguments.output)}")


class _Images(NamedTuple):
    """Who is on each row, what it is called, and how it looks."""

    labels: np.ndarray
    person: Callable[[int], str]
    name: Callable[[int], str]
    pixels: Callable[[int], np.ndarray | None]


def _is_records(path: Path) -> bool:
    return path.suffix.lower() in (".rec", ".idx") or (path / "train.rec").is_file()


def _open_records(arguments: argparse.Namespace, rows: int) -> _Images:
    from lwface.formats.face_records import FaceRecords

    records = FaceRecords(arguments.input)
    if len(records) != rows:
        raise UserError(
            f"{records.path}: {len(records)} images for {rows} feature rows; give the features of this file"
        )
    labels, person = _labels(arguments, rows) if arguments.labels else (records.labels(), str)
    return _Images(labels, person, lambda row: str(records.keys[row]), lambda row: _record_pixels(records, row))


def _open_folder(arguments: argparse.Namespace, rows: int) -> _Images:
    from lwface.formats.image import decode_rgb
    from lwface.reporting.row_images import RowImages

    images = RowImages(arguments.input, rows)
    labels, person = _labels(arguments, rows)
    return _Images(labels, person, images.name, lambda row: decode_rgb(images.jpeg(row)))


def _labels(arguments: argparse.Namespace, rows: int) -> tuple[np.ndarray, Callable[[int], str]]:
    from lwface.formats.person_labels import read_people

    source = arguments.labels or arguments.input
    people = read_people(source, rows, column=arguments.label_column, depth=arguments.label_folders)
    names = people.names
    return people.labels, str if names is None else lambda label: str(label) if label < 0 else names[label]


def _record_pixels(records: FaceRecords, row: int) -> np.ndarray | None:
    from lwface.formats.image import decode_rgb

    return decode_rgb(records.read(row)[1])


def _line(proposal: Proposal, images: _Images) -> CleaningLine:
    from lwface.formats.cleaning_list import LEAVE_OUT, SAME_PERSON, CleaningLine
    from lwface.scoring.cleaning import SAME

    return CleaningLine(
        images.name(proposal.row),
        images.person(proposal.person),
        SAME_PERSON if proposal.kind == SAME else LEAVE_OUT,
        images.person(proposal.other) if proposal.other >= 0 else "",
        proposal.kind,
        proposal.score,
        images.name(proposal.neighbour) if proposal.neighbour >= 0 else "",
    )


def _left_out_kinds() -> set[str]:
    from lwface.scoring.cleaning import DUPLICATES, MISLABELLED, SECOND, UNLIKE

    return {DUPLICATES, MISLABELLED, SECOND, UNLIKE}


def _write_sheet(path: Path, proposals: Sequence[Proposal], images: _Images) -> None:
    """Up to 64 of the proposals, evenly spread, each image and the one beside it."""
    from lwface.making.contact_sheet import spread, write_sheet

    crops = []
    for proposal in (proposals[place] for place in spread(len(proposals))):
        for row in (proposal.row, proposal.neighbour):
            name = images.name(row) if row >= 0 else ""
            crops.append((name if "." in name else f"{name}.", _crop(images, row)))
    write_sheet(path, crops)


def _crop(images: _Images, row: int) -> np.ndarray | None:
    import cv2

    from lwface.formats.alignment import CROP_SIZE

    if row < 0:
        return None
    pixels = images.pixels(row)
    if pixels is None or pixels.shape[:2] == (CROP_SIZE, CROP_SIZE):
        return pixels
    resized: np.ndarray = cv2.resize(pixels, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
    return resized


def _make_features(arguments: argparse.Namespace) -> Path:
    """The features of the input by the model, beside the list."""
    from lwface.base.device import select_device
    from lwface.features.embedder import Embedder
    from lwface.features.writing import RecordListing, Work, look_through, write_features
    from lwface.formats.alignment import CROP_SIZE
    from lwface.formats.face_records import FaceRecords
    from lwface.models.store import load_model, model_sha256

    output: Path = arguments.output.with_suffix(".features.bin")
    network, config = load_model(arguments.model, layer=arguments.layer)
    height, width = config.get("image_shape", (CROP_SIZE, CROP_SIZE))[:2]
    embedder = Embedder(network, device=select_device(arguments.device), batch_size=arguments.batch_size)
    embedder.require_own_features()
    listing: Listing | RecordListing
    if arguments.records:
        listing = RecordListing(FaceRecords(arguments.input))
    else:
        listing = look_through(arguments.input, videos=False)
    embedder.use_backend(arguments.backend, images=2 * listing.images, image_size=(height, width))
    write_features(
        listing,
        output,
        embedder,
        Work(True, height, width, arguments.num_workers),
        model_sha256=model_sha256(network, config, arguments.layer),
        resume=arguments.resume,
    )
    print(f"{output}: {len(listing)} rows, for another time as --features")
    return output
