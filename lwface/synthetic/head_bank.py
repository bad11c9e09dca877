"""A bank of heads cut out of their background, to be put into pictures of several people.

Each head is rendered once, over black and over white: what changes is background. A person's heads are a file of a work
folder, which the journal names as done; at the end all are put together in their order, so neither the number of
workers nor an interruption changes a byte of ``heads.npz``. Its arrays, without pickles:

``colours``, ``covers``
    JPEGs (RGB, times the cover) and PNGs (grey: 255 is head, 0 background) one after the other, uint8.
``colour_ends``, ``cover_ends``
    (N,) int64, where each ends.
``points``
    (N, 68, 2) float32 in pixels of the head's picture; not a number where the head is seen from behind.
``people``
    (N,) int64, whose it is.
"""

from __future__ import annotations

import dataclasses
import zipfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import replacing
from lwface.base.journal import WORK, Journal
from lwface.base.progress import progress
from lwface.formats.image import encode_jpeg
from lwface.synthetic.head_options import HEADS, HeadOptions
from lwface.synthetic.landmarks import landmark_points
from lwface.synthetic.options import Ranges
from lwface.synthetic.person import Person, person
from lwface.synthetic.render import OVERSAMPLING, Camera, Pose, posed_head
from lwface.synthetic.scene import Scene
from lwface.synthetic.shot import Shot, sample_shot
from lwface.synthetic.workers import made_by

VERSION = 1  # of the heads: a change of what they look like changes it
PRODUCTS = (HEADS, WORK)
SIDE = 256  # pixels of a head's picture
CLOSE = 0.82  # of the usual size of a head in a frame: more of the shoulders is seen
RANGES = Ranges(pose=1.2, light=1.3, covering=1.5)  # wider than usual: a detector must not miss anybody
QUALITY = 94  # of the JPEGs
KEPT = 4000  # heads that a bank keeps opened, 256 KB each


@dataclass(frozen=True, eq=False)
class Head:
    """A head without a background.

    Attributes:
        pixels: (S, S, 4) uint8: RGB times the cover, and the cover, 255 where it hides what is behind.
        points: (68, 2) float32 in its pixels; None for one seen from behind.
    """

    pixels: NDArray[np.uint8]
    points: NDArray[np.float32] | None


