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
    line = np.array([-4.0, 0.8, 0.3])

    def point(people, images):
        tars = np.array([[synthetic_curve.at(line, people, images)] * 2])
        return synthetic_curve.Point(people, images, 1.0, synthetic_curve.Scores(tars, np.zeros((1, 2, 3))))

    points = [point(*pair) for pair in ((400, 8), (1600, 8), (8000, 8), (1600, 2))]
    np.testing.assert_allclose(synthetic_curve.fitted(points, 0), line, atol=1e-9)
    assert synthetic_curve.at(line, 1, 1) == pytest.approx(1 / (1 + np.exp(4)))
