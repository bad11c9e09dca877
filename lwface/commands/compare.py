"""Are two faces one person? Their cosine, and what it means by the scores of a test set.

    lwface compare a.jpg b.jpg
    lwface compare a.jpg b.jpg --model models/y2-arcface-retina/model,1
    lwface compare a.jpg b.jpg --model MODEL --align --report scores.json --output compare.png

Without --model two photographs are compared by what comes with the package: its detector, its 68 points and its face
network, of which the last lines say how good it is and what it is not for. With --model both images are aligned faces
of the size that the network takes (112x112), unless --align finds and aligns them. As in gen_image_feature.py, the
mirrored image's feature is added.

With --report, the JSON of eval/tar_far.py on features of the same model, it says which FARs the score passes, and
bounds: at most what share of strangers and at least what share of pairs of one person score as much. They are those
of the nearest thresholds in the file, below for strangers and above for one person: nothing is interpolated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import (
    PRINT,
    add_device_flag,
    add_json_flag,
    add_layer_flag,
    add_model_flag,
    add_place_flags,
    add_state_dict_flags,
    check_is_no_folder,
    command_parser,
    places_of,
)
from lwface.models.card import card_of_use, use_lines
from lwface.models.names import DEFAULT, is_state_dict, model_file
from lwface.models.pixels import Said
from lwface.models.shipped import DETECTOR, LANDMARKS, shipped_path
from lwface.scoring.reported import FarVerdict, ReportedScores, read_reported, scores_of
from lwface.settings.sections import load_sections

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

PICTURE_SUFFIX = ".png"
CROP_SIZE = 112  # of lwface.formats.alignment, which runs on OpenCV


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; ``report`` is what the file says, or None."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("images", metavar="IMAGE", nargs=2, help="two photographs, or with --model two aligned faces")
    add_model_flag(parser, required=False)
    align = "find and align the faces first; not given: where there is no --model"
    add("--align", action=argparse.BooleanOptionalAction, help=align)
    add_state_dict_flags(parser)
    add_layer_flag(parser)
    flip = "add the feature of the mirrored image"
    add("--flip", action=argparse.BooleanOptionalAction, default=True, help=flip)
    add("--report", metavar="FILE", help="scores of this model's features: what eval/tar_far.py --json wrote")
    add("--report-name", metavar="NAME", help="which features of it, where it compares several; not given: the first")
    add("--output", metavar="FILE.png", help="draw both faces and the verdict here")
    add_json_flag(parser)
    add_device_flag(parser)
    add_place_flags(parser)
    arguments = parser.parse_args(argv)
    arguments.said = Said.of(arguments.pixels, arguments.epsilon)
    if arguments.report_name is not None and arguments.report is None:
        raise UserError("--report-name says which features of --report FILE: give it")
    for flag, path in (("--output", arguments.output), ("--json", arguments.json)):
        if path not in (None, PRINT):
            check_is_no_folder(flag, path, "a file")
    if arguments.output is not None and not arguments.output.lower().endswith(PICTURE_SUFFIX):
        raise UserError(f"--output {arguments.output}: the picture is a PNG; give a name that ends in {PICTURE_SUFFIX}")
    if arguments.align is None:
        arguments.align = arguments.model is None
    arguments.model = arguments.model or DEFAULT
    model_file(arguments.model)
    existing(*arguments.images)
    if arguments.align:
        shipped_path(DETECTOR)
        shipped_path(LANDMARKS)
    if arguments.network is not None:
        if not is_state_dict(arguments.model):
            raise UserError(f"--network {arguments.network}: {arguments.model} says itself which network it is")
        load_sections(places_of(arguments)).entry("network", arguments.network)
    arguments.card = card_of_use(arguments.model) if arguments.report is None and arguments.flip else None
    if arguments.report is not None:
        arguments.report = read_reported(arguments.report, arguments.report_name)
    elif arguments.card is not None:
        arguments.report = scores_of(arguments.card["scores"], arguments.card["scores"]["set"], [])
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Embed both, compare, and say what it means."""
    arguments = parse_arguments(argv)
    load("torch", "cv2")
    from lwface.base.device import select_device
    from lwface.base.files import write_json
    from lwface.features.comparison import cosine
    from lwface.features.embedder import Embedder
    from lwface.models.pretrained import image_size, open_model

    network = open_model(
        arguments.model,
        network=arguments.network,
        layer=arguments.layer,
        places=places_of(arguments),
        said=arguments.said,
        say=lambda line: print(line, file=sys.stderr),
    )
    reported = arguments.report
    _check_width(reported, network)
    faces = _faces(arguments.images, image_size(network), align=arguments.align)
    embedder = Embedder(network, device=select_device(arguments.device), batch_size=1)
    embedder.require_own_features(faces[0][None])
    score = cosine(*(embedder.embed(face[None], arguments.flip)[0] for face in faces))
    lines = explained(score, reported)
    if arguments.output:
        from lwface.reporting.comparison import write_comparison  # draws with Matplotlib

        names = [Path(path).name for path in arguments.images]
        write_comparison(
            arguments.output, faces, names, headline(score, reported).split(": "), lines if reported else []
        )
    if arguments.json is not None and arguments.json != PRINT:
        write_json(arguments.json, as_json(score, reported))
    if arguments.json == PRINT:
        import json

        print(json.dumps(as_json(score, reported), indent=2))
        return
    print("\n".join([headline(score, reported), *lines, *use_lines(arguments.card)]))
    if arguments.output:
        print(f"picture: {arguments.output}")


