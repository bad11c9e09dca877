"""Give our ONNX files to insightface itself, and compare its features with ours: ``make insightface``.

``make insightface`` sets up ``.venv-insightface``, where the package runs (tests/insightface_peer.py) and exchanges
files with this script. Small networks with random weights, one of each kind of input, are exported in each precision;
faces are procedural. insightface's ``get_feat`` takes the crops, its ``get`` the frames with their five points; both
must give what the network gives for the crops, in float32, with at least the cosine that is shown for every face.
Then our adapter of its detector is run on its own classes (tests/insightface_detector.py).

Exit status 0: everything agrees; 1: something does not.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lwface.base.commands import run_command
from lwface.base.errors import UserError
from lwface.networks.base import FaceNetwork
from lwface.networks.layers import BatchNorm
from lwface.onnx.export import export_onnx
from lwface.onnx.precision import to_float16, to_int8
from lwface.synthetic.render import sample_image

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-insightface" / "bin" / "python"
PEER = ROOT / "tests" / "insightface_peer.py"
DETECTOR = ROOT / "tests" / "insightface_detector.py"
FACES = 32
KINDS = ("normalises", "batch-norm", "raw")  # what the network does first: (x - 127.5) / 128, a batch norm, nothing
LEAST = {"float32": 0.99999, "fp16": 0.9999, "int8": 0.99}  # cosine
OUTSIDE = "outside"  # the caller's (x - 127.5) / 128, where insightface divides by 127.5
LEAST_OUTSIDE = 0.999
LINE = "{:24} {:>10} {:>10} {:>10} {:>10}  {}"


def lively_network(kind: str, crops: Tensor) -> FaceNetwork:
    """A network of one of :data:`KINDS` with the running statistics that training on ``crops`` would leave."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 7, 4, 3, bias=False), BatchNorm(16), nn.PReLU(16)]
    layers += [nn.Conv2d(16, 16, 7, 4, bias=False), BatchNorm(16), nn.PReLU(16)]
    if kind == "batch-norm":
        layers.insert(0, BatchNorm(3))
    head = nn.Sequential(nn.Flatten(), nn.Linear(16 * 6 * 6, 64), BatchNorm(64))
    network = FaceNetwork(nn.Sequential(*layers), head, 64, normalise=kind == "normalises")
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(crops)
    return network.eval()


def models(network: FaceNetwork, kind: str, crops: Tensor) -> dict[str, bytes]:
    """The files that are made of ``network``, by precision; one with its pre-processing outside where it can be."""
    plain = export_onnx(network)
    made = {"float32": plain, "fp16": to_float16(plain), "int8": to_int8(plain, crops.numpy())[0]}
    return made | ({OUTSIDE: export_onnx(network, normalise_inside=False)} if kind == "normalises" else {})


def run_peer(folder: Path, peer: Path = PEER) -> None:
    """Let insightface run what lies in ``folder``."""
    environment = {**os.environ, "MPLCONFIGDIR": str(folder), "HOME": str(folder)}  # it is to write nowhere else
    environment["PYTHONPATH"] = str(ROOT)  # for the peer that runs our detector's adapter
    done = subprocess.run([PYTHON, peer, folder], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise UserError(f"insightface ended with status {done.returncode}: {last}")


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine (N,) of each row of ``one`` and ``other``, both (N, D)."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / norms)


def check(folder: Path) -> bool:
    """Export, let insightface run, compare; whether everything agrees. ``folder`` is an empty one."""
    pictures = [sample_image(0, identity, 0) for identity in range(FACES)]
    rgb = np.stack([picture.crop for picture in pictures])
    np.save(folder / "crops.npy", rgb[..., ::-1])
    np.save(folder / "frames.npy", np.stack([picture.frame for picture in pictures])[..., ::-1])
    np.save(folder / "points.npy", np.stack([picture.landmarks5 for picture in pictures]))
    crops = torch.from_numpy(rgb.transpose(0, 3, 1, 2).astype(np.float32))
    expected: dict[str, np.ndarray] = {}
    for kind in KINDS:
        network = lively_network(kind, crops)
        for precision, model in models(network, kind, crops).items():
            (folder / f"{kind}_{precision}.onnx").write_bytes(model)
            expected[f"{kind}_{precision}"] = network(crops).detach().numpy()
    run_peer(folder)
    print(LINE.format("model", "get_feat", "get", "at least", "others'", ""))
    verdicts = [report(folder, name, features) for name, features in expected.items()]
    return all(verdicts)


def report(folder: Path, name: str, expected: np.ndarray) -> bool:
    """Print the lowest cosine of each face's features with those ``expected`` (N, D), and whether it is enough.

    Beside it stands the highest cosine of features of two different faces: with 1, agreeing would mean nothing.
    """
    precision = name.rpartition("_")[2]
    least = LEAST.get(precision, LEAST_OUTSIDE)
    found = [cosines(np.load(folder / f"{name}-{way}.npy"), expected).min() for way in ("get_feat", "get")]
    others = max(cosines(expected, np.roll(expected, shift, axis=0)).max() for shift in range(1, len(expected)))
    good = bool(min(found) >= least > others)
    print(LINE.format(name, *(f"{value:.6f}" for value in (*found, least, others)), "pass" if good else "FAIL"))
    return good


def main() -> int:
    """Exit status of the check."""
    if not PYTHON.exists():
        raise UserError("there is no .venv-insightface; run make insightface, which sets it up")
    with tempfile.TemporaryDirectory() as folder:
        good = check(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        run_peer(Path(folder), DETECTOR)  # an error where the face is not the one that was put in
        print("our adapter of its detector gives the face that a model of ours puts into FaceAnalysis")
    return 0 if good else 1


if __name__ == "__main__":
    run_command(main)
