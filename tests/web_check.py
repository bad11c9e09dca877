"""Open the page of ``export.py --for web`` in headless Chromium, and hold it against the toolbox: ``make web``.

``make web`` sets up ``.venv-web``, where a driver of the browser runs (tests/web_peer.py) and exchanges files with this
script. Small networks with random weights are exported, one for each kind of input; faces are procedural. Each row is a
pair of photographs: what the page shows as its two crops must be the toolbox's own to the levels shown, and its cosine
that of ``lwface.compare`` to the difference shown. Then come keys and dragging, and what goes wrong. Screenshots are
left in ``build/web``: look at them.

Exit status 0: everything agrees; 1: something does not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from insightface_check import lively_network
from torch import nn

import lwface
from lwface.base.commands import run_command
from lwface.base.errors import UserError
from lwface.deploy.web.export import export_page
from lwface.deploy.web.runtime import fetch_package
from lwface.deploy.web.wish import MODEL, PAGE, MeasuredThresholds, PageWish, Threshold
from lwface.deploy.wish import Wish
from lwface.formats.alignment import ARCFACE_TEMPLATE, CROP_SIZE, align
from lwface.formats.image import decode_rgb
from lwface.onnx.choices import Pixels
from lwface.onnx.export import export_onnx
from lwface.onnx.model import OnnxNetwork, load_onnx
from lwface.onnx.precision import to_float16
from lwface.synthetic.render import sample_image

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-web" / "bin" / "python"
PEER = ROOT / "tests" / "web_peer.py"
SCREENSHOTS = ROOT / "build" / "web"
FACES = 12
COSINE = 1e-5  # largest difference for equal crops: float32, other orders of additions
COSINE_FP16 = 2e-3
COSINE_DECODED = 1e-3  # and for crops that two decoders of JPEG made
LEVELS_DECODED = 4  # of 255, by which these may differ in a pixel
LEVELS_WARPED = 1  # where bilinear values lie on the edge of rounding
TAP = 1e-4  # shares of the photograph by which a tap may miss: browsers place it on a grid of 1/64 CSS pixel
STEP = 0.05  # and pixels by which a step may
WIDTHS = {"phone": 390, "desk": 1280}
THRESHOLDS = (0.2, 0.5, 0.9)
LINE = "{:34} {:5} {:>9} {:>9} {:>9} {:>7}  {}"


@dataclass
class Photograph:
    """A file, and the points to tap in it (none: it is a crop already)."""

    file: Path
    points: np.ndarray | None = None  # (5, 2) in the picture as shown

    def case(self, root: Path) -> dict[str, Any]:
        """As the peer takes it."""
        if self.points is None:
            return {"file": str(self.file.relative_to(root))}
        height, width = self.pixels.shape[:2]
        return {"file": str(self.file.relative_to(root)), "points": self.points.tolist(), "size": [width, height]}

    @property
    def pixels(self) -> np.ndarray:
        """As the toolbox reads it."""
        image = decode_rgb(self.file.read_bytes())
        assert image is not None
        return image

    def crop(self, points: list[list[float]]) -> np.ndarray:
        """The toolbox's crop by the points that the page has."""
        return align(self.pixels, np.array(points)) if points else self.pixels


@dataclass
class Pair:
    """A row: two photographs on a page."""

    name: str
    page: str
    photographs: tuple[Photograph, Photograph]
    cosine: float = COSINE  # largest difference
    levels: int = 0
    more: dict[str, Any] | None = None  # of the case


