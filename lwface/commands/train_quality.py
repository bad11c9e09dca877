"""Train a quality head for ``gen_video_feature.py --aggregate quality``.

    python recognition/train_quality.py --model PREFIX,EPOCH --input datasets/ytf --output quality.safetensors

--input is a folder with train.rec, or with filelist.txt and labels.txt of images or videos; its people must not be
those that are tested later. The network is not changed: the features of the frames are computed once, kept beside the
output (for another --seed or --steps, or to go on after an interruption; delete them when done), and a linear head
learns from them which frames to trust.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lwface.base.commands import HelpFormatter
from lwface.base.errors import UserError
from lwface.features.backends import AUTO, BACKENDS
from lwface.features.embedder import Embedder, select_device
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

IMAGE_SHAPE = (112, 112, 3)  # of a model that does not say


def parse_arguments() -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], formatter_class=HelpFormatter)
    add = parser.add_argument
    add("--model", required=True, help="trained model: PREFIX,EPOCH (ours or MXNet's) or FILE.onnx")
    add("--layer", help="the output of an MXNet or ONNX model that is the embedding, where it has several")
    add("--input", type=Path, required=True, help="folder with train.rec, or with filelist.txt and labels.txt")
    add("--output", type=Path, required=True, help="the head, such as quality.safetensors")
    add("--people", type=int, default=2000, help="use at most so many people")
    add("--frames", type=int, default=32, help="use at most so many frames of each, evenly spaced")
    add("--steps", type=int, default=600, help="steps of the training")
    add("--seed", type=int, default=0, help="of the training")
    add("--batch_size", "--batch-size", type=int, default=32, help="images that the network sees at once")
    add("--device", default="auto", help="auto (a CUDA device where there is one), cpu, cuda or cuda:N")
    add("--backend", default=AUTO, choices=BACKENDS, help="what runs the network; auto measures which is the fastest")
    arguments = parser.parse_args()
    for flag, least in (("people", 2), ("frames", 2), ("steps", 1), ("seed", 0), ("batch_size", 1)):
        if getattr(arguments, flag) < least:
            raise UserError(f"--{flag} {getattr(arguments, flag)}: expected {least} or more")
    return arguments


def main() -> None:
    """Compute the features that are not there, train, save."""
    arguments = parse_arguments()
    if arguments.output.is_dir():
        raise UserError(f"--output {arguments.output}: is a folder; give the name of the head's file")
    device = select_device(arguments.device)
    network, config = load_model(arguments.model, layer=arguments.layer)
    model = model_sha256(network, config, arguments.layer)
    height, width, _ = config.get("image_shape", IMAGE_SHAPE)
    frames = open_frames(arguments.input, (height, width))
    places = choose_frames(frames.people, arguments.people, arguments.frames)
    identity = frames_identity(model, frames, places)
    cache = arguments.output.with_name(f"{arguments.output.stem}-frames-{identity}.bin")
    embedder = Embedder(network, device=device, batch_size=arguments.batch_size)
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
