"""Which detector finds the faces? Recall, other faces, boxes, points and time of each, on frames with 68 known points.

    python benchmarks/detectors.py --input ytf-keypoints --detector-model yunet.onnx --peers

``--input`` is the YouTube Faces teaching set (docs/data.md). A face is found where a box at or above the detector's own
least score overlaps the least box of the true points by 0.3 or more, after the detector's boxes are carried to such
boxes by a constant map (``BoxFit``), which is fitted here and printed, ready for the adapter. Other detections may be
other people: of them those count as alone that no other detector has. Recall and precision are by the adapter's own
map at an overlap of 0.5; a face of somebody else that another detector has too is neither right nor wrong. ``--peers``
adds packages in environments of their own, which ``make peers`` sets up. ``--face 320`` makes each face so long and
shows at most 640 pixels around it. All see one frame after the other in turns, on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.commands import HelpFormatter, existing, run_command
from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.detection.base import BoxFit, Detection, Detector, overlap
from lwface.detection.choices import INSIGHTFACE, MTCNN, OWN, YUNET, chosen_detector
from lwface.detection.loading import open_detector
from lwface.detection_training.judging import FoundRanking, ranking
from lwface.formats.alignment import five_from_68
from lwface.formats.image import read_rgb
from lwface.landmarks.cropping import box_of
from lwface.making.youtube_faces import read_youtube_faces

ROOT = Path(__file__).resolve().parents[1]
PEER = ROOT / "benchmarks" / "peers" / "detected.py"
PEERS = {"deface": ("deface", 0.5), "mediapipe-short": ("mediapipe", 0.5), "mediapipe-full": ("mediapipe", 0.5)}
FOUND = 0.3  # intersection over union
WINDOW = 640  # pixels a side of a frame that --face enlarged


class Answer(NamedTuple):
    """What a detector makes of a frame."""

    faces: list[Detection]
    seconds: float


@dataclass
class Contestant:
    """A detector, here or in a process of its own, and its answers so far."""

    name: str
    least: float
    detector: Detector | None = None
    process: subprocess.Popen[str] | None = None
    answers: list[Answer] = field(default_factory=list)

    def see(self, path: Path, image: NDArray[np.uint8]) -> None:
        """Let it find the faces of a frame."""
        if self.detector is not None:
            start = time.perf_counter()
            faces = self.detector(image, self.least)
            self.answers.append(Answer(faces, time.perf_counter() - start))
            return
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{path}\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            with contextlib.suppress(BrokenPipeError):  # what was asked for may still wait to be sent
                self.process.stdin.close()
            raise UserError(f"{self.name} ended at {path}")
        told = json.loads(line)
        faces = [_detection(row) for row in told["faces"] if row[4] >= self.least]
        self.answers.append(Answer(faces, told["seconds"]))


def _detection(row: Sequence[float]) -> Detection:
    points = np.array(row[5:], np.float32).reshape(5, 2) if len(row) == 15 else None
    return Detection(np.array(row[:4], np.float32), row[4], points)


class Figures(NamedTuple):
    """A row of the table; ``fit`` carries the boxes to those of the points."""

    found: int
    others: int
    alone: int
    fit: BoxFit
    overlap: float
    point_error: float
    milliseconds: float
    ranked: FoundRanking


def box_fit(boxes: NDArray[np.float64], truth: NDArray[np.float64], source: str) -> BoxFit:
    """The constant shares, medians over the faces, that carry ``boxes (N, 4)`` to ``truth (N, 4)``."""
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    shares = np.median((truth - boxes) / size, axis=0)
    left = (boxes + shares * size - truth) / np.sqrt((truth[:, 2:] - truth[:, :2]).prod(axis=1))[:, None]
    first, second, third, fourth = (round(float(share), 3) for share in shares)
    return BoxFit((first, second, third, fourth), round(float(np.sqrt((left**2).mean())), 3), source)


def figures(one: Contestant, all_of_them: Sequence[Contestant], truth: NDArray[np.float64], source: str) -> Figures:
    """What the answers are worth against the true points ``(N, 68, 2)``."""
    tight = box_of(truth).astype(np.float64)
    own: list[int | None] = [_nearest(answer.faces, box) for answer, box in zip(one.answers, tight, strict=True)]
    hits = [(i, face) for i, face in enumerate(own) if face is not None]
    boxes = np.array([one.answers[i].faces[face].box for i, face in hits], np.float64)
    fit = box_fit(boxes, tight[[i for i, _ in hits]], source)
    fitted = fit(boxes.astype(np.float32))
    shares = [overlap(box[None], tight[i][None])[0, 0] for box, (i, _) in zip(fitted, hits, strict=True)]
    errors = [
        np.linalg.norm(points - five_from_68(truth[i]), axis=1).mean() / np.sqrt(np.ptp(truth[i], axis=0).prod())
        for i, face in hits
        if (points := one.answers[i].faces[face].points) is not None
    ]
    others = [(i, face) for i, a in enumerate(one.answers) for j, face in enumerate(a.faces) if j != own[i]]
    alone = sum(not _seen_by_another(one, all_of_them, i, face) for i, face in others)
    return Figures(
        found=sum(share >= FOUND for share in shares),
        others=len(others),
        alone=alone,
        fit=fit,
        overlap=float(np.median(shares)),
        point_error=float(np.mean(errors)) if errors else float("nan"),
        milliseconds=1000 * float(np.median([answer.seconds for answer in one.answers])),
        ranked=ranked(one, all_of_them, tight, fit),
    )


def ranked(one: Contestant, all_of_them: Sequence[Contestant], tight: NDArray[np.float64], fit: BoxFit) -> FoundRanking:
    """All detections, right or wrong against the true boxes (N, 4); without those of other people.

    Boxes are carried over by the detector's own map, or by ``fit`` where it has none here.
    """
    carry = fit if one.detector is None else one.detector.tight
    found, faces = [], []
    for i, answer in enumerate(one.answers):
        own = [
            face for face in answer.faces if _touches(face, tight[i]) or not _seen_by_another(one, all_of_them, i, face)
        ]
        boxes = np.array([face.box for face in own], np.float32).reshape(-1, 4)
        found.append((carry(boxes), np.array([face.score for face in own])))
        faces.append((tight[i][None], np.ones(1, bool)))
    return ranking(found, faces)


def _touches(face: Detection, box: NDArray[np.float64]) -> bool:
    """Whether a detection is of the one who is meant: it holds a part of the true box."""
    return bool(overlap(face.box[None], box[None])[0, 0] > 0.1)


def _nearest(faces: Sequence[Detection], box: NDArray[np.float64]) -> int | None:
    """The face that covers most of the true box, of those that cover half of it: detectors' boxes are the larger."""
    shares = []
    for face in faces:
        inner = np.minimum(face.box[2:], box[2:]) - np.maximum(face.box[:2], box[:2])
        shares.append(float(inner.clip(min=0).prod() / (box[2:] - box[:2]).prod()))
    return int(np.argmax(shares)) if shares and max(shares) >= 0.5 else None


