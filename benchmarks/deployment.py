"""Does what we export run where people deploy it, right, and how fast? One row for each program and kind of file.

    python benchmarks/deployment.py --model models/mxnet-y1/model,0 --images FOLDER --precisions float32,fp16,int8

Each program runs in an environment of its own, which ``make peers`` sets up; one that is not there is left out. It
makes a feature of each face, one by one on one thread, from 112x112 bytes to the feature. Shown are the largest and the
mean 1 - cosine with what PyTorch makes of them in float32, milliseconds a face, and how many times as fast as ONNX
Runtime with our float32 file: the two take turns, of each the fastest sample counts.

Without ``--model`` a network with random weights is taken, and without ``--images`` procedural faces: such show whether
a program runs and is fed rightly, not what a precision costs. int8 is calibrated on the same faces.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from embedding import lively_network

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.errors import UserError
from lwface.deploy.conversion_cost import read_faces
from lwface.models.store import load_model
from lwface.onnx.export import export_onnx
from lwface.onnx.precision import to_float16, to_int8
from lwface.synthetic.render import sample_image

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "build" / "peers"
PEER = ROOT / "benchmarks" / "peers" / "deployed.py"
OWN_PEERS = {"node": PEER.with_name("deployed_web.js"), "browser": PEER.with_name("deployed_browser.py")}
WEB_PACKAGES = PEERS / "web" / "node_modules"  # of both
SAMPLE_SECONDS = 0.5
CONVERSION_SECONDS = 300
LINE = "{:22} {:9} {:>9} {:>9} {:>8} {:>8}"


@dataclass(frozen=True)
class Row:
    """A program with one kind of file.

    Attributes:
        name: as it is printed.
        peer: function of benchmarks/peers/deployed.py, or a key of :data:`OWN_PEERS`.
        environment: folder of a virtual environment, from the project's root; empty: this one.
        convert: what makes the program's file, run beside model.onnx; {bin} is the environment's folder of programs.
        file: what the program reads.
        precisions: of our file, with which it can be run.
    """

    name: str
    peer: str
    environment: str = ""
    convert: tuple[str, ...] = ()
    file: str = "model.onnx"
    precisions: tuple[str, ...] = ("float32", "fp16", "int8")

    @property
    def folder(self) -> Path:
        """Where the programs of its environment are."""
        return ROOT / self.environment / "bin" if self.environment else Path(sys.executable).parent

    @property
    def command(self) -> list[str | Path]:
        """The peer, ready for the names of its files; empty where its environment is not there."""
        program = shutil.which("node") if self.peer == "node" else self.folder / "python"
        if not program or not Path(program).exists() or (self.peer in OWN_PEERS and not WEB_PACKAGES.exists()):
            return []
        return [program, OWN_PEERS[self.peer]] if self.peer in OWN_PEERS else [program, PEER, self.peer]

    @property
    def missing(self) -> str:
        """What it takes beside this environment."""
        return {"node": "build/peers/web, or no Node", "browser": "build/peers/web, or no .venv-web"}.get(
            self.peer, self.environment
        )


_PLAIN = ("float32",)
_OVC = ("{bin}/ovc", "model.onnx", "--output_model", "model.xml")
_PNNX = ("{bin}/../lib/python3.11/site-packages/pnnx/pnnx", "model.onnx", "inputshape=[1,3,112,112]")
_MNN = ("{bin}/mnnconvert", "-f", "ONNX", "--modelFile", "model.onnx", "--MNNModel", "model.mnn", "--bizCode", "faces")
_ONNX2TF = ("{bin}/onnx2tf", "-i", "model.onnx", "-o", "tf", "-n")
ROWS = (
    Row("onnxruntime", "onnxruntime"),
    Row("insightface", "insightface", ".venv-insightface"),
    Row("opencv", "opencv"),
    Row("opencv, classic", "opencv_classic"),
    Row("opencv, SF", "opencv_sface"),
    Row("openvino, f32", "openvino"),
    Row("openvino", "openvino_default"),
    Row("openvino, saved f32", "openvino", convert=(*_OVC, "--compress_to_fp16=False"), file="model.xml"),
    Row("openvino, saved", "openvino", convert=_OVC, file="model.xml", precisions=_PLAIN),
    Row("ncnn, fp16=0", "ncnn", "build/peers/ncnn", (*_PNNX, "fp16=0"), "model.ncnn.param", _PLAIN),
    Row("ncnn", "ncnn", "build/peers/ncnn", _PNNX, "model.ncnn.param", _PLAIN),
    Row("mnn", "mnn", "build/peers/mnn", _MNN, "model.mnn", _PLAIN),
    Row("mnn, low", "mnn_low", "build/peers/mnn", _MNN, "model.mnn", _PLAIN),
    Row("litert, float32", "litert", "build/peers/litert", _ONNX2TF, "tf/model_float32.tflite", _PLAIN),
    Row("litert, float16", "litert", "build/peers/litert", _ONNX2TF, "tf/model_float16.tflite", _PLAIN),
    Row("tract", "tract", "build/peers/tract"),
    Row("onnxruntime-web, Node", "node"),
    Row("onnxruntime-web, web", "browser", ".venv-web"),
)


class Peer:
    """A program in a process of its own."""

    def __init__(self, row: Row, folder: Path) -> None:
        self._features, self._errors = folder / f"{row.peer}.npy", folder / "errors.txt"
        names = [folder / row.file, folder / "images.npy", self._features]
        environment = {**os.environ, "NODE_PATH": str(WEB_PACKAGES), "HOME": str(folder)}
        environment["RUST_BACKTRACE"] = "0"  # tract's reason would be lost in it
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                [*row.command, *names],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                cwd=folder,
            )

    def answer(self) -> str:
        """The next line that it says; a program may say others to begin with."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            said = [text for text in self._errors.read_text(errors="replace").splitlines() if "rror" in text]
            raise UserError((said or ["it ended"])[-1].strip()[:120])
        return line

    def features(self, count: int) -> np.ndarray:
        """What it makes of the images (count, D); waits until it has."""
        while self.answer() != "ready":
            pass
        with contextlib.suppress(ValueError):
            return np.asarray(np.load(self._features))
        return np.fromfile(self._features, np.float32).reshape(count, -1)

    def seconds(self, images: int) -> float:
        """What so many take."""
        assert self._process.stdin is not None
        print(images, file=self._process.stdin, flush=True)
        return float(self.answer())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running(row: Row, folder: Path) -> Iterator[Peer]:
    """A program for a while."""
    peer = Peer(row, folder)
    try:
        yield peer
    finally:
        peer.close()


