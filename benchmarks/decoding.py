"""Decoding aligned faces from a record file: images a second of processor time, and whether the pixels are equal.

    python benchmarks/decoding.py --data datasets/mine

``cv2.imdecode`` in a loop is what people type. ``ours`` is what training does: it finds damaged files too, which
decoders turn into grey pictures without a word. ``batches`` is all of it, records and labels included, in batches of
128; ``in memory`` is a batch of a set that ``--in-memory`` holds.
Contenders that are not installed (``pip install simplejpeg imagecodecs PyTurboJPEG``; the last needs libturbojpeg) are
left out. The contenders take turns, on one core; the best round of each counts. Without ``--data`` the pictures are
smooth noise, whose JPEGs are as large as those of faces (4 to 5 kB).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lwface.base.commands import HelpFormatter, run_command
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import decode_rgb, encode_jpeg, image_damage
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.recognition.dataset import FaceDataset

BATCH, SIDE = 128, 112
Decode = Callable[[bytes], Any]  # an encoded image to RGB uint8 (H, W, 3)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--data", metavar="DIR", help="folder with train.rec")
    parser.add_argument("--images", type=int, default=1024, metavar="N", help="of its first images, whole batches")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each contender")
    return parser.parse_args()


def write(folder: Path, count: int) -> None:
    """A record file of smooth noise."""
    random = np.random.default_rng(0)
    with RecordWriter(folder / "train.rec") as writer:
        for key in range(count):
            coarse = random.integers(0, 256, (28, 28, 3), dtype=np.uint8)
            image = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            writer.write(key, pack(Header(0, float(key % 10), key, 0), encode_jpeg(image, 75)))
    (folder / "property").write_text(f"10,{SIDE},{SIDE}", encoding="ascii")


def with_opencv(data: bytes) -> np.ndarray:
    """The usual loop's: BGR, turned into RGB."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _simplejpeg(module: Any) -> dict[str, Decode]:
    fast = {"fastdct": True, "fastupsample": True}
    return {
        "simplejpeg": lambda data: module.decode_jpeg(data, colorspace="RGB"),
        "simplejpeg, fast": lambda data: module.decode_jpeg(data, colorspace="RGB", **fast),
    }


def _turbojpeg(module: Any) -> dict[str, Decode]:
    turbo = module.TurboJPEG()
    return {"PyTurboJPEG": lambda data: turbo.decode(data, pixel_format=module.TJPF_RGB)}


OTHERS: dict[str, Callable[[Any], dict[str, Decode]]] = {
    "simplejpeg": _simplejpeg,
    "imagecodecs": lambda module: {"imagecodecs": module.jpeg8_decode},
    "turbojpeg": _turbojpeg,
    "PIL.Image": lambda module: {"Pillow": lambda data: np.asarray(module.open(io.BytesIO(data)).convert("RGB"))},
}


def contenders() -> dict[str, Decode]:
    """What decodes one image; only what can be imported."""
    found: dict[str, Decode] = {"cv2.imdecode in a loop": with_opencv, "ours": decode_rgb}
    for name, decoders in OTHERS.items():
        with contextlib.suppress(ImportError, RuntimeError):  # PyTurboJPEG's, where it finds no library
            found |= decoders(importlib.import_module(name))
    return found


def main() -> None:
    """Take turns, compare the pixels, print."""
    arguments = parse_arguments()
    cv2.setNumThreads(0)  # one core, as a loading process has it
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data is None:
            write(Path(folder), arguments.images)
        measure(FaceRecords(arguments.data or folder), arguments)


def _each(decode: Decode, files: list[bytes]) -> None:
    for data in files:
        decode(data)


def measure(records: FaceRecords, arguments: argparse.Namespace) -> None:
    """The table."""
    count = min(arguments.images, len(records)) // BATCH * BATCH
    files = [records.read(index)[1] for index in range(count)]
    dataset, held = (FaceDataset(records, image_size=(SIDE, SIDE)) for _ in range(2))
    held.hold()
    decoders = contenders()
    batches = np.arange(count).reshape(-1, BATCH)
    ways: dict[str, Callable[[], object]] = {
        name: partial(_each, decode, files) for name, decode in {**decoders, "our check alone": image_damage}.items()
    }
    ways["ours, batches"] = lambda: [dataset[positions] for positions in batches]
    ways["ours, batches in memory"] = lambda: [held[positions] for positions in batches]
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - start)
    expected = [with_opencv(data).astype(int) for data in files]
    print(f"{count} images of {np.mean([len(data) for data in files]):.0f} bytes; ratios to the first row")
    print("| way | images a core's second | ratio | largest difference of a pixel |")
    print("|---|---|---|---|")
    first = best["cv2.imdecode in a loop"]
    for name, seconds in best.items():
        decode = decoders.get(name)
        pairs = zip(files, expected, strict=True)
        worst = "" if decode is None else str(max(int(np.abs(decode(data) - image).max()) for data, image in pairs))
        print(f"| {name} | {count / seconds:.0f} | {first / seconds:.2f} | {worst} |")


if __name__ == "__main__":
    run_command(main)