def _seen_by_another(one: Contestant, all_of_them: Sequence[Contestant], frame: int, face: Detection) -> bool:
    seen = [other.answers[frame].faces for other in all_of_them if other is not one]
    return any(overlap(face.box[None], its.box[None])[0, 0] >= FOUND for faces in seen for its in faces)


def _installed(name: str, file: str | None) -> Detector | None:
    """The detector, or None where it cannot be opened here, which is said."""
    try:
        return open_detector(chosen_detector(name, file), file)
    except UserError as error:
        print(f"without {name}: {error}")
        return None


@contextlib.contextmanager
def contestants(model: str | None, own: str | None, peers: bool) -> Iterator[list[Contestant]]:
    """The detectors that are installed here, and with ``peers`` the packages in environments of their own."""
    found = []
    for name, file in ((OWN, own), (YUNET, model), (MTCNN, None), (INSIGHTFACE, None)):
        detector = _installed(name, file)
        if detector is not None:
            found.append(Contestant(name, detector.min_score, detector))
    with contextlib.ExitStack() as stack:
        for name, (environment, least) in PEERS.items() if peers else ():
            python = ROOT / "build" / "peers" / environment / "bin" / "python"
            if not python.exists():
                print(f"without {name}: make peers sets it up")
                continue
            command = [str(python), str(PEER), name]
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            )
            found.append(Contestant(name, least, process=process))
        yield found


