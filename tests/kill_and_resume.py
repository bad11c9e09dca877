"""Kill a long job with SIGKILL at random moments, resume it each time, and compare with a job that was left alone.

    python tests/kill_and_resume.py --kills 20

Uses the embedded data set (``make demo`` or ``python datasets/make_synthetic.py`` makes it). Too slow for the test
suite, which kills a smaller run; run it after a change to checkpoints, the sampler or the feature writers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NETWORK = "m025"
SLOW_NETWORK = "mnas05"  # writes features for longer than a command takes to start, so that kills land in the writing
TIMES = ("images_per_s", "time", "seconds_left")  # what may differ between two runs


def run(command: list[str], limit: float | None = None) -> bool:
    """Run ``command``; kill it after ``limit`` seconds. True when it ended by itself, which must be with status 0."""
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, error = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: status {process.returncode}: {error.decode()[-500:]}")
    return True


def kill_and_resume(command: list[str], kills: int, longest: float, begin_again: Callable[[], None]) -> None:
    """Kill and repeat ``command`` until ``kills`` kills have hit it; a run that ends before that begins again."""
    done = 0
    while done < kills:
        limit = random.uniform(0.3, longest)
        if run(command, limit):
            begin_again()
            continue
        done += 1
        print(f"kill {done} of {kills} after {limit:.2f} s", flush=True)
    run(command)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def log_of(folder: Path) -> list[dict]:
    """The run's log without the times."""
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def check(what: str, same: bool) -> None:
    """Say whether ``what`` is the same; stop when not."""
    print(f"{what}: {'the same' if same else 'DIFFERENT'}", flush=True)
    if not same:
        raise SystemExit(1)


def training(scratch: Path, kills: int, steps: int) -> None:
    """Train with and without kills, and compare models and logs."""
    flags = f"--network {NETWORK} --loss arcface --dataset synthetic --max-steps {steps} --checkpoint-steps 3"
    flags += f" --verbose {steps // 3} --frequent 1 --lr-policy step --warmup-steps 5"
    folders = {name: scratch / name / f"{NETWORK}-arcface-synthetic" for name in ("whole", "killed")}
    command = {name: ["recognition/train.py", *flags.split(), "--models-root", str(scratch / name)] for name in folders}
    start = time.monotonic()
    run(command["whole"])
    whole = time.monotonic() - start
    print(f"training of {steps} steps took {whole:.1f} s", flush=True)
    kill_and_resume([*command["killed"], "--resume"], kills, whole, lambda: shutil.rmtree(folders["killed"]))
    for name in ("model-0001.safetensors", "model-symbol.json", "model-0001.params", "config.json"):
        if name == "config.json":
            configs = [json.loads((folder / name).read_text()) for folder in folders.values()]
            check(name, len({json.dumps({**c, "models_root": ""}, sort_keys=True) for c in configs}) == 1)
        else:
            check(name, len({digest(folder / name) for folder in folders.values()}) == 1)
    check("losses and verifications of every step", log_of(folders["whole"]) == log_of(folders["killed"]))


def slow_model(scratch: Path) -> Path:
    """The folder of a model of one step's training."""
    flags = f"--network {SLOW_NETWORK} --loss arcface --dataset synthetic --max-steps 1 --warmup-steps 0"
    run(["recognition/train.py", *flags.split(), "--models-root", str(scratch)])
    return scratch / f"{SLOW_NETWORK}-arcface-synthetic"


def features(scratch: Path, model: Path, kind: str, kills: int) -> None:
    """Write a feature file with and without kills."""
    files = {name: scratch / f"{kind}-{name}.bin" for name in ("whole", "killed")}
    data = str(ROOT / "datasets" / "synthetic" / f"{kind}s")
    command = {
        name: [f"gen_{kind}_feature.py", "--model", f"{model}/model,1", "--input", data, "--output", str(file)]
        for name, file in files.items()
    }
    start = time.monotonic()
    run(command["whole"])
    whole = time.monotonic() - start
    print(f"writing the {kind} features took {whole:.1f} s", flush=True)
    kill_and_resume([*command["killed"], "--resume"], kills, whole, files["killed"].unlink)
    check(f"{kind} features", digest(files["whole"]) == digest(files["killed"]))


def searching(scratch: Path, kills: int, trials: int) -> None:
    """Search with and without kills, and compare what was drawn, trained and found."""
    flags = f"--track deepglint-light --dataset synthetic --family both --trials {trials} --steps 6 --images-per-step 8"
    flags += " --reports 2 --min-flops 0.03 --max-flops 0.06 --act relu"
    folders = {name: scratch / f"search-{name}" for name in ("whole", "killed")}
    command = {name: ["recognition/search.py", *flags.split(), "--models-root", str(folders[name])] for name in folders}
    start = time.monotonic()
    run(command["whole"])
    whole = time.monotonic() - start
    print(f"a search of {trials} trials took {whole:.1f} s", flush=True)
    kill_and_resume(command["killed"], kills, whole, lambda: shutil.rmtree(folders["killed"]))
    found = []
    for folder in folders.values():
        found.append(json.loads((folder / "search-both-deepglint-light-synthetic" / "results.json").read_text()))
        for network in found[-1]["networks"]:
            del network["seconds"]
    check("networks, scores and winner of the search", found[0] == found[1])


def main() -> None:
    """Parse the command line and run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="kills of each job")
    parser.add_argument("--steps", type=int, default=60, help="training steps; 0: no training")
    parser.add_argument("--trials", type=int, default=5, help="trials of the search; 0: no search")
    parser.add_argument("--seed", type=int, default=0, help="fixes the moments of the kills")
    parser.add_argument(
        "--scratch", type=Path, default=ROOT / "build" / "kills", help="folder to work in, emptied first"
    )
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    shutil.rmtree(arguments.scratch, ignore_errors=True)
    if arguments.steps:
        training(arguments.scratch, arguments.kills, arguments.steps)
    if arguments.trials:
        searching(arguments.scratch, arguments.kills, arguments.trials)
    model = slow_model(arguments.scratch)
    for kind in ("image", "video"):
        features(arguments.scratch, model, kind, arguments.kills)


if __name__ == "__main__":
    main()
