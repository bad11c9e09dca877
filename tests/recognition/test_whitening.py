"""The map lies in the network: its features are those of before, mapped, and the scatter within people is a sphere."""

import cv2
import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.models.store import load_model, save_model
from lwface.networks import create_network
from lwface.recognition.dataset import FaceDataset
from lwface.recognition.whitening import whiten, whiten_model, within_people

PEOPLE = np.repeat(np.arange(60), 4)


@pytest.fixture
def features():
    """People apart by as much as their images are, the images mostly along one direction; 240 rows of 8 numbers."""
    draw = np.random.default_rng(0)
    within = draw.normal(size=(240, 8)) * (4, 1, 1, 1, 0.5, 0.5, 0.2, 0.2) @ np.linalg.qr(draw.normal(size=(8, 8)))[0]
    return (draw.normal(size=(60, 8))[PEOPLE] + within + 3).astype(np.float32)


def scatter_of(rows):
    """Within people, in plain loops."""
    found = np.zeros((8, 8))
    for who in range(60):
        own = rows[who == PEOPLE]
        for row in own:
            found += np.outer(row - own.mean(axis=0), row - own.mean(axis=0))
    return found / len(rows)


def test_the_scatter_within_people_is_a_sphere_of_its_size(features):
    by = within_people(features, PEOPLE, 1e-9)
    before = scatter_of(features.astype(np.float64))
    after = scatter_of((features - by.mean) @ by.matrix)
    np.testing.assert_allclose(after, np.eye(8) * np.trace(before) / 8, atol=1e-6)
    np.testing.assert_allclose(((features - by.mean) @ by.matrix).mean(axis=0), 0, atol=1e-5)


def test_all_of_a_sphere_maps_nothing(features):
    np.testing.assert_allclose(within_people(features, PEOPLE, 1.0).matrix, np.eye(8), atol=1e-9)


def test_people_with_one_image_say_nothing(features):
    more = np.concatenate([features, 50 + features[:3]])
    by = within_people(more, np.append(PEOPLE, [60, 61, 62]), 0.2)
    np.testing.assert_allclose(by.matrix, within_people(features, PEOPLE, 0.2).matrix, rtol=1e-9)


def test_too_few_rows(features):
    with pytest.raises(UserError, match="8 images of 2 people with two or more: too few for features of 8"):
        within_people(features[:8], PEOPLE[:8], 0.2)


@pytest.mark.parametrize("output", ["E", "GAP", "FC", "J", "F", "H"])
def test_the_network_gives_the_mapped_features(output):
    torch.manual_seed(0)
    network = create_network({"net_name": "fmobilenet", "emb_size": 8, "net_input": 0, "net_act": "relu",
                              "net_output": output, "net_multiplier": 0.25})  # fmt: skip
    for name, value in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.copy_(torch.randn_like(value) * 0.1)
    images = torch.randint(0, 256, (240, 3, 112, 112), dtype=torch.uint8)[:24]
    network.eval()
    with torch.inference_mode():
        before = network(images).double().numpy()
    draw = np.random.default_rng(1)
    by = within_people(draw.normal(size=(240, 8)).astype(np.float32) * (3, 1, 1, 1, 1, 1, 1, 0.3), PEOPLE, 0.2)
    whiten(network, by)
    with torch.inference_mode():
        after = network(images).double().numpy()
    np.testing.assert_allclose(after, (before - by.mean) @ by.matrix, rtol=2e-4, atol=2e-4 * np.abs(before).max())


def test_a_saved_model_is_whitened_on_its_images(tmp_path):
    """The mean over images and mirrors is 0, and what is written has the layers of what was read."""
    draw = np.random.default_rng(2)
    images = cv2.GaussianBlur(draw.integers(0, 256, (36 * 112, 112, 3), np.uint8), (0, 0), 5).reshape(36, 112, 112, 3)
    with RecordWriter(tmp_path / "train.rec") as writer:
        for key, image in enumerate(images):
            writer.write(key, pack(Header(0, float(key % 12), key, 0), encode_jpeg(image)))
    (tmp_path / "property").write_text("12,112,112", encoding="ascii")
    torch.manual_seed(0)
    settings = {"net_name": "fmobilenet", "emb_size": 8, "net_input": 0, "net_act": "relu", "net_output": "GAP",
                "net_multiplier": 0.25, "image_shape": [112, 112, 3]}  # fmt: skip
    save_model(str(tmp_path / "model"), 1, create_network(settings), settings)
    whiten_model(f"{tmp_path}/model,1", tmp_path, 100, 0.2, f"{tmp_path}/white,1")
    network, config = load_model(f"{tmp_path}/white,1")
    assert config["whitened_by"] == f"36 images of {tmp_path.name}, shrink 0.2"
    rows = FaceDataset(FaceRecords(tmp_path), image_size=(112, 112))[np.arange(36)].images.numpy()
    found = Embedder(network, device=torch.device("cpu"), batch_size=36).embed(rows, flip=True)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4 * np.abs(found).max())
