"""Faces of a folder of photographs, found once and kept as a table: :mod:`lwface.formats.face_csv`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.journal import Journal
from lwface.base.progress import progress
from lwface.detection.selection import NO_FACE, FaceFinder, FoundFace, verdicts
from lwface.formats.face_csv import FaceRow, write_faces
from lwface.formats.image import decode_rgb, image_damage
from lwface.making.image_folder import ordered_map

TABLE = "faces.csv"


def folder_beside(output: Path) -> Path:
    """Where the table of the faces lies whose crops go into ``output``."""
    return output.with_name(f"{output.name}.faces")


class Opened(NamedTuple):
    """A picture (H, W, 3) RGB, or why there is none."""

    image: NDArray[np.uint8] | None
    reason: str


@dataclass(frozen=True)
class FaceSearch:
    """What is looked for: ``which`` faces, of ``least`` pixels or more."""

    root: Path
    finder: FaceFinder
    which: str
    least: float

    def through(self, names: Sequence[str], journal: Journal, workers: int) -> None:
        """Search the images ``names`` below the root that ``journal`` does not have yet; threads open them ahead."""
        rest = names[journal.done :]
        pictures = ordered_map(self._opened, rest, workers)
        with progress(total=len(names), label="faces", unit="image", initial=journal.done) as bar:
            for name, (image, reason) in zip(rest, pictures, strict=True):
                rows = [_without_face(name, reason)] if image is None else self._rows(name, image)
                taken = any(row.use for row in rows)
                journal.add(taken, name, "" if taken else rows[0].reason, _as_text(rows))
                bar.update()

    def _opened(self, name: str) -> Opened:
        data = (self.root / name).read_bytes()
        image = decode_rgb(data)
        return Opened(image, "" if image is not None else image_damage(data) or "not an image that can be decoded")

    def _rows(self, name: str, image: NDArray[np.uint8]) -> list[FaceRow]:
        """The lines of an image: the faces that are used first, each kind the surest first."""
        faces = self.finder(image)
        if not faces:
            return [_without_face(name, NO_FACE)]
        reasons = verdicts(faces, image.shape[:2], self.which, self.least)
        order = sorted(range(len(faces)), key=lambda i: bool(reasons[i]))
        return [_row(name, number, faces[i], reasons[i]) for number, i in enumerate(order, start=1)]


def write_table(path: Path, journal: Journal, count: int) -> None:
    """Write the faces of ``count`` points that ``journal`` has."""
    write_faces(path, (row for entry in journal.entries() for row in _from_text(entry.name, entry.found)), count)


def _without_face(name: str, reason: str) -> FaceRow:
    return FaceRow(name, 0, False, {}, reason, None)


def _row(name: str, number: int, face: FoundFace, reason: str) -> FaceRow:
    left, top, right, bottom = face.box.tolist()
    figures = {"left": left, "top": top, "right": right, "bottom": bottom, "score": face.score, "size": face.size}
    figures |= {"residual": face.residual, "sharpness": face.sharpness}
    return FaceRow(name, number, not reason, figures, reason, face.points.astype(np.float64))


def _as_text(rows: Sequence[FaceRow]) -> str:
    """The lines of one image for the journal, without blanks that it would change."""
    kept = [
        [row.face, row.use, row.figures, row.reason, None if row.points is None else row.points.tolist()]
        for row in rows
    ]
    return json.dumps(kept, separators=(",", ":"))


def _from_text(name: str, text: str) -> list[FaceRow]:
    return [
        FaceRow(name, face, use, figures, reason, None if points is None else np.array(points, np.float64))
        for face, use, figures, reason, points in json.loads(text)
    ]
