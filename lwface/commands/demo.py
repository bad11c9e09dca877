"""The whole road on one page: make the embedded data set, train, pass the gate, write features, score, report.

Each step is a command that a user types too, printed with it. What follows training runs side by side. A step whose
result is already there is not repeated; a step that was interrupted continues.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.commands.flags import command_parser
from lwface.settings.places import checkout
from lwface.settings.sections import load_sections

TRACK = "deepglint-light"
NETWORK = "r10_xs"
LOSS = "arcface_small"
DATASET = "synthetic"
DATA = Path("datasets", DATASET)
FARS = {"image": "1e-2,1e-3,1e-4", "video": "1e-2,1e-3"}
UP_TO_DATE = "up to date"
# The commands of the road, and where their doors are in a checkout.
DOORS = {
    "make-synthetic": "datasets/make_synthetic.py",
    "align-faces": "datasets/align_faces.py",
    "split-people": "datasets/split_people.py",
    "build-rec": "datasets/build_rec.py",
    "build-pack": "datasets/build_pack.py",
    "train": "recognition/train.py",
    "train-landmarks": "landmarks/train.py",
    "make-heads": "datasets/make_heads.py",
    "train-detector": "landmarks/train_detector.py",
    "gate": "common/flops_counter.py",
    "gen-image-feature": "gen_image_feature.py",
    "gen-video-feature": "gen_video_feature.py",
    "tar-far": "eval/tar_far.py",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    network, loss = "network to train, by its name in the configuration", "loss, by its name in the configuration"
    parser.add_argument("--network", metavar="NAME", default=NETWORK, help=network)
    parser.add_argument("--loss", metavar="NAME", default=LOSS, help=loss)
    output = "folder for feature files, scores and reports"
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=Path("build/demo"), help=output)
    arguments = parser.parse_args(argv)
    for section in ("network", "loss"):
        load_sections().entry(section, getattr(arguments, section))
    return arguments


class Step(NamedTuple):
    """A command of the road; it is done when all that it ``makes`` is there and newer than all that it ``uses``."""

    title: str
    name: str
    arguments: Sequence[str]
    makes: Sequence[Path] = ()
    uses: Sequence[Path] = ()


MAKING = Step("Make the embedded data set of procedural faces", "make-synthetic", ["--output", str(DATA)])


class Road:
    """Runs the steps where a user would: in a checkout the doors from its root, else ``lwface`` in this folder."""

    def __init__(self) -> None:
        root = checkout()
        self.in_checkout, self.folder = root is not None, root or Path.cwd()
        self.interrupted = False

    def run(self, step: Step) -> None:
        """Run a step, unless it is done; what it prints is seen while it runs.

        Raises:
            UserError: it ended with another status than 0.
        """
        print(self._heading(step), flush=True)
        if self._done(step):
            print(UP_TO_DATE, flush=True)
            return
        process = self._start(step)
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()  # Ctrl-C reached it too, and it may have something to save
            raise
        _check(step, status)

    def run_together(self, *lanes: Sequence[Step]) -> None:
        """Run lanes of steps side by side, those of a lane one after the other; what a step prints is shown at its end.

        Raises:
            UserError: a step ended with another status than 0; the other lanes are at their ends by then.
        """
        with ThreadPoolExecutor(len(lanes)) as pool:
            running = [pool.submit(self._run_lane, lane) for lane in lanes]
            try:
                for lane in running:
                    lane.result()
            except KeyboardInterrupt:
                self.interrupted = True  # no lane goes on; Ctrl-C reached the steps too, and the pool waits for them
                raise

    def _run_lane(self, lane: Sequence[Step]) -> None:
        for step in lane:
            if self.interrupted:
                return
            if self._done(step):
                print(f"{self._heading(step)}\n{UP_TO_DATE}", flush=True)
                continue
            process = self._start(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            said, _ = process.communicate()
            print(f"{self._heading(step)}\n{said}", end="", flush=True)
            _check(step, process.returncode)

    def _heading(self, step: Step) -> str:
        typed = ["python", DOORS[step.name]] if self.in_checkout else ["lwface", step.name]
        return f"\n== {step.title}\n$ {shlex.join([*typed, *step.arguments])}"

    def _done(self, step: Step) -> bool:
        made, used = ([self.folder / path for path in paths] for paths in (step.makes, step.uses))
        if not made or not all(path.exists() for path in made):
            return False
        oldest = min(path.stat().st_mtime for path in made)
        return all(path.stat().st_mtime <= oldest for path in used)

    def _start(self, step: Step, **options: Any) -> subprocess.Popen[str]:
        command = [DOORS[step.name]] if self.in_checkout else ["-m", "lwface", step.name]
        return subprocess.Popen([sys.executable, "-u", *command, *step.arguments], cwd=self.folder, **options)

    def read(self, path: Path) -> dict:
        """The JSON that a step wrote."""
        figures: dict = json.loads((self.folder / path).read_text())
        return figures


def _check(step: Step, status: int) -> None:
    if status != 0:
        raise UserError(
            f"the step '{step.title}' ended with status {status}; run the demo again to continue from there"
        )


def table(network: str, gate: dict, scores: dict[str, dict]) -> str:
    """The figures of the run, one line each."""
    fits = "passed" if gate["fits"] else "failed"
    lines = [
        ("network", network),
        ("FLOPs", f"{gate['flops']:,}"),
        ("size", f"{gate['model_bytes']:,} bytes"),
        ("gate", f"{TRACK} {fits}"),
    ]
    for kind, score in scores.items():
        for point in score["results"]:
            tar = "not resolvable" if point["tar"] is None else f"{point['tar']:.4f}"
            pairs = f"{score['impostor_pairs']:,} impostor pairs"
            lines.append((f"TAR, {kind}s, at FAR {point['far']:g}", f"{tar:15}{pairs}"))
    width = max(len(name) for name, _ in lines)
    rule = "-" * (width + 40)
    return "\n".join([rule, *(f"{name:{width}}  {value}" for name, value in lines), rule])


def training(network: str, loss: str, *flags: str) -> Step:
    """Train on the embedded set, or go on."""
    names = ["--network", network, "--loss", loss, "--dataset", DATASET]
    return Step("Train, verifying on people not trained on", "train", [*names, "--track", TRACK, *flags, "--resume"])


def judging(model: str, output: Path) -> list[list[Step]]:
    """What is done with the trained ``model``, in lanes that do not wait for each other; figures go into ``output``."""
    asked = ["--model", model, "--track", TRACK, "--json", str(output / "gate.json")]
    lanes = [[Step("Pass the gate", "gate", asked)]]
    weights = Path(model.replace(",1", "-0001.safetensors"))
    for kind, fars in FARS.items():
        folder = str(DATA / f"{kind}s")
        features, score_file, report = (output / name for name in (f"{kind}.bin", f"{kind}.json", f"{kind}-report"))
        asked = ["--model", model, "--input", folder, "--output", str(features)]
        write = Step(f"Write the {kind} feature file", f"gen-{kind}-feature", asked, [features], [weights])
        asked = ["--features", str(features), "--labels", f"{folder}/labels.txt", "--far", fars]
        asked += ["--json", str(score_file), "--report", str(report), "--images", folder]
        lanes.append([write, Step(f"Score the {kind} features", "tar-far", asked, [score_file], [features])])
    return lanes


def main(argv: list[str] | None = None) -> None:
    """Run the steps and print the table."""
    arguments = parse_arguments(argv)
    load()  # nothing: each step is a process of its own
    start, road, output = time.monotonic(), Road(), arguments.output
    road.run(MAKING)
    road.run(training(arguments.network, arguments.loss))
    road.run_together(*judging(f"models/{arguments.network}-{arguments.loss}-{DATASET}/model,1", output))

    scores = {kind: road.read(output / f"{kind}.json") for kind in FARS}
    print(f"\n{table(arguments.network, road.read(output / 'gate.json'), scores)}")
    for kind in FARS:
        print(f"report, {kind}s: {output / f'{kind}-report' / 'report.html'}")
    print(f"took {time.monotonic() - start:.0f} s")
