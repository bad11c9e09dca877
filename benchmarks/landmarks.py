"""Points on real faces: our models beside public networks, on people that none of ours saw, adapted and raw.

    python benchmarks/landmarks.py --data ytf-keypoints --peers peers --models models/split-{}/model,1 --splits 5

``--peers`` has PFLD and OpenSeeFace as ONNX files; face-api and dlib join in where ``make peers`` has set them up.
``--data`` is the YouTube Faces teaching set. On each split of its people, every predictor gets the box of the true
points, in the room that fits it best on the people that may be learnt from, and a linear map to the set's convention,
fitted on the same people (``landmarks/adapt.py``). What remains is measured on the people held out, over the points
that all predictors have; differences are paired, drawn over people. The speed is that of one face at a time on one
core, from the crop (uint8) to the points, of each network in whichever of ONNX Runtime and OpenVINO is faster; all take
turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from peers.dlib_points import DLIB_MODEL, dlib_points
from peers.face_api import POINTS, points_onnx

from lwface.base.commands import existing, load, run_command
from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.formats.image import read_rgb
from lwface.landmarks.adapting import fit_map
from lwface.landmarks.cropping import box_of, crop, out_of_crop, square_of, to_crop
from lwface.landmarks.point_sets import PointPicture, read_point_set, split_by_person
from lwface.landmarks.scheme import MIRROR
from lwface.scoring.drawn_groups import interval

ROOMS = (0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)  # sides of the crop over the box's, tried for peers
COMMON = [point for point in range(68) if point not in (60, 64)]  # OpenSeeFace lacks the inner corners of the mouth
ROUNDS, CALLS = 7, 30
LINE = "{:36} {:>8} {:>9} {:>9} {:>20} {:>9}"

Floats = NDArray[np.floating]
Places = Floats
Run = Callable[[NDArray[np.uint8]], Places]  # crop (S, S, 3) -> places (K, 2) in its pixels
Program = Callable[[NDArray[Any]], NDArray[Any]]  # what a network takes -> what it gives


@dataclass
class Predictor:
    """A network on disk.

    Attributes:
        size: of the crop it takes.
        prepare: crop (S, S, 3) uint8 to its input (1, 3, S, S) float32.
        decode: its output to places (K, 2) in pixels of the crop.
        room: of the crop around the box.
        mirrored: its points are averaged with those of the mirrored crop.
        programs: what can run it.
    """

    name: str
    path: Path
    size: int
    prepare: Callable[[NDArray[np.uint8]], NDArray[Any]]
    decode: Callable[[Floats], Places]
    room: float = 1.25
    mirrored: bool = False
    programs: tuple[str, ...] = ("onnxruntime", "openvino")

    def runner(self, program: str = "") -> Run:
        """The network in one of its ``programs`` (none named: the first), one thread."""
        call = PROGRAMS[program or self.programs[0]](str(self.path))

        def plain(image: NDArray[np.uint8]) -> Places:
            return self.decode(call(self.prepare(image)))

        def both(image: NDArray[np.uint8]) -> Places:
            other = plain(np.ascontiguousarray(image[:, ::-1]))[MIRROR]
            return (plain(image) + other * (-1, 1) + (self.size - 1, 0)) / 2

        return both if self.mirrored else plain


def planes(image: NDArray[np.uint8]) -> Floats:
    """(1, 3, S, S), 0..255."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)


def pfld(path: Path) -> Predictor:
    """PFLD of cunjian/pytorch_face_landmark: RGB 0..1, places 0..1 of the crop."""
    return Predictor("PFLD", path, 112, lambda image: planes(image) / 255, lambda out: out.reshape(68, 2) * 112.0 - 0.5)


