"""The package's own detector: from a network's numbers to faces, and what is no picture and no model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lwface
from lwface.base.errors import UserError
from lwface.detection.choices import MTCNN, OWN, YUNET, chosen_detector
from lwface.detection.loading import open_detector
from lwface.detection.reading import COARSE, faces_in, load_detector, padded
from lwface.models.saved import save_model
from lwface.networks.face_detector import NUMBERS, FaceDetector, places_of


class Sees(nn.Module):
    """In place of a trained network: sure of a white rectangle, where its places are near the middle of it."""

    def forward(self, images: Tensor) -> Tensor:
        """The numbers that say where the rectangle is; its points are its middle."""
        middles, strides = places_of(*images.shape[2:])
        rows, columns = (images[0, 0] > 250).nonzero(as_tuple=True)
        numbers = torch.zeros(1, len(strides), NUMBERS)
        numbers[..., 0] = -9
        if len(rows):
            box = torch.tensor([columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5])
            inside = torch.cat((middles - box[:2], box[2:] - middles), dim=1) / strides[:, None]
            near = (inside > 0.4).all(dim=1)
            numbers[0, :, 0] = torch.where(near, 3.0 + inside.min(dim=1).values.clamp(max=2), -9)
            numbers[0, near, 1:5] = inside[near].log()
            middle = ((box[:2] + box[2:]) / 2 - middles) / strides[:, None]
            numbers[0, :, 5:] = middle.repeat(1, 5)
        return numbers


def white(size: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    image = np.full((*size, 3), 90, np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return image


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((64, 96), (20, 10, 50, 52)),
        ((75, 111), (60, 30, 111, 75)),
        ((401, 333), (40, 80, 300, 390)),
        ((500, 900), (500, 100, 560, 170)),
        ((500, 900), (300, 60, 640, 440)),
    ],
)
def test_a_face_is_found_once_where_it_is(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    """In a picture that is looked at in half and a quarter of its size too, and at sizes that are no multiples."""
    (face,) = faces_in(Sees(), white(size, box))  # type: ignore[arg-type]
    edges = np.array(box) - 0.5
    assert face.points is not None
    tolerance = 0.01 if max(size) <= COARSE else 1.5 if max(size) <= 2 * COARSE else 4.5
    np.testing.assert_allclose(face.box, edges, atol=tolerance)
    np.testing.assert_allclose(face.points, np.tile((edges[:2] + edges[2:]) / 2, (5, 1)), atol=tolerance)
    assert 0.9 < face.score < 1


def test_a_large_face_is_left_to_the_smaller_picture() -> None:
    """In the whole one everything of more than LARGE pixels is left out, however sure the network is."""
    seen = []

    class Looks(Sees):
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(images.shape[2:]))
            return (
                super().__call__(images)
                if images.shape[3] == 640
                else torch.full((1, len(places_of(*images.shape[2:])[1]), NUMBERS), -9.0)
            )

    assert len(faces_in(Looks(), white((640, 640), (300, 300, 380, 380)))) == 1  # type: ignore[arg-type]
    assert faces_in(Looks(), white((640, 640), (300, 300, 400, 400))) == []  # type: ignore[arg-type]
    assert seen == [(640, 640), (320, 320), (160, 160)] * 2


def test_nothing_is_found_where_there_is_nothing() -> None:
    for size in ((1, 1), (5, 700), (33, 31)):
        assert faces_in(Sees(), np.zeros((*size, 3), np.uint8)) == []  # type: ignore[arg-type]


def test_a_picture_is_filled_up_to_the_right_and_below() -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 64, 3), dtype=np.uint8)
    found = padded(image)
    assert found.shape == (1, 3, 64, 64)
    np.testing.assert_array_equal(found[0, :, :33].permute(1, 2, 0), image)


def test_only_weights_of_a_detector_are_taken(tmp_path: Path) -> None:
    network = FaceDetector()
    path = save_model(str(tmp_path / "model"), 1, network, {"detector": "boxes and five points"})
    other = FaceDetector()
    load_detector(other, path)
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    assert open_detector(OWN, str(path)).tight(np.ones((1, 4), np.float32)).tolist() == [[1, 1, 1, 1]]
    wrong = save_model(str(tmp_path / "other"), 1, network, {"net_name": "y2"})
    with pytest.raises(UserError, match="is no face detector"):
        open_detector(OWN, str(wrong))
    with pytest.raises(UserError, match=r"none\.safetensors: no such file"):
        open_detector(OWN, str(tmp_path / "none.safetensors"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged or not a model"):
        load_detector(other, path)


def test_what_is_no_picture_is_told() -> None:
    with pytest.raises(UserError, match=r"np\.dstack"):
        lwface.detect(np.zeros((5, 5), np.uint8))
    with pytest.raises(UserError, match=r"float64 \(5, 5, 3\): expected uint8"):
        lwface.detect(np.zeros((5, 5, 3)))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="side=3: expected 32"):
        lwface.detect(np.zeros((5, 5, 3), np.uint8), side=3)
    for score in (-0.1, 1.5, float("nan")):
        with pytest.raises(UserError, match=f"min_score={score:g}: expected 0 to 1"):
            lwface.detect(np.zeros((5, 5, 3), np.uint8), min_score=score)
    with pytest.raises(FileNotFoundError):
        lwface.detect("none.jpg")


def test_the_file_says_which_detector_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_detector(None, "m.onnx") == YUNET
    assert chosen_detector(None, "m.safetensors") == OWN
    assert chosen_detector(OWN, "m.safetensors") == OWN
    monkeypatch.setattr("lwface.detection.choices.available", lambda module: True)
    assert chosen_detector(None, None) == MTCNN
    monkeypatch.setattr("lwface.detection.choices.available", lambda module: False)
    assert chosen_detector(None, None) == OWN
