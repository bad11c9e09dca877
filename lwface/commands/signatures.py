"""Write signatures of the faceless challenge's frames with any network, in the format of its signatures.pkl.

    python sequences/signatures.py --input data/images.tar --model mobilenetv2.onnx --pixels imagenet --every 5 \\
        --output signatures.pkl

--input is the tar, read without unpacking it, or a folder. --model is a face network (PREFIX,EPOCH and the like), or an
ONNX model of any kind: frames are resized to what it takes, and where it does not say how pixels are prepared, --pixels
does. The challenge's own reader takes the file, under Python 2 and 3.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from lwface.base.account import skipped_lines
from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import (
    add_batch_size_flag,
    add_device_flag,
    add_layer_flag,
    add_model_flag,
    check_is_no_folder,
    check_least,
    command_parser,
)
from lwface.models.names import is_onnx, model_file


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="PATH", required=True, help="images.tar, or a folder of such frames")
    add("--output", type=Path, metavar="FILE", required=True, help="the signatures, such as signatures.pkl")
    add_model_flag(parser)
    add_layer_flag(parser)
    what = "for an ONNX model: what it takes of 0..255, imagenet or MEAN/DIVISOR[,BGR]; not given: what it says itself"
    add("--pixels", metavar="HOW", help=what)
    what = "for an ONNX model that takes images of any size: resize frames to this; not given: they stay as they are"
    add("--size", metavar="HxW", help=what)
    add("--every", type=int, default=1, metavar="N", help="only each Nth frame of a sequence")
    add_batch_size_flag(parser)
    add_device_flag(parser)
    arguments = parser.parse_args(argv)
    check_least(arguments, {"every": 1, "batch_size": 1})
    check_is_no_folder("--output", arguments.output, "the file of signatures")
    existing(arguments.input)
    model_file(arguments.model)
    for flag in ("pixels", "size"):
        if getattr(arguments, flag) is not None and not is_onnx(arguments.model):
            raise UserError(f"--{flag}: {arguments.model} is no ONNX model, and says itself what it takes")
    arguments.size = _size(arguments.size)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Read, sign, write."""
    arguments = parse_arguments(argv)
    load(*(("cv2",) if is_onnx(arguments.model) else ("torch", "cv2")))
    from lwface.formats.sequence_paths import frame_paths
    from lwface.formats.sequence_pickles import write_signatures
    from lwface.sequences.images import Images
    from lwface.sequences.signing import chosen_frames, make_signatures, network_signer, onnx_signer

    with Images(arguments.input) as images:
        frame_paths(images.paths, arguments.input)
        if is_onnx(arguments.model):
            options = {name: getattr(arguments, name) for name in ("layer", "pixels", "size")}
            signer = onnx_signer(model_file(arguments.model), batch=arguments.batch_size, **options)
        else:
            options = {name: getattr(arguments, name) for name in ("layer", "device")}
            signer = network_signer(arguments.model, batch=arguments.batch_size, **options)
        found = make_signatures(images, chosen_frames(images.paths, arguments.every), signer)
    write_signatures(arguments.output, *found)
    print(f"{arguments.output}: {len(found.paths)} signatures of {signer.width} numbers, of {len(images)} frames")
    print("\n".join(skipped_lines(images.skipped)), end="\n" if images.skipped["skipped"] else "")


def _size(text: str | None) -> tuple[int, int] | None:
    """``HxW`` as (height, width)."""
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text) if text is not None else None
    if text is not None and (found is None or not min(int(found[1]), int(found[2])) >= 1):
        raise UserError(f"--size {text}: expected HEIGHTxWIDTH such as 224x224")
    return (int(found[1]), int(found[2])) if found else None
