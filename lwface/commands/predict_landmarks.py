"""Write the 68 points of every picture of a folder as solution.txt, and as the zip that is handed in.

    python landmarks/predict.py --model models/r12_p-integral-data/model,1 --input test --output solution.txt --zip

Faces are found by ``--boxes``, or each picture is of one face and the model was trained with ``--view both`` (it is
shown the whole picture, and after that the box of what it found) or ``--view image``. Points are in pixels of the
picture as shown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import add_backend_flag, add_model_flag, check_is_no_folder, command_parser
from lwface.models.names import model_file


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add_model_flag(parser)
    add("--input", metavar="DIR", type=Path, required=True, help="folder of pictures")
    add(
        "--output", metavar="FILE", type=Path, required=True, help="solution.txt to write: a name and 136 numbers a row"
    )
    add("--zip", action="store_true", help="write a zip beside it that holds solution.txt without a folder")
    boxes = parser.add_mutually_exclusive_group()
    what = "csv of image,left,top,right,bottom: the faces' boxes, tight around the points; align_faces.py writes one"
    boxes.add_argument("--boxes", metavar="FILE", type=Path, help=what)
    what = "annot.pkl, folder or csv of true points, whose boxes are taken: where the detector is not to be judged"
    boxes.add_argument("--truth-boxes", metavar="PATH", type=Path, help=what)
    add("--draw", metavar="DIR", type=Path, help="write each picture with its points into this folder")
    add("--mirror", action="store_true", help="average with the points of the mirrored picture: twice the time")
    add_backend_flag(parser)
    arguments = parser.parse_args(argv)
    model_file(arguments.model)
    existing(arguments.boxes, arguments.truth_boxes)
    if not arguments.input.is_dir():
        raise UserError(f"--input {arguments.input}: no such folder")
    check_is_no_folder("--output", arguments.output, "the solution file, such as solution.txt")
    if arguments.output.suffix.lower() == ".zip":
        raise UserError(f"--output {arguments.output}: is text; give solution.txt, and --zip for the zip beside it")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Find the points and write them."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.landmarks.prediction import predict_folder

    predict_folder(
        arguments.model,
        arguments.input,
        arguments.output,
        zipped=arguments.zip,
        boxes=arguments.boxes,
        truth=arguments.truth_boxes,
        draw=arguments.draw,
        mirror=arguments.mirror,
        backend=arguments.backend,
    )
