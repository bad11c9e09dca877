"""What the commands ``gen-image-feature`` and ``gen-video-feature`` share: their flags, and what they do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lwface.base.account import skipped_lines
from lwface.base.errors import UserError
from lwface.base.files import write_text
from lwface.commands.flags import (
    add_backend_flag,
    add_batch_size_flag,
    add_device_flag,
    add_flag,
    add_layer_flag,
    add_model_flag,
    add_num_workers_flag,
    check_is_no_folder,
    check_least,
    command_parser,
)
from lwface.features.choices import AGGREGATIONS, AUTO, BACKENDS, CLUSTER_THRESHOLD, PRECISIONS
from lwface.features.quality_files import find_quality
from lwface.formats.file_list import LIST_NAME, find_list
from lwface.gate.budgets import TRACKS, BudgetError, Track
from lwface.models.names import model_file

if TYPE_CHECKING:  # what they come from takes seconds to import
    from torch import nn

    from lwface.features.aggregation import Aggregation

IMAGE_SHAPE = (112, 112, 3)  # of a model that does not say: the challenge's


def parse_arguments(kind: str, description: str, flip: bool, argv: list[str] | None) -> argparse.Namespace:
    """The command line of the ``image`` or ``video`` track's writer, checked; ``flip`` is its default."""
    args = _parser(kind, description, flip).parse_args(argv)
    check_is_no_folder("--output", args.output, "the feature file")
    _image_size(args.image_size)
    check_least(args, {"batch_size": 1})
    _check_aggregation(args)
    if args.track and not args.normalise:
        raise UserError(f"--no-normalise: the rows of a submission for {args.track} are L2-normalised")
    model_file(args.model)
    if not _is_pack(kind, args.input):
        find_list(args.input, videos=kind == "video")
    if args.mirror and args.flip:
        raise UserError("--mirror is the feature of the mirrored image alone: give --no-flip with it")
    if args.quality_model:
        find_quality(args.quality_model, args.model)
    return args


def write_feature_file(kind: str, args: argparse.Namespace) -> None:
    """Write the feature file that is asked for."""
    import numpy as np

    from lwface.base.device import select_device
    from lwface.base.origin import Origin, write_origin
    from lwface.features.embedder import Embedder
    from lwface.features.writing import PackListing, Work, look_through, write_features
    from lwface.models.store import load_model, model_sha256

    output, (height, width) = Path(args.output), _image_size(args.image_size)
    device = select_device(args.device)
    network, config = load_model(args.model, layer=args.layer)
    model = model_sha256(network, config, args.layer)
    aggregation = _aggregation(args, model)
    trained_size = tuple(config.get("image_shape", IMAGE_SHAPE))
    if trained_size != (height, width, 3):
        trained = f"{trained_size[0]}x{trained_size[1]}, not {height}x{width}"
        raise UserError(f"--image-size {args.image_size}: {args.model} was trained on images of {trained}")
    track = TRACKS[args.track] if args.track else None
    if track:
        _gate(track, args.model, network, height, width)
    embedder = Embedder(network, device=device, batch_size=args.batch_size, precision=args.precision)
    embedder.require_own_features(np.zeros((1, height, width, 3), np.uint8))
    pack = _is_pack(kind, args.input)
    listing = PackListing(args.input) if pack else look_through(args.input, videos=kind == "video")
    _warn_of_rows(track, len(listing))
    backend = _backend_to_resume(output, args.backend) if args.resume else args.backend
    embedder.use_backend(backend, images=listing.images * (1 + args.flip), image_size=(height, width))
    write_features(
        listing,
        output,
        embedder,
        Work(args.flip, height, width, args.num_workers, args.normalise, args.mirror),
        model_sha256=model,
        resume=args.resume,
        aggregation=aggregation,
    )
    write_origin(output, Origin.this(), model_sha256=model, list_sha256=listing.sha256, backend=embedder.backend)
    if listing.walked is not None:
        rows = output.with_suffix(f".{LIST_NAME}")
        write_text(rows, "".join(f"{name}\n" for name in listing.walked))
        print(f"{rows}: what each row is of")
    print(f"{output}: {len(listing)} rows of {embedder.embedding_size} float32, complete and checked")
    for line in skipped_lines(listing.account.as_json()):
        print(line)


def _is_pack(kind: str, path: str) -> bool:
    """Whether the image track's input is a file, so that it is a verification pack."""
    return kind == "image" and Path(path).is_file()