class Found(NamedTuple):
    """What a row says: largest and mean 1 - cosine, milliseconds a face, speed beside ONNX Runtime's."""

    worst: float
    mean: float
    milliseconds: float
    speed: float


def distances(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """1 - cosine (N,) of each row of two (N, D), in float64: float32 has no numbers between 1 and 1 - 6e-8."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    if found.shape != expected.shape:
        raise UserError(f"features of shape {found.shape}; expected {expected.shape}")
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return np.asarray(1 - (found * expected).sum(axis=1) / norms)


def measure(row: Row, folder: Path, expected: np.ndarray, reference: Peer, repeats: int) -> Found:
    """Convert the model in ``folder``, run it, compare its features with ``expected`` (N, D), and time it."""
    if row.convert:
        command = [part.replace("{bin}", str(row.folder)) for part in row.convert]
        environment = {**os.environ, "PATH": f"{row.folder}:{os.environ['PATH']}"}  # onnx2tf calls others by name
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=CONVERSION_SECONDS,
            check=False,
        )
        if not (folder / row.file).exists():
            said = (done.stderr + done.stdout).strip().splitlines() or ["it says nothing"]
            raise UserError(f"{Path(command[0]).name}: {said[-1][:200]}")
    with running(row, folder) as peer:
        apart = distances(peer.features(len(expected)), expected)
        count = max(1, round(SAMPLE_SECONDS / peer.seconds(4) * 4))
        pairs = [(peer.seconds(count) / count, reference.seconds(count) / count) for _ in range(repeats)]
    own, other = (min(samples) for samples in zip(*pairs, strict=True))
    return Found(apart.max(), apart.mean(), 1000 * own, other / own)


def read_images(folder: Path | None, count: int) -> np.ndarray:
    """``count`` aligned faces (N, 112, 112, 3) uint8 RGB, evenly spread over a folder's; None: procedural ones."""
    if folder is None:
        return np.stack([sample_image(0, identity, 0).crop for identity in range(count)])
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    if not names:
        raise UserError(f"{folder}: holds no images; expected aligned faces of 112x112")
    return np.asarray(read_faces(folder, [names[i] for i in np.linspace(0, len(names) - 1, count).astype(int)]))


def parse_arguments() -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(
        description="Run an exported network in the programs that people deploy to.", formatter_class=HelpFormatter
    )
    parser.add_argument("--model", metavar="PREFIX,EPOCH", help="a trained network; not given: y1 with random weights")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="aligned faces; not given: procedural ones")
    parser.add_argument("--count", type=int, default=32, help="how many of them")
    parser.add_argument("--precisions", default="float32", help="kinds of our file: float32,fp16,int8")
    parser.add_argument("--rows", default="", help="programs, by the beginning of their names; not given: all")
    parser.add_argument("--repeats", type=int, default=5, help="samples of each, of which the fastest counts")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_arguments()
    network = load_model(args.model)[0].eval() if args.model else lively_network("y1")
    images = read_images(args.images, args.count)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(planes)).numpy()
    wanted = [row for row in ROWS if any(row.name.startswith(name) for name in args.rows.split(","))]
    plain = export_onnx(network)
    print(LINE.format("program", "our file", "1-cos max", "mean", "ms", "x ORT"), flush=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        first = write(Path(folder) / "reference", plain, images)
        reference = stack.enter_context(running(ROWS[0], first))
        reference.features(len(images))
        for precision in args.precisions.split(","):
            made = {
                "float32": lambda: plain,
                "fp16": lambda: to_float16(plain),
                "int8": lambda: to_int8(plain, planes)[0],
            }
            model = made[precision]()
            for number, row in enumerate(row for row in wanted if precision in row.precisions):
                own = write(Path(folder) / f"{precision}-{number}", model, images)
                print(line(row, precision, own, expected, reference, args.repeats), flush=True)


def write(folder: Path, model: bytes, images: np.ndarray) -> Path:
    """A folder with what a program needs: its own, as converters write beside their input and even over it."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model)
    np.save(folder / "images.npy", images)
    return folder


def line(row: Row, precision: str, folder: Path, expected: np.ndarray, reference: Peer, repeats: int) -> str:
    """A line of the table, or why there are no numbers in it."""
    if not row.command:
        return f"{row.name:22} {precision:9} not run: no {row.missing}; make peers"
    try:
        found = measure(row, folder, expected, reference, repeats)
    except (UserError, subprocess.TimeoutExpired) as error:
        return f"{row.name:22} {precision:9} does not run: {error}"
    numbers = f"{found.worst:.1e}", f"{found.mean:.1e}", f"{found.milliseconds:.1f}", f"{found.speed:.2f}"
    return LINE.format(row.name, precision, *numbers)


if __name__ == "__main__":
    run_command(main)