def _last(values: NDArray[np.float64]) -> float:
    """Of all detections together."""
    return float(values[-1]) if len(values) else 0.0


def sized(
    image: NDArray[np.uint8], points: NDArray[np.float64], pixels: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The part of a frame around a face that is made ``pixels`` long: at most WINDOW a side, and its points there.

    Args:
        image: (H, W, 3) uint8.
        points: (68, 2) of its face, whose least box is ``pixels`` on its longer side afterwards.
    """
    left, top, right, bottom = box_of(points)
    scale = pixels / max(right - left, bottom - top)
    bigger = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    middle = np.array((left + right, top + bottom)) / 2 * scale
    size = np.array(bigger.shape[1::-1])
    first = np.clip(np.round(middle - WINDOW / 2), 0, np.maximum(size - WINDOW, 0)).astype(int)
    part = bigger[first[1] : first[1] + WINDOW, first[0] : first[0] + WINDOW]
    return np.ascontiguousarray(part), (points + 0.5) * scale - 0.5 - first


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--input", type=Path, required=True, metavar="FOLDER", help="the teaching set")
    parser.add_argument("--detector-model", metavar="FILE", help="model file of YuNet")
    parser.add_argument("--own-model", metavar="FILE", help=f"other weights of {OWN} than the package's")
    parser.add_argument("--peers", action="store_true", help="with the packages that make peers sets up")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one of N frames")
    parser.add_argument("--face", type=float, metavar="PIXELS", help="enlarge every frame so that its face is so long")
    args = parser.parse_args()
    if args.face is not None and not 16 <= args.face <= WINDOW:
        raise UserError(f"--face {args.face:g}: expected 16 to {WINDOW} pixels")
    if args.face is not None and args.peers:
        raise UserError("--face: the peers read the frames as they are; leave --peers out")
    existing(args.input, args.detector_model, args.own_model)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    core = {min(os.sched_getaffinity(0))}
    os.sched_setaffinity(0, core)  # and that of every process that is started from here
    landmarks = read_youtube_faces(args.input).landmarks
    names = list(landmarks)[:: args.every]
    points = []
    source = f"{len(names)} frames of the YouTube Faces teaching set"
    with contestants(args.detector_model, args.own_model, args.peers) as found:
        for name in progress(names, label="frames", unit="frame"):
            image, here = read_rgb(args.input / name), landmarks[name]
            if args.face is not None:
                image, here = sized(image, here, args.face)
            points.append(here)
            for one in found:
                one.see(args.input / name, image)
    truth = np.stack(points)
    print(f"{source}, one core")
    print(
        "detector           score  found  others  alone  box overlap  box residual  five points   ms/frame  "
        "recall  precision  recall at precision 0.97"
    )
    rows = {one.name: figures(one, found, truth, source) for one in found}
    for one in found:
        row = rows[one.name]
        print(
            f"{one.name:18} {one.least:5.2f} {row.found:6} {row.others:7} {row.alone:6} {row.overlap:12.3f} "
            f"{row.fit.residual:13.3f} {row.point_error:12.4f} {row.milliseconds:10.2f} "
            f"{_last(row.ranked.recall):7.4f} {_last(row.ranked.precision):10.4f} {row.ranked.recall_at(0.97)[0]:10.4f}"
        )
    for one in found:
        print(f"{one.name}: {rows[one.name].fit}")


if __name__ == "__main__":
    run_command(main)