def _parser(kind: str, description: str, flip: bool) -> argparse.ArgumentParser:
    parser = command_parser(description)
    add = parser.add_argument
    rows = "all images in it" if kind == "image" else "each folder in it that holds images"
    add(
        "--input",
        metavar="FOLDER" if kind == "video" else "PATH",
        default=f"./testdata-{kind}",
        help=f"folder with filelist.txt and the {kind}s that it lists; without a list, {rows}"
        + ("" if kind == "video" else "; or a verification pack, such as lfw.bin: pair i is rows 2i and 2i+1"),
    )
    add(
        "--output",
        metavar="FILE",
        required=True,
        default=argparse.SUPPRESS,
        help="feature file to write; it appears when it is complete and checked",
    )
    add_model_flag(parser)
    add_layer_flag(parser)
    add_batch_size_flag(parser)
    size = "channels,height,width that each image must have"
    add_flag(parser, "--image-size", "--image_size", default="3,112,112", metavar="C,H,W", help=size)
    add_device_flag(parser)
    add(
        "--precision",
        default="float32",
        choices=PRECISIONS,
        help="arithmetic of the network; bf16 on a CUDA device only",
    )
    add_backend_flag(parser)
    add_num_workers_flag(parser, default=2)
    add("--flip", action=argparse.BooleanOptionalAction, default=flip, help="add the feature of the mirrored image")
    if kind == "image":
        add(
            "--normalise",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="divide each row by its L2 norm; without it the norm is kept, as templates of IJB are weighted by it",
        )
        mirror = "with --no-flip: of the mirrored images, as eval/verification.py --mirrored takes them"
        add("--mirror", action="store_true", help=mirror)
        parser.set_defaults(aggregate="mean", quality_model=None, cluster_threshold=None)
    else:
        _add_aggregation(parser)
        parser.set_defaults(normalise=True, mirror=False)
    tracks = [track.name for track in TRACKS.values() if track.kind == kind]
    add(
        "--track",
        choices=tracks,
        help="refuse a network over this track's budget (exit status 1) before anything is written, and say so "
        "when the number of rows is not that of the official list (a local folder may have any)",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with an interrupted run of the same model, list and settings; the bytes are those of a run "
        "that was not interrupted, so that --backend auto is what it had. Without it the unfinished rows are discarded",
    )
    return parser


def _add_aggregation(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--aggregate",
        default="mean",
        choices=AGGREGATIONS,
        help="how frames become a row. mean: each counts the same, the challenge's definition; norm: by the norm of "
        "its feature; quality: by a learned head; cluster: only those that resemble most others, for mixed tracks",
    )
    add("--quality-model", metavar="FILE", help="for quality: the head that recognition/train_quality.py wrote")
    add(
        "--cluster-threshold",
        metavar="COSINE",
        type=float,
        help=f"for cluster: the cosine from which two frames show one person (default: {CLUSTER_THRESHOLD})",
    )


def _check_aggregation(args: argparse.Namespace) -> None:
    """Before anything is loaded: the settings given are those of the aggregation asked for."""
    if args.aggregate == "quality" and not args.quality_model:
        raise UserError("--aggregate quality: give the head, --quality-model FILE (recognition/train_quality.py)")
    for flag, value, of in (
        ("--quality-model", args.quality_model, "quality"),
        ("--cluster-threshold", args.cluster_threshold, "cluster"),
    ):
        if value is not None and args.aggregate != of:
            raise UserError(f"{flag} is a setting of --aggregate {of}, not of {args.aggregate}")


def _aggregation(args: argparse.Namespace, model: str) -> Aggregation:
    """What the command line asks for; ``model`` is the model's sha256."""
    from lwface.features.aggregation import MEAN, DominantCluster, NormWeighted
    from lwface.features.quality import load_quality

    if args.aggregate == "quality":
        return load_quality(args.quality_model, model, args.model).weighting(views=1 + args.flip)
    if args.aggregate == "cluster":
        return DominantCluster(CLUSTER_THRESHOLD if args.cluster_threshold is None else args.cluster_threshold)
    return NormWeighted() if args.aggregate == "norm" else MEAN


def _image_size(text: str) -> tuple[int, int]:
    """``3,height,width`` as (height, width)."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts) or int(parts[0]) != 3:
        raise UserError(f"--image-size {text}: expected 3,HEIGHT,WIDTH such as 3,112,112")
    return int(parts[1]), int(parts[2])


def _gate(track: Track, model: str, network: nn.Module, height: int, width: int) -> None:
    """Raise :class:`BudgetError` when ``network``, kept as ``model``, is over the budget of ``track``."""
    from lwface.gate.flops import budget_violations, count_flops

    report = count_flops(network, (1, 3, height, width))
    found = budget_violations(report, track, model_file(model).stat().st_size)
    if found:
        raise BudgetError("; ".join(found))


def _backend_to_resume(output: Path, asked_for: str) -> str:
    """The backend for the rest of ``output``: its bytes depend on it, so ``auto`` is what the unfinished rows had."""
    from lwface.formats.feature_file import unfinished_identity

    recorded = str(unfinished_identity(output).get("backend", AUTO)).split(" ")[0]
    return recorded if asked_for == AUTO and recorded in BACKENDS else asked_for


def _warn_of_rows(track: Track | None, rows: int) -> None:
    if track and rows != track.rows:
        official = f"the official list has {track.rows}"
        print(f"note: {rows} rows, {official}: this file is no submission for {track.name}", file=sys.stderr)
