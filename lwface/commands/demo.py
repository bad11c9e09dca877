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

from lwface.base.commands import HelpFormatter
from lwface.base.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
TRACK = "deepglint-light"
NETWORK = "m025"
LOSS = "arcface_small"
DATASET = "synthetic"
FARS = {"image": "1e-2,1e-3,1e-4", "video": "1e-2,1e-3"}


def parse_arguments() -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--network", default=NETWORK, help="network to train, by its name in the configuration")
    parser.add_argument("--loss", default=LOSS, help="loss, by its name in the configuration")
    parser.add_argument("--output", default="build/demo", help="folder for feature files, scores and reports")
    return parser.parse_args()


def step(title: str, *command: str, makes: list[Path] | None = None, uses: list[Path] | None = None) -> None:
    """Run one command of the toolbox from the root, unless all it ``makes`` is there and newer than all it ``uses``."""
    print(f"\n== {title}\n$ python {shlex.join(command)}", flush=True)
    made, used = ([ROOT / path for path in paths or []] for paths in (makes, uses))
    if made and all(path.exists() for path in made):
        oldest = min(path.stat().st_mtime for path in made)
        if all(path.stat().st_mtime <= oldest for path in used):
            print("up to date", flush=True)
            return
    process = subprocess.Popen([sys.executable, "-u", *command], cwd=ROOT)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.wait()  # Ctrl-C reached it too, and it may have something to save
        raise
    if status != 0:
        raise UserError(f"the step '{title}' ended with status {status}; run the demo again to continue from there")


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


def main() -> None:
    """Run the steps and print the table."""
    arguments = parse_arguments()
    start = time.monotonic()
    output = Path(arguments.output)
    data = Path("datasets", DATASET)
    names = ["--network", arguments.network, "--loss", arguments.loss, "--dataset", DATASET]
    model = f"models/{arguments.network}-{arguments.loss}-{DATASET}/model,1"
    weights = Path(model.replace(",1", "-0001.safetensors"))
    gate_file = output / "gate.json"

    step("Make the embedded data set of procedural faces", "datasets/make_synthetic.py", "--output", str(data))
    step("Train, verifying on people not trained on", "recognition/train.py", *names, "--track", TRACK, "--resume")
    step("Pass the gate", "common/flops_counter.py", "--model", model, "--track", TRACK, "--output", str(gate_file))
    scores = {}
    for kind, fars in FARS.items():
        folder = str(data / f"{kind}s")
        features, score_file, report = (output / name for name in (f"{kind}.bin", f"{kind}.json", f"{kind}-report"))
        writer = [f"gen_{kind}_feature.py", "--model", model, "--input", folder, "--output", str(features)]
        step(f"Write the {kind} feature file", *writer, makes=[features], uses=[weights])
        scorer = ["eval/tar_far.py", "--features", str(features), "--labels", f"{folder}/labels.txt", "--far", fars]
        outputs = ["--json", str(score_file), "--report", str(report), "--images", folder]
        step(f"Score the {kind} features", *scorer, *outputs, makes=[score_file], uses=[features])
        scores[kind] = json.loads((ROOT / score_file).read_text())

    print(f"\n{table(arguments.network, json.loads((ROOT / gate_file).read_text()), scores)}")
    for kind in FARS:
        print(f"report, {kind}s: {output / f'{kind}-report' / 'report.html'}")
    print(f"took {time.monotonic() - start:.0f} s")