class Album:
    """Procedural faces as files below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pictures = [sample_image(0, number // 2, number % 2) for number in range(FACES)]
        self.crops = np.stack([picture.crop for picture in self.pictures])

    def crop(self, number: int) -> Photograph:
        """An aligned face."""
        return self._write(f"crop{number}.png", self.crops[number])

    def frame(self, number: int, size: tuple[int, int], ending: str = "png") -> Photograph:
        """A frame enlarged to ``size`` (width, height), with its points."""
        picture = self.pictures[number]
        scale = np.array(size) / picture.frame.shape[1::-1]
        enlarged = cv2.resize(picture.frame, size, interpolation=cv2.INTER_CUBIC)
        points = (picture.landmarks5 + 0.5) * scale - 0.5
        return self._write(f"frame{number}-{size[0]}x{size[1]}.{ending}", enlarged, points)

    def turned(self, upright: Photograph, orientation: int) -> Photograph:
        """``upright`` as a camera stores it that was held otherwise: turned in the file, with the EXIF that says so."""
        back = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_COUNTERCLOCKWISE, 8: cv2.ROTATE_90_CLOCKWISE}[orientation]
        stored = cv2.rotate(upright.pixels, back)
        jpeg = cv2.imencode(".jpg", stored[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        tag = b"\x12\x01\x03\x00\x01\x00\x00\x00" + orientation.to_bytes(2, "little") + b"\x00\x00"
        exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + tag + b"\0\0\0\0"
        segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        file = self.root / f"{upright.file.stem}-turned{orientation}.jpg"
        file.write_bytes(jpeg[:2] + segment + jpeg[2:])
        return Photograph(file, upright.points)

    def grey(self, number: int) -> Photograph:
        """An aligned face without colours."""
        return self._write(f"grey{number}.png", cv2.cvtColor(self.crops[number], cv2.COLOR_RGB2GRAY))

    def _write(self, name: str, image: np.ndarray, points: np.ndarray | None = None) -> Photograph:
        file = self.root / name
        assert cv2.imwrite(str(file), image if image.ndim == 2 else image[..., ::-1])
        return Photograph(file, points)


def takes_bytes(model: bytes) -> bytes:
    """The same model with bytes as its input."""
    parsed = onnx.load_from_string(model)
    data = parsed.graph.input[0]
    data.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    for node in parsed.graph.node:
        node.input[:] = ["as_float" if name == data.name else name for name in node.input]
    parsed.graph.node.insert(0, onnx.helper.make_node("Cast", [data.name], ["as_float"], to=onnx.TensorProto.FLOAT))
    return bytes(parsed.SerializeToString())


def write_pages(root: Path, crops: np.ndarray) -> dict[str, nn.Module]:
    """One page for each kind of input that networks have, below ``root``; the networks by the name of the folder."""
    batch = torch.from_numpy(crops.transpose(0, 3, 1, 2).astype(np.float32))
    plain, normed = (lively_network(kind, batch) for kind in ("normalises", "batch-norm"))
    swapped = OnnxNetwork(export_onnx(lively_network("raw", batch.flip(1) / 255)))  # which does not say what it takes
    points = tuple(Threshold(10.0 ** -(n + 1), value, 0.9, (0.8, 0.95)) for n, value in enumerate(THRESHOLDS))
    measured = MeasuredThresholds("scores.json", 64, 12, 6, 60, (*points, Threshold(1e-8, None, None, None, "too few")))
    made: dict[str, tuple[nn.Module, Wish]] = {
        "float32": (plain, Wish()),
        "batch-norm": (normed, Wish()),
        "outside": (plain, Wish(normalise="outside")),
        "bgr": (swapped, Wish(pixels=Pixels(0.0, 1 / 255, "BGR"))),
        "bytes": (OnnxNetwork(takes_bytes(export_onnx(plain))), Wish()),
        "fp16": (OnnxNetwork(to_float16(export_onnx(plain))), Wish()),
    }
    (root / "npm").mkdir()
    package = fetch_package(root / "npm")
    for name, (network, wish) in made.items():
        with_thresholds = measured if name == "float32" else None
        export_page(network, {}, root / name, wish, PageWish(f"{name} <network>", with_thresholds, package))
    return {name: load_onnx(root / name / MODEL) for name in made} | {"float32": plain, "batch-norm": normed}


def pairs_of(album: Album) -> list[Pair]:
    """All rows."""
    crops = [album.crop(number) for number in range(FACES)]
    rows = [Pair(f"faces {n} and {n + 1}", "float32", (crops[n], crops[n + 1])) for n in range(0, FACES, 2)]
    rows += [Pair(f"faces {n} and {FACES - 1 - n}", "float32", (crops[n], crops[FACES - 1 - n])) for n in range(3)]
    rows += [Pair("dropped", "float32", (crops[0], crops[3]), more={"hand_over": "drop"})]
    rows += [Pair("pasted", "float32", (crops[1], crops[2]), more={"hand_over": "paste"})]
    rows += [Pair("a grey one", "float32", (album.grey(4), crops[5]))]
    for kind in ("batch-norm", "outside", "bgr", "bytes", "fp16"):
        rows.append(Pair(kind, kind, (crops[0], crops[1]), COSINE_FP16 if kind == "fp16" else COSINE))
    decoded = {"cosine": COSINE_DECODED, "levels": LEVELS_DECODED}
    upright = album.frame(2, (600, 800))
    rows += [Pair("crops turned by EXIF", "float32", (album.turned(crops[0], 6), album.turned(crops[2], 3)), **decoded)]
    rows += [Pair("tapped, 600x800", "float32", (upright, crops[3]), levels=LEVELS_WARPED)]
    rows += [Pair("tapped, 120x96", "float32", (album.frame(6, (120, 96)), crops[3]), levels=LEVELS_WARPED)]
    rows += [Pair("tapped, 3000x4000", "float32", (album.frame(4, (3000, 4000)), crops[5]), levels=LEVELS_WARPED)]
    turned = album.turned(upright, 6), album.turned(album.frame(5, (900, 700)), 8)
    shown = {"screenshot": "desk", "seat": "desk", "scheme": "light"}
    rows += [Pair("tapped, turned by EXIF", "float32", turned, **decoded, more=shown)]
    shown = {"screenshot": "phone-dark", "seat": "phone", "scheme": "dark"}
    phone = album.frame(7, (960, 1280), "jpg"), crops[6]
    return [*rows, Pair("tapped on a phone, JPEG", "float32", phone, **decoded, more=shown)]


def pair_cases(pairs: list[Pair], root: Path) -> list[dict[str, Any]]:
    """Each pair, as a file and from a server."""
    return [
        {
            "action": "compare",
            "page": f"{pair.page}/{PAGE}",
            "photographs": [photograph.case(root) for photograph in pair.photographs],
            "by": by,
            **(pair.more or {}),
        }
        for pair in pairs
        for by in ("file", "http")
    ]


def judge_pair(pair: Pair, by: str, network: nn.Module, found: dict[str, Any]) -> bool:
    """Print a row; whether the page agrees with the toolbox."""
    shown = [np.array(crop, np.uint8).reshape(CROP_SIZE, CROP_SIZE, 4)[..., :3] for crop in found["crops"]]
    expected = [photograph.crop(points) for photograph, points in zip(pair.photographs, found["points"], strict=True)]
    levels = max(np.abs(a.astype(int) - b).max() for a, b in zip(shown, expected, strict=True))
    missed = [  # in shares of the photograph
        (np.abs(photograph.points - points) / photograph.pixels.shape[1::-1]).max()
        for photograph, points in zip(pair.photographs, found["points"], strict=True)
        if photograph.points is not None
    ]
    cosine, own = float(found["cosine"]), lwface.compare(network, *expected, flip=True)
    same = abs(cosine - lwface.compare(network, *shown, flip=True))  # of the very crops that the page has
    good = levels <= pair.levels and abs(cosine - own) <= pair.cosine and max(missed, default=0.0) <= TAP
    good &= same <= min(pair.cosine, COSINE_FP16 if pair.page == "fp16" else COSINE) and quiet(found)
    good &= found["width"] == WIDTHS[(pair.more or {}).get("seat", "desk")]
    if pair.page == "float32":
        passed = ["alike" if cosine >= value else "not" for value in THRESHOLDS]
        good &= found["thresholds"][: len(passed)] == passed
        good &= ("Alike" in found["verdict"]) == ("alike" in passed)
    off = f"{abs(cosine - own):.1e}"
    verdict = "pass" if good else f"FAIL: missed {max(missed, default=0.0):.1e}, width {found['width']}"
    print(LINE.format(pair.name, by, f"{own:.6f}", off, f"{same:.1e}", levels, verdict))
    return good


def quiet(found: dict[str, Any]) -> bool:
    """Whether the page asked for nothing, may not, and neither it nor the browser complained until it tried."""
    own = [text for text in found["complaints"] if "connect-src" not in text and "Fetch API" not in text]
    return len(found["requests"]) == 1 and not own and found["fetch"] == "Failed to fetch"


def other_cases(album: Album) -> list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]]:
    """What is not a comparison: each case with what must hold of what is found."""
    root, frame = album.root, album.frame(8, (400, 500))
    (root / "text.jpg").write_text("no picture")
    (root / "empty.png").write_bytes(b"")
    (root / "cut.png").write_bytes(frame.file.read_bytes()[:9000])
    (root / "cut.html").write_bytes((root / "float32" / PAGE).read_bytes()[:2_000_000])
    wrong = {"action": "wrong", "by": "file", "page": f"float32/{PAGE}"}
    mixed = Photograph(frame.file, np.asarray(frame.points)[[3, 4, 2, 0, 1]])
    no_wasm = {**wrong, "photographs": [], "until": "#verdict.problem", "before": "delete globalThis.WebAssembly"}
    cut = {**wrong, "photographs": [], "until": "#verdict", "page": "cut.html"}
    keys = {"action": "keys", "by": "file", "page": f"float32/{PAGE}", "photographs": [frame.case(root)]}
    unlike = {**wrong, "photographs": [mixed.case(root)]}
    files = {name: {**wrong, "photographs": [{"file": name}]} for name in ("text.jpg", "empty.png", "cut.png")}
    return [
        *((case, saying("problems", f"{name}: not a picture")) for name, case in files.items()),
        (unlike, saying("problems", "do not lie like those of a face")),
        (no_wasm, saying("verdict", "has no WebAssembly")),
        (cut, saying("verdict", "cut short")),
        ({**keys, "screenshot": "desk-dark", "scheme": "dark"}, moved_rightly),
        ({**keys, "by": "http", "screenshot": "phone", "seat": "phone"}, moved_rightly),
    ]


def saying(key: str, text: str) -> Callable[[dict[str, Any]], bool]:
    """Whether it says ``text``, and has no cosine."""
    return lambda found: text in "".join(found[key]) and not any("alike" in cell for cell in found["thresholds"])


def moved_rightly(found: dict[str, Any]) -> bool:
    """Whether zoom, drag and keys did to the points what they should: a step is a CSS pixel, ten with Shift."""
    step = 1 / found["scale"]
    placed, moved, second, dragged, zoomed, tapped = (
        np.array(found[key]) for key in ("placed", "moved", "second", "dragged", "zoomed", "tapped")
    )
    template = ARCFACE_TEMPLATE - ARCFACE_TEMPLATE.mean(axis=0)
    spread = placed - placed.mean(axis=0)
    change = np.zeros((4, 5, 2))
    change[0, 0], change[1, 1], change[2, 2] = (step, 10 * step), (-step, 0), (9 * step, -7 * step)
    spans = np.array(found["spans"])
    steps = (moved - placed, second - moved, dragged - second, zoomed - dragged)
    return (
        np.allclose(spread / np.linalg.norm(spread), template / np.linalg.norm(template), atol=1e-6)
        and all(np.allclose(one, other, atol=STEP) for one, other in zip(steps, change, strict=True))
        and np.array_equal(found["removed"], zoomed[:4])
        and np.array_equal(tapped[:4], zoomed[:4])
        and np.allclose(tapped[4], (199.5, 249.5), atol=STEP)  # the middle of 400 x 500
        and bool(found["loupe"])
        and np.allclose(spans[1:3] / spans[:2], (1.5, 2 if found["width"] == WIDTHS["phone"] else np.e), atol=STEP)
        and np.isclose(spans[3], spans[0], atol=STEP)  # no smaller than the view
    )


def run_peer(root: Path, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Let the browser do ``cases``."""
    (root / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run(
        [PYTHON, PEER, root], env={**os.environ, "HOME": str(root)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise UserError(f"the browser's side ended with status {done.returncode}: {last}")
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    shutil.copytree(root / "screenshots", SCREENSHOTS)
    found: dict[str, Any] = json.loads((root / "found.json").read_text())
    return found


def check(root: Path) -> bool:
    """Export, let the browser work, compare; whether everything agrees. ``root`` is an empty folder."""
    album = Album(root)
    networks = write_pages(root, album.crops)
    pairs, others = pairs_of(album), other_cases(album)
    cases = pair_cases(pairs, root)
    told = run_peer(root, [*cases, *(case for case, _ in others)])
    print(f"Chromium {told['browser']}; screenshots: {SCREENSHOTS.relative_to(ROOT)}")
    print(LINE.format("photographs", "by", "compare", "apart", "of crops", "levels", ""))
    found = iter(told["found"])
    good = [judge_pair(pair, by, networks[pair.page], next(found)) for pair in pairs for by in ("file", "http")]
    for (case, right), seen in zip(others, found, strict=True):
        fine = right(seen) and quiet(seen)
        what = case["photographs"][0]["file"] if case["photographs"] else case["until"]
        print(f"{case['action']:6} {what:33} {'pass' if fine else f'FAIL: {seen}'}")
        good.append(fine)
    return all(good)


def main() -> int:
    """Exit status of the check."""
    if not PYTHON.exists():
        raise UserError("there is no .venv-web; run make web, which sets it up")
    with tempfile.TemporaryDirectory() as folder:
        return 0 if check(Path(folder)) else 1


if __name__ == "__main__":
    run_command(main)