def openseeface(path: Path) -> Predictor:
    """OpenSeeFace's 66 points: ImageNet's normalisation; of 28 x 28 cells a score and two offsets, as logits."""
    mean, deviation = (np.array(v, np.float32)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def decode(output: Floats) -> Places:
        maps = output.reshape(3, 66, 28 * 28)
        at = maps[0].argmax(1)
        down, right = (np.clip(maps[k][np.arange(66), at], 1e-7, 1 - 1e-7) for k in (1, 2))
        offsets = [223.0 * np.log(value / (1 - value)) / 16 for value in (right, down)]
        return np.stack((223.0 * (at % 28) / 27 + offsets[0], 223.0 * (at // 28) / 27 + offsets[1]), 1).astype(
            np.float64
        )

    return Predictor("OpenSeeFace", path, 224, lambda image: (planes(image) / 255 - mean) / deviation, decode)


def face_api(path: Path) -> Predictor:
    """npm's ``@vladmandic/face-api``: its mean and range are in the file, places 0..1 of the crop."""
    return Predictor("face-api", path, 112, planes, lambda out: out.reshape(68, 2) * 112.0 - 0.5)


def dlib(path: Path) -> Predictor:
    """dlib's shape predictor (an ensemble of regression trees): bytes in, whole pixels of the crop out."""
    return Predictor("dlib", path, 192, lambda image: image, lambda out: out, programs=("dlib",))


PEERS = {"pfld68.onnx": pfld, "openseeface66.onnx": openseeface}


def ours(name: str, path: Path) -> Predictor:
    """A model of ours as ONNX: bytes in, places of the crop out."""
    return Predictor(name, path, 112, planes, lambda out: out.reshape(68, 2).astype(np.float64))


def onnxruntime_program(path: str) -> Program:
    """ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda data: session.run(None, {name: data})[0]


def openvino_program(path: str) -> Program:
    """OpenVINO in float32 on one thread, for one face."""
    import openvino

    model = openvino.Core().read_model(path)
    shape = model.input(0).partial_shape
    shape[0] = 1
    model.reshape(shape)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    compiled = openvino.compile_model(model, "CPU", settings)
    return lambda data: compiled(data)[0]


def dlib_program(path: str) -> Program:
    """dlib, which runs on one thread."""
    return dlib_points(Path(path))


PROGRAMS = {"onnxruntime": onnxruntime_program, "openvino": openvino_program, "dlib": dlib_program}


class Pictures:
    """Pictures in memory, with the boxes of their true points."""

    def __init__(self, pictures: Sequence[PointPicture]) -> None:
        self.pictures = list(pictures)
        self.images = [read_rgb(picture.path) for picture in progress(self.pictures, label="reading", unit="image")]
        self.true = np.stack([picture.points for picture in self.pictures])
        self.boxes = box_of(self.true)
        self.lengths = np.sqrt(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1))

    def found(self, predictor: Predictor, run: Run, chosen: NDArray[np.int64]) -> Places:
        """Points (N, K, 2) of the ``chosen`` pictures, from the middle of their boxes, in longer sides of these."""
        squares = square_of(self.boxes[chosen], predictor.room)
        found = []
        for position, square in zip(chosen, squares, strict=True):
            places = run(crop(self.images[position], to_crop(square, predictor.size), predictor.size))
            points = out_of_crop(places, square, predictor.size)
            found.append((points - square[:2]) / square[2] * predictor.room)
        return np.stack(found)

    def truth(self, chosen: NDArray[np.int64]) -> Places:
        """True points in the same units."""
        squares = square_of(self.boxes[chosen], 1.0)
        return (self.true[chosen] - squares[:, None, :2]) / squares[:, None, 2:]

    def nme(self, found: Places, chosen: NDArray[np.int64], points: list[int]) -> Floats:
        """(N,) by the root of the box, over the points that all have."""
        sides = square_of(self.boxes[chosen], 1.0)[:, 2]
        gaps = np.linalg.norm(found - self.truth(chosen)[:, points], axis=2).mean(axis=1)
        return gaps * sides / self.lengths[chosen]


def place_of(found: Places) -> list[int]:
    """Which of the 68 the points of a predictor are."""
    return COMMON if found.shape[1] == len(COMMON) else list(range(68))


def best_room(pictures: Pictures, predictor: Predictor, run: Run, chosen: NDArray[np.int64]) -> float:
    """The room of a peer's crop that leaves the least error after the linear map, on a few that may be learnt from."""
    few = chosen[:: max(1, len(chosen) // 300)]
    errors = {}
    for predictor.room in ROOMS:
        found = pictures.found(predictor, run, few)
        points = place_of(found)
        mean = (pictures.truth(few)[:, points] - found).mean(axis=0)
        errors[predictor.room] = float(pictures.nme(found + mean, few, points).mean())
    return min(errors, key=lambda room: errors[room])


def compare(args: argparse.Namespace) -> dict[str, list[Floats]]:
    """Print the table of errors; adapted errors of each held-out face by predictor, a list a split."""
    every = Pictures(read_point_set(args.data).pictures)
    position = {picture.name: number for number, picture in enumerate(every.pictures)}
    adapted: dict[str, list[Floats]] = {}
    raws: dict[str, list[Floats]] = {}
    people: list[str] = []
    rooms: dict[str, float] = {}
    peers: dict[str, Places] = {}
    for split in range(args.splits):
        sides = split_by_person(every.pictures, args.held_out, split)
        fit, judge = (np.array([position[picture.name] for picture in side]) for side in sides)
        people += [every.pictures[one].person for one in judge]  # one who is held out twice is one person
        owners = [every.pictures[one].person for one in fit]
        for predictor in predictors(args, split):
            run = predictor.runner()
            if predictor.name not in PEER_NAMES:
                learnt, found = every.found(predictor, run, fit), every.found(predictor, run, judge)
            else:  # these are the same on each split
                if predictor.name not in peers:
                    rooms[predictor.name] = predictor.room = best_room(every, predictor, run, fit)
                    peers[predictor.name] = every.found(predictor, run, np.arange(len(every.pictures)))
                learnt, found = peers[predictor.name][fit], peers[predictor.name][judge]
            points = place_of(found)
            keep = [points.index(point) for point in COMMON]
            mapped = fit_map(learnt * 112, every.truth(fit)[:, points] * 112, owners)(found * 112) / 112
            raws.setdefault(predictor.name, []).append(every.nme(found[:, keep], judge, COMMON))
            adapted.setdefault(predictor.name, []).append(every.nme(mapped[:, keep], judge, COMMON))
    print(LINE.format("predictor", "MB", "raw %", "adapted %", "95 %", "room"))
    whole = {name: np.concatenate(errors) for name, errors in adapted.items()}
    for name, errors in whole.items():
        told = interval(errors, people)
        print(
            LINE.format(
                name,
                f"{next(one.path for one in predictors(args, 0) if one.name == name).stat().st_size / 1e6:.2f}",
                f"{100 * np.concatenate(raws[name]).mean():.3f}",
                f"{100 * told.value:.3f}",
                f"{100 * (told.low or 0):.3f} to {100 * (told.high or 0):.3f}",
                f"{rooms[name]:g}" if name in PEER_NAMES else "box",
            )
        )
    print("\nadapted, paired over the people of all splits:")
    for own in (name for name in whole if name not in PEER_NAMES):
        for peer in (name for name in whole if name in PEER_NAMES):
            told = interval(whole[own] - whole[peer], people)
            spread = f"{100 * (told.low or 0):+.3f} to {100 * (told.high or 0):+.3f}"
            print(f"  {own} - {peer}: {100 * told.value:+.3f} ({spread})")
    return adapted


PEER_NAMES = ("PFLD", "OpenSeeFace", "face-api", "dlib")
INSTALLED = Path(__file__).resolve().parents[1] / "build" / "peers"  # by make peers
_exported: dict[str, Path] = {}


def predictors(args: argparse.Namespace, split: int) -> list[Predictor]:
    """Ours of a split, exported once, and the peers."""
    from lwface.models.store import load_model
    from lwface.onnx.export import export_onnx

    found = []
    for pattern in args.models:
        model = pattern.replace("{}", str(split))
        if model not in _exported:
            network, config = load_model(model)
            path = Path(args.work) / f"{len(_exported)}.onnx"
            path.write_bytes(export_onnx(network, config=config))
            _exported[model] = path
        name = Path(pattern).parent.name.replace("{}", "N") or pattern
        found.append(ours(name, _exported[model]))
        if args.mirrored:
            found.append(ours(f"{name}, mirrored too", _exported[model]))
            found[-1].mirrored = True
    for file, make in PEERS.items():
        if args.peers and (args.peers / file).is_file():
            found.append(make(args.peers / file))
    if POINTS.is_file():
        converted = Path(args.work) / "face-api.onnx"
        if not converted.exists():
            converted.write_bytes(points_onnx(POINTS))
        found.append(face_api(converted))
    found += [dlib(path) for path in INSTALLED.glob(DLIB_MODEL)]
    return found


def speeds(args: argparse.Namespace) -> None:
    """Print faces a second on one core, each network in the program that suits it."""
    cv2.setNumThreads(1)
    draw = np.random.default_rng(0)
    runs: dict[tuple[str, str], tuple[Run, NDArray[np.uint8]]] = {}
    for predictor in predictors(args, 0):
        image = draw.integers(0, 256, (predictor.size, predictor.size, 3), np.uint8)
        for program in predictor.programs:
            runs[predictor.name, program] = predictor.runner(program), image
    times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    for _ in range(ROUNDS):
        for key, (run, image) in runs.items():
            run(image)
            start = time.perf_counter()
            for _ in range(CALLS):
                run(image)
            times[key].append((time.perf_counter() - start) / CALLS)
    best: dict[str, tuple[float, str]] = {}
    for (name, program), seconds in times.items():
        best[name] = min(best.get(name, (np.inf, "")), (min(seconds), program))
    reference = best[next(iter(best))][0]
    print(f"\n{'predictor':36} {'program':12} {'faces/s':>8} {'first over it':>14}")
    for name, (fastest, program) in best.items():
        print(f"{name:36} {program:12} {1 / fastest:8.0f} {fastest / reference:14.2f}")


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the YouTube Faces teaching set")
    parser.add_argument("--peers", type=Path, help="folder with pfld68.onnx and openseeface66.onnx")
    parser.add_argument(
        "--models", nargs="+", required=True, help="models of ours; {} stands for the number of a split"
    )
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--held-out", type=float, default=0.2, help="share of the people held out, as in training")
    parser.add_argument("--mirrored", action="store_true", help="ours once more, averaged with the mirrored crop's")
    parser.add_argument("--only-speed", action="store_true")
    args = parser.parse_args(argv)
    existing(args.data, args.peers)
    if args.splits < 1:
        raise UserError(f"--splits {args.splits}: expected 1 or more")
    os.environ["OMP_NUM_THREADS"] = "1"
    load("torch", "onnxruntime")
    with tempfile.TemporaryDirectory() as args.work:
        if not args.only_speed:
            compare(args)
        speeds(args)


if __name__ == "__main__":
    run_command(main)
