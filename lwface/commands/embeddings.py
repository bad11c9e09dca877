"""Embeddings of sequences to look at: for TensorBoard's projector, with pictures, and as a page.

    python sequences/embeddings.py --signatures data/signatures.pkl --input data/images.tar --output runs
    python sequences/embeddings.py --model models/parts_s-people/model,1 --input data/images.tar --pose data/pose.pkl \
        --output runs
    tensorboard --logdir runs

--signatures shows what the naive solution goes by, --model what a network of sequences/train.py makes of it; look at
both. --output gets tensors.tsv, metadata.tsv, sprite.png and projector_config.pbtxt, which TensorBoard reads, and
report.html, which any browser shows without a server.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import add_device_flag, add_model_flag, command_parser
from lwface.models.names import model_file

if TYPE_CHECKING:
    from lwface.sequences.gallery import Pictured

UNITS = ("sequence", "video", "frame")
LAYOUTS = ("tsne", "pca")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="PATH", required=True, help="frames: the challenge's tar, or a folder")
    add("--signatures", type=Path, metavar="FILE", help="signatures.pkl of the frames")
    add_model_flag(parser, required=False)
    add("--pose", type=Path, metavar="FILE", help="pose.pkl of the frames, for --model")
    add("--unit", choices=UNITS, help="what is one point; sequence if not given, and with --model not frame")
    add("--people", type=int, metavar="N", help="the first so many people; not given: all")
    add("--layout", choices=LAYOUTS, default=LAYOUTS[0], help="of report.html; the projector makes its own")
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder to write into")
    add_device_flag(parser)
    arguments = parser.parse_args(argv)
    if (arguments.signatures is None) == (arguments.model is None):
        raise UserError("give --signatures FILE, or --model MODEL")
    if arguments.pose is not None and arguments.model is None:
        raise UserError("--pose goes with --model")
    if arguments.model is not None and arguments.unit == "frame":
        raise UserError("--unit frame: a model of sequences tells sequences; leave it out, or take video")
    if arguments.people is not None and arguments.people < 1:
        raise UserError(f"--people {arguments.people}: expected 1 or more")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise UserError(f"--output {arguments.output}: is a file; give the name of a folder")
    existing(arguments.input, arguments.signatures, arguments.pose)
    if arguments.model:
        existing(model_file(arguments.model))
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Write the folder."""
    arguments = parse_arguments(argv)
    load(*(["torch"] if arguments.model else []), "cv2")
    from lwface.base.files import shown
    from lwface.formats.projector import write_projector
    from lwface.sequences.atlas import Dots, write_atlas
    from lwface.sequences.layout import lay_out

    found = _pictured(arguments)
    columns = {"person": [name.rpartition("/")[2] for name in found.people], "name": found.names}
    dots = Dots(lay_out(found.rows, arguments.layout), found.names, found.people, found.pictures)
    write_projector(arguments.output, found.rows, columns, found.pictures, name="sequences")
    made = f"{arguments.model or arguments.signatures.name} on {arguments.input.name}"
    page = write_atlas(arguments.output, dots, subject=made, layout=arguments.layout)
    print(f"{page}: {len(found.names)} points of {found.rows.shape[1]} numbers")
    print(f"in the projector: tensorboard --logdir {shown(arguments.output)}")


def _pictured(arguments: argparse.Namespace) -> Pictured:
    from lwface.sequences.gallery import of_model, of_signatures

    unit = arguments.unit or UNITS[0]
    if arguments.signatures is not None:
        return of_signatures(arguments.signatures, arguments.input, unit, arguments.people)
    options = {"unit": unit, "people": arguments.people, "device": arguments.device}
    return of_model(arguments.model, arguments.input, arguments.pose, **options)