def render_head(who: Person, shot: Shot) -> Head:
    """The head of ``who`` in ``shot``, which no camera has spoilt yet; ``points`` are there whatever is seen."""
    size = round(SIDE * OVERSAMPLING)
    pose, camera, shape = Pose(shot), Camera(shot, size), posed_head(who, shot)
    over = [np.full((size * size, 3), level, np.float32) for level in (0.0, 1.0)]
    for canvas in over:
        Scene(who, shot, shape, pose, camera).draw(canvas)
    cover = np.clip(1 - (over[1] - over[0]).mean(axis=1, keepdims=True), 0, 1)
    small = cv2.resize(
        np.concatenate((over[0], cover), axis=1).reshape(size, size, 4), (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )
    share = small[..., 3:]
    shown = np.sqrt(np.clip(small[..., :3] / np.maximum(share, 1e-3), 0, 1)) * share  # as the renderer's own gamma
    points, _ = camera.project(pose(landmark_points(shape, who.look, shot.lids)))
    return Head(
        (np.concatenate((shown, share), axis=2) * 255 + 0.5).astype(np.uint8),
        ((points + 0.5) * (SIDE / size) - 0.5).astype(np.float32),
    )


def shot_of(who: Person, index: int, *, behind: bool) -> Shot:
    """Shot ``index`` of a person, somewhat further away than usual; from ``behind``, with nothing before the face."""
    shot = sample_shot(who, index, ranges=RANGES)
    shot = dataclasses.replace(shot, scale=shot.scale * CLOSE)
    if not behind:
        return shot
    turned = 180 + shot.yaw * 0.8
    return dataclasses.replace(shot, yaw=turned, torso_yaw=turned, mask=None, hand=0)


def make_heads_of(number: int, options: HeadOptions, output: Path) -> int:
    """Render all heads of a person into one file of the work folder; the person's number."""
    who = person(options.seed, number, RANGES)
    colours, covers, points = [], [], []
    for index in range(options.shots + options.backs):
        behind = index >= options.shots
        head = render_head(who, shot_of(who, index, behind=behind))
        colours.append(np.frombuffer(encode_jpeg(np.ascontiguousarray(head.pixels[..., :3]), QUALITY), np.uint8))
        covers.append(cv2.imencode(".png", head.pixels[..., 3])[1].ravel())
        points.append(np.full((68, 2), np.nan, np.float32) if behind or head.points is None else head.points)
    with replacing(_piece(output, number)) as file:
        np.savez(
            file,
            colours=np.concatenate(colours),
            colour_ends=np.cumsum([len(one) for one in colours]),
            covers=np.concatenate(covers),
            cover_ends=np.cumsum([len(one) for one in covers]),
            points=np.stack(points),
        )
    return number


def _piece(output: Path, number: int) -> Path:
    return output / WORK / f"{number:05}.npz"


def generate_heads(options: HeadOptions, output: Path, journal: Journal, workers: int) -> None:
    """Make the whole bank in ``output`` and end ``journal`` with the manifest."""
    done = {int(entry.name) for entry in journal.entries()}
    missing = [number for number in range(options.people) if number not in done]
    (output / WORK).mkdir(exist_ok=True)
    with progress(total=options.people, label="heads", unit="person", initial=len(done)) as bar:
        for number in made_by(partial(make_heads_of, options=options, output=output), missing, workers):
            journal.add(True, str(number))
            bar.update()
    heads = _assemble(options, output)
    journal.finish({"version": VERSION, "options": asdict(options), "heads": heads})


def _assemble(options: HeadOptions, output: Path) -> int:
    """Put the pieces together; how many heads there are."""
    found: dict[str, list[NDArray[Any]]] = {}
    people = []
    for number in range(options.people):
        with np.load(_piece(output, number), allow_pickle=False) as stored:
            for name in stored.files:
                found.setdefault(name, []).append(stored[name])
            people += [number] * len(stored["points"])
    for what in ("colour", "cover"):
        starts = np.cumsum([0, *(len(one) for one in found[f"{what}s"][:-1])])
        found[f"{what}_ends"] = [ends + start for ends, start in zip(found[f"{what}_ends"], starts, strict=True)]
    with replacing(output / HEADS) as file:
        arrays: dict[str, Any] = {name: np.concatenate(parts) for name, parts in found.items()}
        np.savez(file, people=people, **arrays)
    return len(people)


class HeadBank:
    """The heads of ``heads.npz``, compressed in memory; those that were opened stay so.

    Args:
        path: the file, or its folder.

    Raises:
        UserError: it is not there, or no bank of heads.
    """

    def __init__(self, path: Path) -> None:
        self.file = file = path / HEADS if path.is_dir() else path
        if not file.is_file():
            raise UserError(f"{file}: no such bank of heads: python datasets/make_heads.py --output {path}")
        try:
            with np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            self._data = {what: (arrays[f"{what}s"], arrays[f"{what}_ends"].tolist()) for what in ("colour", "cover")}
            self.points, self.people = arrays["points"], arrays["people"]
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{file}: no bank of heads, or damaged ({error}): make it anew") from None
        self._opened: dict[int, Head] = {}
        for data, ends in self._data.values():
            if len(ends) != len(self.people) or (ends and ends[-1] != len(data)) or len(self.points) != len(ends):
                raise UserError(f"{file}: its parts are of different lengths: make it anew")

    def __len__(self) -> int:
        return len(self.people)

    def head(self, number: int) -> Head:
        """Head ``number``, from 0."""
        if number not in self._opened:
            colour: Any = cv2.imdecode(self._part("colour", number), cv2.IMREAD_COLOR)
            cover: Any = cv2.imdecode(self._part("cover", number), cv2.IMREAD_GRAYSCALE)
            points = self.points[number]
            pixels: Any = cv2.merge((*cv2.split(cv2.cvtColor(colour, cv2.COLOR_BGR2RGB)), cover))
            head = Head(pixels, None if np.isnan(points[0, 0]) else points)
            if len(self._opened) >= KEPT:
                return head
            self._opened[number] = head
        return self._opened[number]

    def _part(self, what: str, number: int) -> NDArray[np.uint8]:
        data, ends = self._data[what]
        part: NDArray[np.uint8] = data[(ends[number - 1] if number else 0) : ends[number]]
        return part
