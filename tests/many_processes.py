"""Train in 4 processes, in 2 and in 1, kill one, and compare with a run in one process that was left alone.

    python tests/many_processes.py --steps 24

What is compared: the keys of the images of every step, the losses of every step, and the features that the last models
give. All is computed in float64: other numbers of processes add up in another order, and training makes that grow, in
float32 until nothing can be told (LOG.md). Uses the embedded data set (``make demo`` or ``python
datasets/make_synthetic.py`` makes it). Too slow for the test suite, which changes the number of processes of a smaller
run; run it after a change to the step, the checkpoints or the sampler.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "m025-{loss}-synthetic"
PARTS, PART = 4, 16
LIMIT = 1e-5  # relative; what float64's rounding was seen to grow to is far below it, and models are saved in float32


def work() -> None:
    """One process of a run: the training command, with a record of what it trains on, and a death if one is wanted."""
    import torch

    from lwface.commands import run
    from lwface.training.loop import Loop

    torch.set_default_dtype(torch.float64)
    record = Path(os.environ["KEYS"])
    rank, dies = os.environ.get("RANK", "0"), os.environ.get("DIES", "")
    original = Loop.training_step

    def recorded(self, batch, rate):
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        if dies == f"{rank} {self.step}" and not again:
            os.kill(os.getpid(), signal.SIGKILL)
        made = original(self, batch, rate)
        keys = self.task.keys(batch.own(batch.positions))
        with open(record / f"{rank}.jsonl", "a") as file:
            file.write(json.dumps([self.step, batch.first, keys, made.loss]) + "\n")
        return made

    Loop.training_step = recorded
    run("train")


def launched(processes: int, folder: Path, flags: Sequence[str], *, dies: str = "", restarts: int = 0) -> float:
    """Run the command in so many processes; the seconds it took."""
    door = [str(Path(__file__).resolve()), "--work"]
    if processes > 1 or restarts:
        options = ["--standalone", f"--nproc-per-node={processes}", f"--max-restarts={restarts}"]
        start = [sys.executable, "-m", "torch.distributed.run", *options]
    else:
        start = [sys.executable]
    (folder / "keys").mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "KEYS": str(folder / "keys"), "DIES": dies}
    began = time.monotonic()
    with open(folder / "output.txt", "a") as output:
        command = [*start, *door, *flags, "--models-root", str(folder)]
        status = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output).returncode
    if status:
        raise SystemExit(f"status {status}: {folder / 'output.txt'} ends {(folder / 'output.txt').read_text()[-800:]}")
    return time.monotonic() - began


def keys_of(folder: Path) -> dict[int, list[int]]:
    """The keys of every step, in their order; where a step was made again after a death, those of the last time."""
    found: dict[int, dict[int, list[int]]] = {}
    for path in (folder / "keys").iterdir():
        for step, first, keys, _ in map(json.loads, path.read_text().splitlines()):
            found.setdefault(step, {})[first] = keys
    ordered = {}
    for step, parts in found.items():
        rows: dict[int, int] = {}
        for first, keys in sorted(parts.items(), key=lambda part: -len(part[1])):  # by fewer processes: more rows
            rows |= {first + row: key for row, key in enumerate(keys)}
        ordered[step] = [rows[row] for row in sorted(rows)]
    return ordered


def losses_of(folder: Path, loss: str) -> list[float]:
    """Of every step."""
    lines = map(json.loads, (folder / NAME.format(loss=loss) / "log.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def features_of(folder: Path, loss: str):
    """Unit features (64, D) of the first verification images."""
    import torch

    from lwface.formats.verification_pack import read_pack
    from lwface.models.store import load_model

    last = max((folder / NAME.format(loss=loss)).glob("model-*.safetensors"))  # a stretch saves one, too
    network = load_model(str(last))[0]
    images = torch.from_numpy(read_pack(ROOT / "datasets" / "synthetic" / "heldout.bin").decode((112, 112))[:64])
    with torch.inference_mode():
        return torch.nn.functional.normalize(network(images.permute(0, 3, 1, 2)))


def main() -> None:
    """Run all, and say what differs by how much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--steps", type=int, default=24, help="a multiple of 6")
    parser.add_argument("--start", type=int, default=60, help="steps of 64 images of the network that all begin with")
    parser.add_argument("--losses", default="arcface_small,adaface", help="the second one's margin sees the whole step")
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "processes", help="folder, emptied first")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.scratch, ignore_errors=True)
    for loss in arguments.losses.split(","):
        compare(arguments.scratch / loss, loss, arguments.steps, arguments.start)


def compare(scratch: Path, loss: str, steps: int, warm: int) -> None:
    """One loss."""
    # Beginning from random weights, a step multiplies any difference, be it of rounding, by a hundred or more.
    start = "--network m025 --loss arcface_small --dataset synthetic --num-workers 1 --verbose 1000"
    start += f" --warmup-steps {min(20, warm // 2)}"
    begun = scratch / "start" / NAME.format(loss="arcface_small") / "model"
    launched(1, scratch / "start", [*start.split(), "--max-steps", str(warm)])
    flags = f"--network m025 --loss {loss} --dataset synthetic --frequent 1 --verbose {steps} --num-workers 1"
    flags += f" --per-batch-size {PART} --lr 0.01 --lr-policy step --warmup-steps 8 --sample-rate 0.3 --ckpt 2"
    flags += f" --pretrained {begun}"
    third = steps // 3

    def until(step: int, *, accumulate: int, every: int = third) -> list[str]:
        words = f"{flags} --max-steps {step} --accumulate {accumulate} --checkpoint-steps {every}"
        return [*words.split(), "--resume"]

    took = {"1": launched(1, scratch / "whole", until(steps, accumulate=PARTS))}
    fewer = scratch / "4-2-1"
    for processes, step in ((4, third), (2, 2 * third), (1, steps)):
        took[f"4-2-1: {processes}"] = launched(processes, fewer, until(step, accumulate=1))
    killed = scratch / "killed"
    took["4, one killed"] = launched(
        4, killed, until(steps, accumulate=1, every=steps // 6)[:-1], dies=f"2 {steps // 2 + 1}", restarts=1
    )
    if "resuming after step" not in (killed / "output.txt").read_text():  # or all was made again, which proves nothing
        raise SystemExit(f"{killed / 'output.txt'}: the restart did not go on from a checkpoint")
    seconds = json.dumps({name: round(value, 1) for name, value in took.items()})
    print(f"{loss}, {steps} steps of {PARTS} parts of {PART} images, seconds: {seconds}", flush=True)
    report(scratch / "whole", {"4 then 2 then 1": fewer, "4, one killed": killed}, loss)


def report(whole: Path, others: dict[str, Path], loss: str) -> None:
    """What differs from ``whole``; ends the program where that is more than rounding."""
    expected, features = losses_of(whole, loss), features_of(whole, loss)
    for name, folder in others.items():
        keys = keys_of(folder) == keys_of(whole)
        losses = losses_of(folder, loss)
        worst = max(abs(a - b) / abs(b) for a, b in zip(losses, expected, strict=True))
        apart = float((1 - (features_of(folder, loss) * features).sum(1)).max())
        told = "the same" if keys else "DIFFERENT"
        print(f"  {name}: keys {told}, losses within {worst:.1e}, features within {apart:.1e} (1 - cosine)", flush=True)
        if not keys or max(worst, apart) > LIMIT:
            raise SystemExit(1)


if __name__ == "__main__":
    if "--work" in sys.argv:
        sys.argv.remove("--work")
        work()
    else:
        main()
