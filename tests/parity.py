"""Compare every network of the challenge with MXNet 1.9.1, on the same weights and images, and print a table.

    make parity                          all networks of the challenge
    make parity NETWORKS="y1 m05"        some of them
    make parity ORIGINAL=DIR             against the original's own definitions, too
    make parity MODEL=PREFIX,EPOCH       a checkpoint of MXNet's on real faces; with ORIGINAL, both feature writers

``make parity`` sets up ``.venv-mxnet`` for MXNet, which needs an old NumPy. MXNet runs there (tests/parity_mxnet.py)
and exchanges files with this script. Each network gets random weights, running statistics and images and must agree
with

* written: the symbol and parameters that lwface/mxnet/export.py writes, as MXNet loads them;
* original: the definition in DIR, a checkout of deepinsight/insightface, under its own settings of that name.

Names and shapes of all tensors, their count, and the FLOPs must be equal; the FLOPs are counted in MXNet's process by
an independent reading of the official rule, with ORIGINAL also by the official program. The embeddings of a batch may
differ by 1e-4 of their norm, in every row.

The original's code cannot be part of this project. Without it, the chain from it to here is closed by the test suite:
tests/networks holds the digests of tensor names and shapes, the FLOPs and the embeddings that MXNet
computed from the original's definitions; what is written from networks that pass those is compared with MXNet here.

Exit status 0: everything agrees; 1: something does not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lwface.base.commands import run_command
from lwface.base.errors import UserError
from lwface.formats.feature_file import read_features
from lwface.formats.file_list import read_image_list
from lwface.formats.image import read_rgb
from lwface.gate.flops import count_flops
from lwface.models.names import parse_model
from lwface.models.store import load_model
from lwface.mxnet.export import save_mxnet
from lwface.networks import create_network, mxnet_names
from lwface.networks.layers import BatchNorm, SqueezeExcite
from lwface.settings.resolve import network_settings

ROOT = Path(__file__).resolve().parents[1]

PYTHON = ROOT / ".venv-mxnet" / "bin" / "python"
CHALLENGE = "r100 r100fc r50 r50v1 d169 d201 y1 y2 m1 m05 mnas mnas05 mnas025 vargfacenet"
TOLERANCE = 1e-4  # norm of the difference over the norm
MODEL_BATCH = 32
BATCH = 3  # several, so that a network that mixes the images of a batch is found out
LINE = "{:<12} {:<9} {:>9} {:>7} {:>12} {:>10}  {}"


@dataclass
class Comparison:
    """One row of the table."""

    network: str
    leg: str
    params: int = 0
    aux: int = 0
    flops: int = 0
    difference: float = float("nan")  # of the worst row
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        verdict = "pass" if not self.problems else "FAIL: " + "; ".join(self.problems)
        difference = f"{self.difference:.1e}"
        return LINE.format(self.network, self.leg, self.params, self.aux, self.flops, difference, verdict)


def run_mxnet(folder: Path, jobs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Run ``jobs`` in MXNet's environment; the result of each leg, with its embeddings where it has any."""
    (folder / "job.json").write_text(json.dumps(jobs))
    command = [str(PYTHON), str(ROOT / "tests" / "parity_mxnet.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    results: dict[str, dict[str, Any]] = {}
    for job in jobs:
        path = folder / f"{job['leg']}.json"
        if not path.exists():
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            results[job["leg"]] = {"error": f"MXNet ended with status {done.returncode}: {last}"}
            continue
        results[job["leg"]] = json.loads(path.read_text())
        if (rows := path.with_suffix(".npy")).exists():
            results[job["leg"]]["embeddings"] = np.load(rows)
    return results


def relative_differences(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Norm of the difference over the norm, a row (N,); what cannot be compared differs by infinity."""
    if ours.shape != theirs.shape:
        return np.full(len(ours), np.inf)
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    differences = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    return np.where(np.isfinite(differences), differences, np.inf)


def randomise(network: nn.Module, generator: torch.Generator) -> None:
    """Weights that keep the signal's size, and statistics, scales and slopes of which no two are alike."""

    def normal(tensor: torch.Tensor, spread: float) -> None:
        tensor.normal_(0.0, spread, generator=generator)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                normal(module.weight, (2 / module.weight[0].numel()) ** 0.5)
                if module.bias is not None:
                    normal(module.bias, 0.1)
            elif isinstance(module, BatchNorm):
                module.weight.uniform_(0.7, 1.3, generator=generator)  # MXNet must ignore it where gamma is fixed
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                normal(module.bias, 0.1)
                normal(module.running_mean, 0.1)
            elif isinstance(module, nn.PReLU):
                module.weight.uniform_(0.05, 0.45, generator=generator)
        for gate in (module for module in network.modules() if isinstance(module, SqueezeExcite)):
            for layer in (gate.conv1, gate.conv2):
                layer.weight.mul_(0.1)  # else the sigmoid behind it magnifies rounding to the size of the tolerance


def compare_network(
    name: str, settings: Mapping[str, Any], original: Path | None, folder: Path
) -> Iterator[Comparison]:
    """One network with random weights against the symbol written from it and, if it knows it, the original's."""
    generator = torch.Generator().manual_seed(0)
    network = create_network(settings)
    randomise(network, generator)
    tensors = {mxnet: network.state_dict()[key].clone() for key, mxnet in mxnet_names(network).items()}
    network.load_state_dict(network.state_dict())  # puts the fixed scales back to 1, as loading does
    network.eval()
    images = torch.randint(0, 256, (BATCH, 3, 112, 112), dtype=torch.uint8, generator=generator)
    with torch.inference_mode():
        embeddings = network(images).numpy()
    report = count_flops(network)
    np.save(folder / "images.npy", images.numpy())
    save_mxnet(str(folder / "model"), 0, network)
    jobs: list[dict[str, Any]] = [{"leg": "written", "model": [str(folder / "model"), 0]}]
    if original is not None:
        jobs[0]["original"] = str(original)
        if name in CHALLENGE.split():
            np.savez(folder / "tensors.npz", **{key: value.numpy() for key, value in tensors.items()})
            jobs.append({"leg": "original", "network": name, "original": str(original)})
    shapes = {key: list(value.shape) for key, value in tensors.items()}
    for leg, result in run_mxnet(folder, jobs).items():
        row = Comparison(name, leg, report.params, report.aux, report.flops)
        if "error" in result:
            row.problems.append(result["error"])
        else:
            check(row, shapes, result, embeddings)
        yield row


def check(row: Comparison, shapes: dict[str, list[int]], result: dict[str, Any], embeddings: np.ndarray) -> None:
    """Note in ``row`` what of MXNet's ``result`` differs."""
    theirs = {**result["learned"], **result["statistics"]}
    if theirs != shapes:
        different = sorted(key for key in {*shapes, *theirs} if shapes.get(key) != theirs.get(key))
        row.problems.append(f"{len(different)} tensors differ, such as {different[0]}")
    for what, ours, part in (("params", row.params, "learned"), ("aux", row.aux, "statistics")):
        count = sum(int(np.prod(shape)) for shape in result[part].values())
        if count != ours:
            row.problems.append(f"{what}: MXNet has {count}")
    for flops in result["flops"]:
        if flops != row.flops:
            row.problems.append(f"FLOPs: MXNet's symbol has {flops}")
    row.difference = float(relative_differences(embeddings, result["embeddings"]).max())
    if not row.difference <= TOLERANCE:
        row.problems.append(f"embeddings differ by more than {TOLERANCE:g}")


def compare_networks(names: list[str], original: Path | None) -> bool:
    """Print the table; True when everything agrees."""
    settings = {name: network_settings(name) for name in names}  # an unknown name stops before the first is compared
    print(LINE.format("network", "MXNet's", "params", "aux", "FLOPs", "difference", ""), flush=True)
    agree = True
    for name in settings:
        with tempfile.TemporaryDirectory() as folder:
            for row in compare_network(name, settings[name], original, Path(folder)):
                print(row, flush=True)
                agree &= not row.problems
    return agree


def compare_model(model: str, faces: Path, count: int, original: Path | None) -> bool:
    """A checkpoint of MXNet's on the first ``count`` images of a list, and the feature writers; True if they agree."""
    prefix, epoch = parse_model(model)
    prefix = str(Path(prefix).resolve())
    network, _ = load_model(f"{prefix},{epoch}")
    names = read_image_list(faces)[:count]
    images = np.stack([read_rgb(faces / name) for name in names]).transpose(0, 3, 1, 2)  # (N, 3, 112, 112)
    with torch.inference_mode():
        embeddings = torch.cat([network(batch) for batch in torch.from_numpy(images).split(MODEL_BATCH)]).numpy()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.save(folder / "images.npy", images)
        jobs: list[dict[str, Any]] = [{"leg": "model", "model": [prefix, epoch]}]
        if original is not None:
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(faces / name, folder / name)
            (folder / "filelist.txt").write_text("".join(f"{name}\n" for name in names))
            flags = ["--input", str(folder), "--model", f"{prefix},{epoch}", "--output"]
            writer = [sys.executable, str(ROOT / "gen_image_feature.py"), *flags, str(folder / "ours.bin")]
            subprocess.run(writer, check=True, stdout=subprocess.DEVNULL)
            script = [*flags, str(folder / "theirs.bin")]
            jobs.append({"leg": "script", "script": script, "rows": len(names), "original": str(original)})
        results = run_mxnet(folder, jobs)
        for result in results.values():
            if "error" in result:
                raise UserError(result["error"])
        agree = report_rows("embeddings", embeddings, results["model"]["embeddings"])
        if original is not None:
            agree &= report_rows(
                "features", *(np.array(read_features(folder / f"{w}.bin")) for w in ("ours", "theirs"))
            )
    return agree


def report_rows(what: str, ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Print how far apart the rows of (N, D) are; True when none differs by more than the tolerance."""
    if ours.shape != theirs.shape:
        print(f"{what}: FAIL: {ours.shape} here, {theirs.shape} in MXNet")
        return False
    differences = relative_differences(ours, theirs)
    exact = [
        rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1)[:, None] for rows in (ours, theirs)
    ]
    cosines = (exact[0] * exact[1]).sum(1)
    passed = bool(differences.max() <= TOLERANCE)
    print(
        f"{what}: {len(ours)} rows of {ours.shape[1]}: relative difference {np.median(differences):.1e} median, "
        f"{differences.max():.1e} worst; 1 - cosine {1 - cosines.min():.1e} worst: {'pass' if passed else 'FAIL'}"
    )
    return passed


def main() -> int:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=CHALLENGE.split(), help="by name; default: the challenge's 14")
    parser.add_argument("--original", type=Path, metavar="DIR", help="a checkout of deepinsight/insightface")
    parser.add_argument("--model", metavar="PREFIX,EPOCH", help="compare this checkpoint of MXNet's instead")
    parser.add_argument(
        "--input", type=Path, default=ROOT / "datasets" / "ytf" / "images", help="folder of faces for --model"
    )
    parser.add_argument("--images", type=int, default=200, help="how many of its faces")
    arguments = parser.parse_args()
    if not PYTHON.exists():
        raise UserError("there is no .venv-mxnet; run make parity, which sets it up")
    original = arguments.original and arguments.original.resolve()
    if original is not None and not (original / "recognition" / "arcface_mxnet" / "symbol").is_dir():
        raise UserError(f"--original {original}: expected a checkout of deepinsight/insightface")
    if arguments.model:
        return 0 if compare_model(arguments.model, arguments.input, arguments.images, original) else 1
    return 0 if compare_networks(arguments.networks, original) else 1


if __name__ == "__main__":
    run_command(main)
