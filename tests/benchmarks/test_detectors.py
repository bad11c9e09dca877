"""What the benchmark of detectors counts, on answers that are known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import detectors as benchmark
from lwface.base.errors import UserError
from lwface.detection.base import Detection
from lwface.formats.alignment import five_from_68
from lwface.landmarks.cropping import box_of
from lwface.synthetic.render import sample_image

SHARES = np.array((0.1, -0.25, -0.1, -0.02))


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.stack([sample_image(3, person, 0).landmarks68 for person in range(8)]).astype(np.float64)


def wider(box: np.ndarray) -> np.ndarray:
    """The box of which ``box`` is the fitted one under SHARES."""
    result = np.empty(4)
    for axis in range(2):
        first, last = SHARES[axis], SHARES[axis + 2]
        size = (box[axis + 2] - box[axis]) / (1 + last - first)
        result[axis] = box[axis] - first * size
        result[axis + 2] = result[axis] + size
    return result


def contestant(name: str, truth: np.ndarray, missed: int, others: list[int]) -> benchmark.Contestant:
    one = benchmark.Contestant(name, 0.5)
    for number, points in enumerate(truth):
        box = wider(box_of(points)).astype(np.float32)
        faces = [] if number < missed else [Detection(box, 0.9, five_from_68(points).astype(np.float32))]
        faces += [Detection(box + 500 * (1 + other), 0.8) for other in others]
        one.answers.append(benchmark.Answer(faces, 0.001 * (number + 1)))
    return one


def test_what_is_counted(truth: np.ndarray) -> None:
    first, second = contestant("a", truth, 2, [0, 1]), contestant("b", truth, 0, [1])
    row = benchmark.figures(first, [first, second], truth, "here")
    assert (row.found, row.others, row.alone) == (6, 16, 8)
    np.testing.assert_allclose(row.fit.shares, SHARES, atol=1e-3)
    assert row.fit.residual == pytest.approx(0, abs=2e-3)
    assert row.overlap == pytest.approx(1, abs=0.01)
    assert row.point_error == pytest.approx(0, abs=1e-5)
    assert row.milliseconds == pytest.approx(4.5)
    assert row.fit.source == "here"


def test_the_residual_by_its_definition(truth: np.ndarray) -> None:
    tight = box_of(truth).astype(np.float64)
    moved = tight + np.where(np.arange(8) % 2, 3.0, -3.0)[:, None]
    fit = benchmark.box_fit(moved, tight, "")
    sizes = np.sqrt((tight[:, 2] - tight[:, 0]) * (tight[:, 3] - tight[:, 1]))
    left = fit(moved.astype(np.float32)) - tight
    assert fit.residual == pytest.approx(np.sqrt(((left / sizes[:, None]) ** 2).mean()), abs=2e-3)


def test_a_peer_that_ends_is_told() -> None:
    answer = {"seconds": 1, "faces": [[1, 2, 3, 4, 0.9], [1, 2, 3, 4, 0.2]]}
    program = f"input(); print({json.dumps(answer)!r})"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True) as process:
        peer = benchmark.Contestant("peer", 0.5, process=process)
        peer.see(Path("a.jpg"), np.zeros((1, 1, 3), np.uint8))
        assert [[face.score for face in seen.faces] for seen in peer.answers] == [[0.9]]
        with pytest.raises(UserError, match=r"peer ended at a\.jpg"):
            peer.see(Path("a.jpg"), np.zeros((1, 1, 3), np.uint8))


@pytest.mark.parametrize("pixels", [60.0, 400.0])
def test_a_frame_is_enlarged_around_its_face(pixels):
    shown = sample_image(3, 0, 0)
    frame, points = shown.frame, shown.landmarks68.astype(np.float64)
    part, moved = benchmark.sized(frame, points, pixels)
    box = box_of(moved)
    assert max(box[2] - box[0], box[3] - box[1]) == pytest.approx(pixels)
    assert max(part.shape[:2]) <= benchmark.WINDOW
    scale = pixels / max(np.ptp(points, axis=0))
    corners = np.array([[-0.5, -0.5], [frame.shape[1] - 0.5, frame.shape[0] - 0.5]])
    whole = np.round((corners[1] - corners[0]) * scale)
    assert part.shape[:2] == tuple(np.minimum(whole, benchmark.WINDOW).astype(int)[::-1])
    nose = np.round(moved[30]).astype(int)
    patch = part[nose[1] - 2 : nose[1] + 3, nose[0] - 2 : nose[0] + 3].mean(axis=(0, 1))
    there = np.round(points[30]).astype(int)
    near = frame[there[1] - 3 : there[1] + 4, there[0] - 3 : there[0] + 4].reshape(-1, 3)
    assert (np.abs(near.mean(axis=0) - patch) < 25).all()
