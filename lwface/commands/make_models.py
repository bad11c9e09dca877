"""Make the models that come inside the package again, from nothing: render, train, write as the package has them.

    python common/make_models.py
    python common/make_models.py --only landmarks --work build/models
    python common/make_models.py --large --work build/large
    python common/make_models.py --only landmarks --trained FILE --notes notes.json --output lwface/models/weights

Each step is a command that a user types too, printed with it. A step whose result is there is not repeated; one that
was interrupted goes on. WORK/weights gets the files, their cards and their digests. The last lines say whether all
weights are the package's own, to the bit, and which settings in the file are not: the weights are on the machine that
those were made on; another processor rounds otherwise and gives others, with figures within the intervals of the cards.
--large is the same recipe of the face network with a million images and a large network, for one GPU.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from lwface.base.commands import existing, load
from lwface.base.errors import UserError, unknown_name
from lwface.base.files import shown
from lwface.commands.demo import Road, Step
from lwface.commands.flags import command_parser
from lwface.models.shipped import DETECTOR, FACE, LANDMARKS, RENDERED
from lwface.scoring.reported import read_reported

# A model's file holds all settings of its run, so the recipes name --frequent too: it is among the bytes.
DATA_SEED, PEOPLE, IMAGES = 7, 2000, 6  # of the faces that the points are learnt from
LANDMARK_NETWORK, LANDMARK_STEPS = "r12_ps", 4000
HEAD_PEOPLE, DETECTOR_SIDE, DETECTOR_STEPS = 520, 192, 8000
# The renderer's ranges that the face network learns from, flags of make_synthetic.py; each is weighed by
# benchmarks/synthetic_factors.py.
FACE_RANGES = {
    "difficulty": 1.0,
    "form": 1.0,
    "skin": 1.0,
    "looks": 1.0,
    "lights": 0.5,
    "background": 0.5,
    "video": 0.4,
    "restyle": 0.2,
}
FACE_LOSSES = ("supcon", "arcface_small")


class FaceScale(NamedTuple):
    """How much a face network learns from."""

    people: int
    images: int  # of each
    network: str
    batch: int
    steps: tuple[int, int]  # by each of FACE_LOSSES
    workers: int  # processes that render, and that read


SMALL = FaceScale(8000, 8, "r10_s", 128, (5000, 1200), 1)  # the package's: two CPU cores
LARGE = FaceScale(100_000, 10, "r50_ibn", 512, (40_000, 10_000), 12)  # one GPU, 20 epochs and 5


class Recipe(NamedTuple):
    """How a model is made: the steps, and the file that the last one leaves."""

    steps: list[Step]
    model: Path


def landmark_recipe(work: Path) -> Recipe:
    """68 points: faces as the renderer draws them at their hardest, whole frames, and the point task."""
    faces, models = work / "points", work / "models"
    asked = [
        "--seed",
        DATA_SEED,
        "--train-people",
        PEOPLE,
        "--images-per-person",
        IMAGES,
        "--difficulty",
        1,
        "--frames",
    ]
    asked += ["--heldout-people", 2, "--heldout-images", 2, "--video-people", 0, "--pack-pairs", 20, "--pack-people", 4]
    render = Step("Render faces with their 68 points", "make-synthetic", _typed("--output", faces, *asked))
    asked = ["--network", LANDMARK_NETWORK, "--held-out", 0.03, "--max-steps", LANDMARK_STEPS, "--warmup-steps", 200]
    asked += ["--settle", 0.3, "--precision", "bf16", "--seed", DATA_SEED, "--verbose", 1000, "--checkpoint-steps", 250]
    asked += ["--frequent", 50, "--num-workers", 1, "--models-root", models, "--resume"]
    train = Step("Train the network that puts them", "train-landmarks", _typed("--data", faces, *asked))
    folder = models / f"{LANDMARK_NETWORK}-integral-{faces.name}"
    return Recipe([render, train], folder / "model-0001.safetensors")


def detector_recipe(work: Path) -> Recipe:
    """Boxes and five points: a bank of heads, and scenes that are made of them while the network trains."""
    heads, models = work / "heads", work / "models" / "detector"
    render = Step("Render heads", "make-heads", _typed("--output", heads, "--people", HEAD_PEOPLE))
    asked = ["--heads", heads, "--side", DETECTOR_SIDE, "--max-steps", DETECTOR_STEPS, "--lr", 0.002, "--ema", 0.998]
    asked += ["--precision", "bf16", "--num-workers", 0, "--verbose", 2000, "--judged", 200, "--checkpoint-steps", 500]
    asked += ["--frequent", 100]
    train = Step("Train the detector", "train-detector", _typed(*asked, "--models-root", models, "--resume"))
    return Recipe([render, train], models / "face_detector" / "model-0001.safetensors")


def face_recipe(work: Path, scale: FaceScale = SMALL) -> Recipe:
    """The face network: many rendered people, told apart while their known shapes teach it too."""
    faces, models = work / "faces", work / "models"
    asked = ["--seed", 21, "--train-people", scale.people, "--images-per-person", scale.images, "--teacher"]
    asked += [part for name, value in FACE_RANGES.items() for part in (f"--{name}", value)]
    asked += ["--heldout-people", 40, "--heldout-images", 6, "--video-people", 0, "--pack-pairs", 1000]
    asked += ["--pack-people", 60] + (["--num-workers", scale.workers] if scale.workers > 1 else [])
    render = Step("Render people", "make-synthetic", _typed("--output", faces, *asked))
    common = ["--network", scale.network, "--dataset", faces, "--models-root", models, "--resume"]
    common += ["--per-batch-size", scale.batch, "--lr-policy", "cosine", "--num-workers", scale.workers]
    common += ["--in-memory", "--clip-norm", 5, "--precision", "bf16", "--augment", 1]
    common += ["--teacher", faces / "teacher.bin", "--distill", "cosine", "--distill-weight", 5]
    common += ["--verbose", 100_000, "--frequent", 100, "--checkpoint-steps", 250, "--data-licence", RENDERED]
    first, last = (models / f"{scale.network}-{loss}-{faces.name}" / "model" for loss in FACE_LOSSES)
    contrast = ["--loss", FACE_LOSSES[0], "--max-steps", scale.steps[0], "--lr", 0.1, "--warmup-steps", 200]
    margin = ["--loss", FACE_LOSSES[1], "--max-steps", scale.steps[1], "--lr", 0.03, "--warmup-steps", 50]
    margin += ["--pretrained", f"{first},1", "--head-start", "mean", "--margin-warmup-steps", 300]
    steps = [
        render,
        Step("Train the face network", "train", _typed(*common, *contrast)),
        Step("Train it to tell all of them apart", "train", _typed(*common, *margin)),
    ]
    return Recipe(steps, last.with_name("model-0001.safetensors"))


RECIPES = {DETECTOR: detector_recipe, LANDMARKS: landmark_recipe, FACE: face_recipe}


def _typed(*words: object) -> list[str]:
    return [str(word) for word in words]


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; ``only`` is the list of models, ``notes`` what the file says."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--only", metavar="NAMES", help="which of them, separated by commas; not given: all, with --large face")
    large = (
        f"{LARGE.people * LARGE.images:,} images and the network {LARGE.network}, not the package's, for one GPU "
        "and hours; not written as the package has its models"
    )
    add("--large", action="store_true", help=large)
    add("--work", type=Path, metavar="FOLDER", default=Path("build/models"), help="folder for all that is made")
    add("--output", type=Path, metavar="FOLDER", help="folder of the weights; not given: WORK/weights")
    add("--trained", type=Path, metavar="FILE", help="of one model: write this one, trained already, and run no step")
    what = (
        'JSON for the cards, {"face": {"scores": {"file": of tar_far --json, "set": on what}, "use": {...}}}, use with '
        "quality, not_for, better and licence; not given: the package's, where the weights are the same"
    )
    add("--notes", type=Path, metavar="FILE", help=what)
    arguments = parser.parse_args(argv)
    usual = FACE if arguments.large else ",".join(RECIPES)
    arguments.only = [name.strip() for name in (arguments.only or usual).split(",")]
    for name in arguments.only:
        if name not in RECIPES:
            raise unknown_name("model of the package", name, RECIPES)
    if arguments.trained is not None and len(arguments.only) != 1:
        raise UserError(f"--trained {arguments.trained}: is one model; --only says which")
    if arguments.large and (arguments.only != [FACE] or arguments.trained is not None):
        raise UserError(f"--large is of the face network, trained here: give it with --only {FACE} or alone")
    arguments.work = arguments.work.absolute()
    arguments.output = (arguments.output or arguments.work / "weights").absolute()
    existing(arguments.trained, arguments.notes)
    arguments.notes = _notes(arguments.notes)
    return arguments


def _notes(path: Path | None) -> dict[str, Any]:
    """By model, what its card is to say."""
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"--notes {path}: not JSON ({error})") from None
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise UserError(f'--notes {path}: expected {{"MODEL": {{"scores": ..., "use": ...}}}}')
    for notes in found.values():
        if "file" in notes.get("scores", {}):
            notes["scores"] = _scores(path.parent / notes["scores"]["file"], notes["scores"]["set"])
    return found


def _scores(path: Path, judged_on: str) -> dict[str, Any]:
    """What a card keeps of a JSON of eval/tar_far.py."""
    read_reported(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    return {
        "set": judged_on,
        **{key: found[key] for key in ("dim", "genuine_pairs", "impostor_pairs", "results", "roc")},
    }


def _run(road: Road, recipe: Recipe) -> None:
    for step in recipe.steps:
        road.run(step)


def main(argv: list[str] | None = None) -> None:
    """Run the steps of each, write it, and say whether it is the package's."""
    arguments = parse_arguments(argv)
    os.environ["OMP_NUM_THREADS"] = "1"  # in the steps: sums of several threads round otherwise
    load("torch")
    from lwface.models.shipping import package_model, ship, write_notes

    road, lines = Road(), []
    if arguments.large:
        recipe = face_recipe(arguments.work, LARGE)
        _run(road, recipe)
        print(f"\n{shown(recipe.model)}: judge it with gen_image_feature.py and eval/tar_far.py")
        return
    for name in arguments.only:
        recipe = RECIPES[name](arguments.work) if arguments.trained is None else Recipe([], arguments.trained)
        _run(road, recipe)
        own = package_model(name)  # before the package's own file may be written anew
        file = ship(name, recipe.model, arguments.output)
        same, told = (False, "the package has no such model") if own is None else own.likeness(file)
        write_notes(file, arguments.notes.get(name) or (own.notes if own is not None and same else {}))
        lines.append(f"{shown(file)}: {file.stat().st_size:,} bytes, {told}")
    print("\n" + "\n".join(lines))
