"""Quality heads on disk, and what is said of files that are none or belong to another model."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save, save_file

from lwface.base.errors import UserError
from lwface.features.quality import KEY, QualityHead, load_quality, save_quality

HEAD = QualityHead(np.linspace(-1, 2, 5), 0.25)
MODEL = "a" * 64


def test_a_head_comes_back_as_it_was_and_the_bytes_are_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        save_quality(tmp_path / name, HEAD, MODEL, {"people": 7, "seed": 3, "loss": 0.5})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = load_quality(tmp_path / "one", MODEL, "m,1")
    np.testing.assert_array_equal(found.weight, HEAD.weight)
    assert found.bias == HEAD.bias
    assert found.weighting().label == HEAD.weighting(views=2).label
    assert found.weighting().label != QualityHead(HEAD.weight, 0.5).weighting().label


def test_the_weights_are_the_formula():
    frames = np.random.default_rng(0).normal(size=(6, 4)) * 5
    logits = [frame @ HEAD.weight[:4] + np.log(np.sqrt((frame**2).sum())) * HEAD.weight[4] + 0.25 for frame in frames]
    np.testing.assert_allclose(HEAD.weighting().weights(frames), np.exp(logits), rtol=1e-12)


def test_a_missing_or_foreign_file_says_how_to_make_one(tmp_path):
    path = tmp_path / "q.safetensors"
    remedy = r"train one: python recognition/train_quality.py --model m,1 --input FOLDER --output .*q.safetensors"
    with pytest.raises(UserError, match=f"no such quality head; {remedy}"):
        load_quality(path, MODEL, "m,1")
    save_quality(path, HEAD, MODEL, {})
    with pytest.raises(UserError, match=f"trained for the model {'a' * 12}, and m,1 is {'b' * 12}; {remedy}"):
        load_quality(path, "b" * 64, "m,1")
    whole = path.read_bytes()
    for damage in (b"", b"not a head at all", whole[:-3], whole[:20]):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=f"damaged or not a quality head; {remedy}"):
            load_quality(path, MODEL, "m,1")
    save_file({"weight": HEAD.weight}, path)
    with pytest.raises(UserError, match="not a quality head"):
        load_quality(path, MODEL, "m,1")


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight": np.zeros(4), "bias": np.zeros(1)},
        {"weight": np.zeros(5, np.float32), "bias": np.zeros(1)},
        {"weight": np.zeros(5), "bias": np.zeros(2)},
        {"weight": np.array([0, 0, np.nan, 0, 0]), "bias": np.zeros(1)},
        {"weight": np.zeros(5), "bias": np.array([np.inf])},
    ],
)
def test_numbers_that_are_no_head(tmp_path, tensors):
    path = tmp_path / "q.safetensors"
    path.write_bytes(save(tensors, metadata={KEY: json.dumps({"model_sha256": MODEL, "embedding_size": 4})}))
    assert load_file(path)  # a sound file, only not what is expected
    with pytest.raises(UserError, match="its numbers are not those of a quality head"):
        load_quality(path, MODEL, "m,1")