def headline(score: float, reported: ReportedScores | None) -> str:
    """The score, and the verdict where there is one."""
    if reported is None:
        return f"cosine {score:.4f}"
    verdicts = reported.verdicts(score)
    passed = [verdict.far for verdict in verdicts if verdict.accepted]
    failed = [verdict.far for verdict in verdicts if not verdict.accepted]
    if not passed:
        return f"cosine {score:.4f}: not shown to be one person"
    return f"cosine {score:.4f}: one person at FAR {min(passed):g}" + (f", not at {max(failed):g}" if failed else "")


def explained(score: float, reported: ReportedScores | None) -> list[str]:
    """The lines below the verdict."""
    if reported is None:
        return [
            "from which cosine two faces are one person depends on the model:",
            "--report FILE, the JSON of eval/tar_far.py on its features, says it",
        ]
    found = reported.meaning(score)
    far = found.far_at_most
    pairs = reported.impostor_pairs
    lines = [  # counts of that test: its few people do not tell how rare this is elsewhere
        f"of the test's {pairs:,} pairs of strangers, at most {round(far * pairs):,} score as much (FAR {far:.3g})",
        f"of its pairs of one person, at least {100 * found.tar_at_least:.1f} % do (TAR {found.tar_at_least:.4f})",
    ]
    if found.beyond:
        lines[1] = "of its pairs of one person: not told, this is above every threshold there"
    for verdict in reported.verdicts(score):
        says = "one person" if verdict.accepted else "not shown"
        lines.append(f"at FAR {verdict.far:g}, threshold {verdict.threshold:.4f}, TAR {_share(verdict)}: {says}")
    source = f"by {reported.name}: {reported.genuine_pairs:,} genuine, {reported.impostor_pairs:,} impostor pairs"
    lines.append(source + ("" if found.exact else "; its curve is from a sample here"))
    if reported.others:
        lines.append(f"(also there, for --report-name: {', '.join(reported.others)})")
    return lines


def _share(verdict: FarVerdict) -> str:
    """The TAR of a threshold, with its interval where there is one."""
    if verdict.tar_interval is None:
        return f"{verdict.tar:.4f}"
    low, high = verdict.tar_interval
    return f"{verdict.tar:.2f} ({low:.2f} to {high:.2f})"


def as_json(score: float, reported: ReportedScores | None) -> dict[str, object]:
    """The same with all digits."""
    found: dict[str, object] = {"cosine": score}
    if reported is not None:
        found["report"] = reported.name
        found.update(reported.meaning(score)._asdict())
        found["verdicts"] = [verdict._asdict() for verdict in reported.verdicts(score)]
    return found


def _check_width(reported: ReportedScores | None, network: nn.Module) -> None:
    width = int(network.embedding_size)  # type: ignore[arg-type]
    if reported is not None and reported.dim != width:
        raise UserError(
            f"--report: {reported.name} is of features of {reported.dim} numbers, this model gives {width}: "
            "its thresholds are another model's; score this model's features with eval/tar_far.py --json"
        )


def _faces(paths: Sequence[str], size: tuple[int, int] | None, *, align: bool) -> list[np.ndarray]:
    """Both faces as the network takes them, from photographs or from aligned faces."""
    if not align:
        return [_face(path, size) for path in paths]
    from lwface.landmarks import photographs

    if size not in (None, (CROP_SIZE, CROP_SIZE)):
        raise UserError(f"--align: makes crops of {CROP_SIZE}x{CROP_SIZE}, this network takes others: align them first")
    return list(photographs.align(paths))


def _face(path: str, size: tuple[int, int] | None) -> np.ndarray:
    """An aligned face of ``size`` (height, width); a square one of another size is resized, which is said.

    Raises:
        UserError: it is not square, and so no aligned face.
    """
    import cv2

    from lwface.formats.image import read_rgb

    image = read_rgb(path)
    height, width = image.shape[:2]
    if size is None or (height, width) == size:
        return image
    wanted = f"{size[1]}x{size[0]}"
    aligns = "give --align, or align a folder: datasets/align_faces.py --input FOLDER --output CROPS"
    if height * size[1] != width * size[0]:
        raise UserError(f"{path}: {width}x{height} pixels is no aligned face of {wanted}; {aligns}")
    print(
        f"{path}: taken as an aligned face and resized from {width}x{height} to {wanted}; a photograph that is not "
        f"aligned gives a score without meaning: {aligns}",
        file=sys.stderr,
    )
    smaller = height > size[0]
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
