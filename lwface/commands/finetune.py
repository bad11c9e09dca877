"""Finetune a trained network on one's own people, and say whether it became better on people it did not see.

    python recognition/finetune.py --network y1 --model models/mxnet-y1/model,0 --input people --output build/mine
    python recognition/finetune.py --network y1 --model models/mxnet-y1/model,0 --dataset ytf --judge DIR

The road: photographs (--photographs) are cut into faces; of the folder of people a fifth is kept apart; the others are
made a record set and trained on by the recipe of docs/recipes.md; the features of those kept apart are written before
and after, and both are scored on the same pairs, with the interval of the difference. Each step is a command that a
user types too, printed with it. A step whose result is there is not repeated; one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.demo import Road, Step
from lwface.commands.flags import add_model_flag, add_setting_flag, add_track_flag, command_parser
from lwface.formats.image_walk import image_folder
from lwface.gate.budgets import get_track
from lwface.models.names import model_file
from lwface.settings.dataset_folder import short_name
from lwface.settings.places import checkout
from lwface.settings.run import RUN_SETTINGS
from lwface.settings.sections import load_sections

# Chosen on a part of 220 people. On the 57 it was judged on then, it did not help: docs/recipes.md. All have flags.
RECIPE = {
    "lr": 0.01,
    "max_steps": 100,
    "warmup_steps": 20,
    "per_batch_size": 64,
    "fc7_lr_mult": 1.0,
    "freeze": "",
    "freeze_bn": True,
    "start_share": 0.5,
    "seed": 0,
    "precision": "auto",
}
LOSS = "arcface_finetune"
FARS = "1e-2,1e-3,1e-4"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--network", metavar="NAME", required=True, help="network, by its name in the configuration, such as y1")
    add_model_flag(parser)
    add("--input", type=Path, metavar="FOLDER", help="folder of people: INPUT/PERSON/**/IMAGE, faces of 112x112")
    add("--photographs", action="store_true", help="the images of --input are photographs: find and align the faces")
    add("--dataset", metavar="NAME", help="in place of --input: a data set that is made already, and --judge")
    what = "images of people who are not in --dataset: with labels.txt, or one folder a person"
    add("--judge", type=Path, metavar="FOLDER", help=what)
    what = "folder for all that is made"
    add("--output", type=Path, metavar="FOLDER", default=Path("build/finetune"), help=what)
    add("--loss", metavar="NAME", default=LOSS, help="loss, by its name in the configuration")
    add("--pack-pairs", type=int, default=600, metavar="N", help="pairs of the verification pack made of --input")
    add("--folds", type=int, default=10, metavar="N", help="of that pack; few people need fewer")
    add("--verify-also", default="", metavar="FILES", help=RUN_SETTINGS["verify_also"].meaning)
    add("--far", default=FARS, metavar="LIST", help="FARs to score at")
    for key, value in RECIPE.items():
        add_setting_flag(parser, key, RUN_SETTINGS[key], value)
    add_track_flag(parser, "refuse a network over the budget of this track")
    arguments = parser.parse_args(argv)
    _check(arguments)
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    if (arguments.input is None) == (arguments.dataset is None):
        raise UserError("give --input FOLDER of people, or --dataset NAME and --judge FOLDER")
    if (arguments.dataset is None) != (arguments.judge is None):
        raise UserError("--dataset and --judge go together: who is judged on must not be trained on")
    if arguments.photographs and arguments.input is None:
        raise UserError("--photographs says what --input holds: give it")
    existing(model_file(arguments.model))
    for folder in (arguments.input, arguments.judge):
        if folder is not None:
            image_folder(folder)
    load_sections().entry("network", arguments.network)
    load_sections().entry("loss", arguments.loss)
    if arguments.track is not None:
        get_track(arguments.track)
    for key in RECIPE:
        value = getattr(arguments, key)
        if problem := RUN_SETTINGS[key].problem(value):
            raise UserError(f"--{key.replace('_', '-')} {value}: {problem} ({RUN_SETTINGS[key].meaning})")


def making(arguments: argparse.Namespace) -> tuple[list[Step], str, Path]:
    """The steps from images to a data set; the data set, and the folder of those who are judged on."""
    if arguments.dataset is not None:
        return [], arguments.dataset, arguments.judge
    output, people, steps = arguments.output, arguments.input, []
    if arguments.photographs:
        people = output / "people"
        asked = ["--input", str(arguments.input), "--output", str(people)]
        steps.append(Step("Find the faces and align them", "align-faces", asked))
    split, data = output / "split", output / "data"
    steps.append(
        Step("Keep people apart to judge on", "split-people", ["--input", str(people), "--output", str(split)])
    )
    asked = ["--input", str(split / "train"), "--output", str(data)]
    steps.append(Step("Make a record set of the others", "build-rec", asked))
    pack = data / "verify.bin"
    asked = ["--input", str(split / "verify"), "--pack-pairs", str(arguments.pack_pairs)]
    asked += ["--folds", str(arguments.folds), "--output", str(pack)]
    steps.append(Step("Make pairs of those kept apart", "build-pack", asked, [pack]))
    return steps, str(data), split / "verify"


def training(arguments: argparse.Namespace, dataset: str) -> Step:
    """The recipe."""
    asked = ["--network", arguments.network, "--loss", arguments.loss, "--dataset", dataset]
    asked += ["--pretrained", arguments.model, "--models-root", str(arguments.output / "models")]
    asked += ["--lr-policy", "cosine", "--verbose", str(arguments.max_steps), "--ckpt", "2"]  # the last, not the best
    for key in RECIPE:
        flag, value = key.replace("_", "-"), getattr(arguments, key)
        if isinstance(value, bool):
            asked.append(f"--{flag}" if value else f"--no-{flag}")
        elif value != "":
            asked += [f"--{flag}", str(value)]
    if arguments.verify_also:
        asked += ["--verify-also", arguments.verify_also]
    if arguments.track:
        asked += ["--track", arguments.track]
    return Step("Finetune", "train", [*asked, "--resume"])


def judging(arguments: argparse.Namespace, model: str, judge: Path) -> list[Step]:
    """Features of those kept apart, before and after, and their scores on the same pairs."""
    output, steps = arguments.output, []
    files = output / "before.bin", output / "after.bin"
    for name, one, file in zip(("it was", "it became"), (arguments.model, model), files, strict=True):
        asked = ["--model", one, "--input", str(judge), "--output", str(file)]
        steps.append(Step(f"Features by the network as {name}", "gen-image-feature", asked, [file], [model_file(one)]))
    labels = judge / "labels.txt"
    asked = ["--features", str(files[0]), "--compare", str(files[1]), "--far", arguments.far]
    asked += ["--labels", str(labels if labels.is_file() else judge)]
    asked += ["--json", str(output / "scores.json")]
    steps.append(Step("Score both on people that neither trained on here", "tar-far", asked))
    return steps


def verdict(scores: dict) -> list[str]:
    """In words: what finetuning did at each FAR."""
    lines = []
    for each in scores["differences"]:
        low, high = each["interval"] if each["interval"] else (float("nan"), float("nan"))
        if each["difference"] is None:
            lines.append(f"at FAR {each['far']:g}: not resolvable with so few pairs of different people")
            continue
        change = f"TAR {each['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
        told = "better" if low > 0 else "worse" if high < 0 else "not to be told apart"
        lines.append(f"at FAR {each['far']:g}: {change}, {told}")
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the steps and say what came of it."""
    arguments = parse_arguments(argv)
    load()  # nothing: each step is a process of its own
    _from_here(arguments)
    start, road = time.monotonic(), Road()
    steps, dataset, judge = making(arguments)
    folder = arguments.output / "models" / f"{arguments.network}-{arguments.loss}-{short_name(dataset)}"
    model = f"{folder / 'model'},1"
    arguments.output.mkdir(parents=True, exist_ok=True)
    for step in [*steps, training(arguments, dataset)]:
        road.run(step)
    for step in judging(arguments, model, judge):
        road.run(step)
    print()
    for line in verdict(road.read(arguments.output / "scores.json")):
        print(line)
    print(f"the finetuned model: {model}")
    print(f"took {time.monotonic() - start:.0f} s")


def _from_here(arguments: argparse.Namespace) -> None:
    """Paths start at the current folder; the steps run in the root of the checkout."""
    if checkout() is None:
        return
    for name in ("input", "judge", "output"):
        if getattr(arguments, name) is not None:
            setattr(arguments, name, getattr(arguments, name).absolute())
    if not Path(arguments.model).is_absolute():
        arguments.model = str(Path(arguments.model).absolute())
    if arguments.dataset is not None and Path(arguments.dataset).is_dir():
        arguments.dataset = str(Path(arguments.dataset).absolute())
    also = [word.strip() for word in arguments.verify_also.split(",") if word.strip()]
    arguments.verify_also = ",".join(str(Path(word).absolute()) for word in also)
