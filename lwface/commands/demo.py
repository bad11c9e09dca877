"""The whole road on one page: make the embedded data set, train, pass the gate, write features, score, report.

Each step is a command that a user types too, printed before it runs. A step whose result is already there is not
repeated; a step that was interrupted continues.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.commands.flags import command_parser
from lwface.settings.places import checkout
from lwface.settings.sections import load_sections

TRACK = "deepglint-light"
NETWORK = "m025"
LOSS = "arcface_small"
DATASET = "synthetic"
FARS = {"image": "1e-2,1e-3,1e-4", "video": "1e-2,1e-3"}
# The commands of the road, and where their doors are in a checkout.
DOORS = {
    "make-synthetic": "datasets/make_synthetic.py",
    "train": "recognition/train.py",
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


class Road:
    """Runs the steps where a user would: in a checkout the doors from its root, else ``lwface`` in this folder."""

    def __init__(self) -> None:
        root = checkout()
        self.in_checkout, self.folder = root is not None, root or Path.cwd()

    def step(
        self, title: str, name: str, *arguments: str, makes: list[Path] | None = None, uses: list[Path] | None = None
    ) -> None:
        """Run the command ``name``, unless all it ``makes`` is there and newer than all it ``uses``."""
        typed = ["python", DOORS[name], *arguments] if self.in_checkout else ["lwface", name, *arguments]
        print(f"\n== {title}\n$ {shlex.join(typed)}", flush=True)
        made, used = ([self.folder / path for path in paths or []] for paths in (makes, uses))
        if made and all(path.exists() for path in made):
            oldest = min(path.stat().st_mtime for path in made)
            if all(path.stat().st_mtime <= oldest for path in used):
                print("up to date", flush=True)
                return
        command = [DOORS[name]] if self.in_checkout else ["-m", "lwface", name]
        process = subprocess.Popen([sys.executable, "-u", *command, *arguments], cwd=self.folder)
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()  # Ctrl-C reached it too, and it may have something to save
            raise
        if status != 0:
            raise UserError(f"the step '{title}' ended with status {status}; run the demo again to continue from there")

    def read(self, path: Path) -> dict:
        """The JSON that a step wrote."""
        figures: dict = json.loads((self.folder / path).read_text())
        return figures


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


def main(argv: list[str] | None = None) -> None:
    """Run the steps and print the table."""
    arguments = parse_arguments(argv)
    load()  # nothing: each step is a process of its own
    start, road = time.monotonic(), Road()
    output: Path = arguments.output
    data = Path("datasets", DATASET)
    names = ["--network", arguments.network, "--loss", arguments.loss, "--dataset", DATASET]
    model = f"models/{arguments.network}-{arguments.loss}-{DATASET}/model,1"
    weights = Path(model.replace(",1", "-0001.safetensors"))
    gate_file = output / "gate.json"

    road.step("Make the embedded data set of procedural faces", "make-synthetic", "--output", str(data))
    road.step("Train, verifying on people not trained on", "train", *names, "--track", TRACK, "--resume")
    road.step("Pass the gate", "gate", "--model", model, "--track", TRACK, "--json", str(gate_file))
    scores = {}
    for kind, fars in FARS.items():
        folder = str(data / f"{kind}s")
        features, score_file, report = (output / name for name in (f"{kind}.bin", f"{kind}.json", f"{kind}-report"))
        asked = ["--model", model, "--input", folder, "--output", str(features)]
        road.step(f"Write the {kind} feature file", f"gen-{kind}-feature", *asked, makes=[features], uses=[weights])
        asked = ["--features", str(features), "--labels", f"{folder}/labels.txt", "--far", fars]
        asked += ["--json", str(score_file), "--report", str(report), "--images", folder]
        road.step(f"Score the {kind} features", "tar-far", *asked, makes=[score_file], uses=[features])
        scores[kind] = road.read(score_file)

    print(f"\n{table(arguments.network, road.read(gate_file), scores)}")
    for kind in FARS:
        print(f"report, {kind}s: {output / f'{kind}-report' / 'report.html'}")
    print(f"took {time.monotonic() - start:.0f} s")
