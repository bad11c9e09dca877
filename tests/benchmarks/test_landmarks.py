"""What the benchmarks of points take for granted."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import landmarks, point_heads
from lwface.base.errors import UserError
from lwface.landmarks.scheme import MIRROR
from lwface.networks import POINT_HEADS
from lwface.settings.places import Places
from lwface.settings.sections import load_sections


@pytest.mark.parametrize("combination", point_heads.COMBINATIONS, ids="-".join)
def test_combinations_can_be_trained(combination):
    network, head, loss = combination
    load_sections(Places.of()).entry("network", network)
    assert loss in POINT_HEADS[head].losses


def test_unknown_combinations_are_refused(tmp_path):
    with pytest.raises(UserError, match="known are r12_p-integral-l1"):
        point_heads.main(["--data", str(tmp_path), "--work", str(tmp_path), "--only", "nothing"])


def test_mirrored_crops_give_the_places_of_the_mirrored_face(monkeypatch):
    """A network that says where the bright column is: the same from both, for a point that is its own mirror image."""
    own = next(point for point in range(68) if MIRROR[point] == point)

    def program(path):
        def call(data):
            column = float(data[0, 0].sum(0).argmax())
            return np.tile(np.array((column, 7.0), np.float32), (1, 68))

        return call

    monkeypatch.setitem(landmarks.PROGRAMS, "fake", program)
    image = np.zeros((112, 112, 3), np.uint8)
    image[:, 30] = 255
    predictor = landmarks.ours("x", Path("x"))
    predictor.mirrored = True
    np.testing.assert_allclose(predictor.runner("fake")(image)[own], (30, 7))
