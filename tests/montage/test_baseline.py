"""The baselines against the published one's program, read line by line."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.formats.montage_video import FaceVideo, read_face_video
from lwface.montage.baseline import PublishedBaseline, RepairedBaseline
from lwface.montage.costs import MAXIMUM, summary
from lwface.montage.processor import index_name, score
from tests.montage.conftest import FRAMES, SIZE, face, picture

QUERY = FaceVideo(
    np.stack([picture(90 + number) for number in range(8)], axis=3),
    np.stack([face(90 + number) for number in range(8)]),
)


def published_answer(landmarks, folder):
    """The published steps: ids from 1, start and end of each video, strict bounds, the farthest of ten."""
    counter, vectors, bounds = 0, {}, []
    for name in FRAMES:
        points = read_face_video(folder / f"{name}.npz").points
        start = counter
        for frame in points:
            counter += 1
            vectors[counter] = frame.ravel()
        bounds.append((name, start, counter))
    nearest = sorted(vectors, key=lambda i: np.linalg.norm(vectors[i] - landmarks.ravel()))[:10]
    found = nearest[-1]
    for name, start, end in bounds:
        if start < found < end:
            return read_face_video(folder / f"{name}.npz").frame(found - start)
    return None


@pytest.fixture
def published(table):
    processor = PublishedBaseline(table)
    processor.build_index(index_name(table))
    processor.load_index(index_name(table))
    return processor


def test_the_published_baseline_answers_as_published(published, table):
    answered = 0
    for seed in range(60):
        asked = face(200 + seed)
        expected = published_answer(asked, table.parent)
        result = published.process_frame(picture(seed), asked)
        assert (result is None) == (expected is None)
        if result is not None:
            answered += 1
            np.testing.assert_array_equal(result.frame, expected)
            np.testing.assert_array_equal(result.landmarks, asked)  # its own claim
    assert 10 < answered < 60


def test_what_it_claims_is_free_in_public_and_what_it_shows_is_not(published):
    results = published.process_video(QUERY)
    assert None in results
    costs = score(QUERY, results, published.index, published.frames)
    for result, frame in zip(results, costs, strict=True):
        assert frame.public.points == 0
        assert frame.honest == MAXIMUM if result is None else 0.1 < frame.honest.points < 9


def test_the_repaired_one_shows_the_nearest_of_all_frames(table):
    processor = RepairedBaseline(table)
    processor.build_index(index_name(table))
    every = np.concatenate([read_face_video(table.parent / f"{name}.npz").points for name in FRAMES])
    for number in range(QUERY.count):
        asked = QUERY.points[number]
        distances = (((every - asked) / np.array(SIZE)) ** 2).sum(axis=(1, 2))
        assert processor.process_frame(QUERY.frame(number), asked).frame_idx == int(distances.argmin())


def test_the_repaired_one_claims_what_is_so(table):
    processor = RepairedBaseline(table)
    processor.build_index(index_name(table))
    for kind, sums in summary(score(QUERY, processor.process_video(QUERY), processor.index, processor.frames)).items():
        assert kind == "public" or sums.points == pytest.approx(
            sum(
                9 * np.abs((QUERY.points[n] - r.landmarks) / np.array(SIZE)).mean()
                for n, r in enumerate(processor.process_video(QUERY))
            )
        )
