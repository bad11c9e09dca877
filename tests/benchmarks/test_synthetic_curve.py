"""The curve of rendered people: which images a point has, and that the fit finds the line of its points."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_curve

from lwface.base.errors import UserError
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.recognition.leaving_out import read_left_out

GREY = encode_jpeg(np.full((112, 112, 3), 128, np.uint8))


@pytest.fixture
def records(tmp_path):
    """Five people with four images each, not in the order of people."""
    with RecordWriter(tmp_path / "train.rec") as writer:
        for key in range(20):
            writer.write(key, pack(Header(0, float(key % 5), key, 0), GREY))
    (tmp_path / "property").write_text("5,112,112", encoding="ascii")
    return FaceRecords(tmp_path)


def test_a_point_is_the_first_images_of_the_first_people(records, tmp_path):
    synthetic_curve.leave_out(records, 3, 2, tmp_path / "list.csv")
    used = read_left_out(tmp_path / "list.csv", records).used
    assert np.flatnonzero(used).tolist() == [0, 1, 2, 5, 6, 7]
    with pytest.raises(UserError, match="12 images for 3 people x 6"):
        synthetic_curve.leave_out(records, 3, 6, tmp_path / "list.csv")


def test_the_fit_finds_its_line():
    """Two draws with lines of their own."""
    lines = np.array([[-4.0, -3.0], [0.8, 0.5], [0.3, 0.1]])
    pairs = ((400, 8), (1600, 8), (8000, 8), (1600, 2))
    logits = [lines[0] + lines[1] * np.log10(people) + lines[2] * np.log10(images) for people, images in pairs]
    tars = 1 / (1 + np.exp(-np.array(logits)))
    points = [synthetic_curve.Point(*pair, 1.0, synthetic_curve.Scores(tars, tars)) for pair in pairs]
    found = synthetic_curve.fitted(points, tars)
    np.testing.assert_allclose(found, lines, atol=1e-9)
    for (people, images), tar in zip(pairs, tars, strict=True):
        np.testing.assert_allclose(synthetic_curve.at(found, people, images), tar)


def test_what_is_drawn_on_has_the_people_s_interval():
    """Points on one line in every draw: drawn on, the draws' own middle 95 %."""
    draws = np.linspace(-1, 1, 101)
    pairs = ((400, 8), (1600, 8), (8000, 8), (1600, 2))

    def point(people, images):
        logits = (0.5 + 0.1 * draws) * np.log10(people) + 0.2 * np.log10(images) - 3
        tars = 1 / (1 + np.exp(-logits))
        scores = synthetic_curve.Scores(np.full((1, 2), tars[50]), np.tile(tars, (1, 2, 1)))
        return synthetic_curve.Point(people, images, 1.0, scores)

    told = synthetic_curve.drawn_on([point(*pair) for pair in pairs], 0)
    assert "logit +0.500 (+0.405 to +0.595) for ten times the people, +0.200 (+0.200 to +0.200)" in told
    middle, low, high = (1 / (1 + np.exp(-(slope * 5 + 0.2 - 3))) for slope in (0.5, 0.405, 0.595))
    assert told.endswith(f"100000 x 10: {middle:.3f} ({low:.3f} to {high:.3f})")
