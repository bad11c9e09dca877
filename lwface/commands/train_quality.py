"""Train a quality head for ``gen_video_feature.py --aggregate quality``.

    python recognition/train_quality.py --model PREFIX,EPOCH --input datasets/ytf --output quality.safetensors

--input is a folder with train.rec, with filelist.txt and labels.txt of images or videos, or of people; they must not be
those that are tested later. The network is not changed: the features of the frames are computed once, kept beside the
output (for another --seed or --steps, or to go on after an interruption; delete them when done), and a linear head
learns from them which frames to trust.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lwface.base.commands import load
from lwface.commands.flags import (
    add_backend_flag,
    add_batch_size_flag,
    add_device_flag,
    add_layer_flag,
    add_model_flag,
    check_is_no_folder,
    check_least,
    command_parser,
)
from lwface.features.quality_files import check_frames
from lwface.models.names import model_file

IMAGE_SHAPE = (112, 112, 3)  # of a model that does not say


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add_model_flag(parser)
    add_layer_flag(parser)
    what = "folder with train.rec, or with filelist.txt and labels.txt, or of people"
    add("--input", type=Path, metavar="FOLDER", required=True, help=what)
    add("--output", type=Path, metavar="FILE", required=True, help="the head, such as quality.safetensors")
    add("--people", type=int, default=2000, metavar="N", help="use at most so many people")
    add("--frames", type=int, default=32, metavar="N", help="use at most so many frames of each, evenly spaced")
    add("--steps", type=int, default=600, metavar="N", help="steps of the training")
    add("--seed", type=int, default=0, metavar="N", help="of the training")
    add_batch_size_flag(parser)
    add_device_flag(parser)
    add_backend_flag(parser)
    arguments = parser.parse_args(argv)
    check_least(arguments, {"people": 2, "frames": 2, "steps": 1, "seed": 0, "batch_size": 1})
    check_is_no_folder("--output", arguments.output, "the head's file")
    model_file(arguments.model)
    check_frames(arguments.input)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Compute the features that are not there, train, save."""
    arguments = parse_arguments(argv)
    load("torch", "cv2")
    import numpy as np

    from lwface.base.device import select_device
    from lwface.features.embedder import Embedder
    from lwface.features.quality import save_quality
    from lwface.features.quality_training import (
        VERSIONS,
        choose_frames,
        embed_frames,
        frames_identity,
        open_frames,
        train_head,
    )
    from lwface.models.store import load_model, model_sha256

    device = select_device(arguments.device)
    network, config = load_model(arguments.model, layer=arguments.layer)
    model = model_sha256(network, config, arguments.layer)
    height, width, _ = config.get("image_shape", IMAGE_SHAPE)
    frames = open_frames(arguments.input, (height, width))
    places = choose_frames(frames.people, arguments.people, arguments.frames)
    identity = frames_identity(model, frames, places)
    cache = arguments.output.with_name(f"{arguments.output.stem}-frames-{identity}.bin")
    embedder = Embedder(network, device=device, batch_size=arguments.batch_size)
    embedder.require_own_features(np.zeros((1, height, width, 3), np.uint8))
    if not cache.is_file():
        embedder.use_backend(arguments.backend, images=VERSIONS * len(places), image_size=(height, width))
    features = embed_frames(frames, places, embedder, cache)
    trained = train_head(features, frames.people[places], steps=arguments.steps, seed=arguments.seed)
    facts = {
        "people": trained.people,
        "frames": len(places),
        "steps": arguments.steps,
        "seed": arguments.seed,
        "loss": trained.loss,
        "loss_of_mean": trained.loss_of_mean,
    }
    save_quality(arguments.output, trained.head, model, facts)
    whose = f"{trained.checked} other people" if trained.checked else "the same people, too few to leave some out"
    losses = f"{trained.loss_of_mean:.4f} with equal weights, {trained.loss:.4f} with the head's"
    print(f"{arguments.output}: trained on {trained.people} people; loss of sets of {whose}: {losses}")
    print(f"{cache}: features of {len(places)} frames, of use for another --seed or --steps")
    if trained.loss >= trained.loss_of_mean:
        print("note: the head is no better than equal weights here: use --aggregate mean", file=sys.stderr)
