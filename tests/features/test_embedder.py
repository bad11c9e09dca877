import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder, evaluating

CPU = torch.device("cpu")


class Tiny(nn.Module):
    """Small, but with all that a wrong mode, order of axes or channel would change."""

    embedding_size = 6

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, (3, 5), stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.norm.running_mean.normal_()
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(4 * 7 * 10, 6)
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape))
        pixels = (images.to(self.linear.weight.dtype) - 127.5) / 128
        return self.linear(self.drop(torch.relu(self.norm(self.conv(pixels)))).flatten(1))


def faces(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 24, 3), dtype=np.uint8)


def naive(images: np.ndarray) -> np.ndarray:
    """One image at a time, in float64."""
    network = Tiny().double().eval()
    with torch.no_grad():
        rows = [network(torch.from_numpy(image.astype(np.float64)).permute(2, 0, 1)[None])[0] for image in images]
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("count", [1, 4, 5, 11])
def test_equals_one_image_at_a_time_in_float64(count):
    images = faces(count)
    embedder = Embedder(Tiny().train(), device=CPU, batch_size=4)
    plain, mirrored = embedder.embed_both(images)
    assert plain.dtype == np.float32
    np.testing.assert_allclose(plain, naive(images), atol=1e-5)
    np.testing.assert_allclose(mirrored, naive(images[:, :, ::-1]), atol=1e-5)
    np.testing.assert_array_equal(embedder.embed(images, flip=False), plain)
    np.testing.assert_array_equal(embedder.embed(images, flip=True), plain + mirrored)


def test_only_full_batches_reach_the_network():
    network = Tiny()
    Embedder(network, device=CPU, batch_size=4).embed(faces(9), flip=True)
    assert network.sizes == [(4, 3, 16, 24)] * 6
    assert Embedder(network, device=CPU, batch_size=4).embed(faces(0), flip=True).shape == (0, 6)


@given(count=st.integers(1, 12), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_a_row_depends_on_its_image_alone(count, seed):
    images = faces(12)
    embedder = Embedder(Tiny(), device=CPU, batch_size=5)
    whole = embedder.embed(images, flip=True)
    np.testing.assert_array_equal(embedder.embed(images[:count], flip=True), whole[:count])  # how many follow
    others = faces(12, seed)
    others[count - 1] = images[count - 1]
    np.testing.assert_array_equal(embedder.embed(others, flip=True)[count - 1], whole[count - 1])  # which stand beside


def test_with_flip_a_mirrored_image_has_the_same_feature():
    embedder, images = Embedder(Tiny(), device=CPU, batch_size=4), faces(6)
    np.testing.assert_allclose(embedder.embed(images[:, :, ::-1], True), embedder.embed(images, True), atol=1e-6)
    assert np.abs(embedder.embed(images[:, :, ::-1], False) - embedder.embed(images, False)).max() > 0.01


def test_a_network_in_training_is_left_as_it_was():
    network = Tiny().train()
    network.norm.eval()  # frozen by its owner
    state = {name: value.clone() for name, value in network.state_dict().items()}
    Embedder(network, device=CPU, batch_size=4).embed(faces(4), flip=True)
    assert (network.training, network.drop.training, network.norm.training) == (True, True, False)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name
    network(torch.from_numpy(faces(4)).permute(0, 3, 1, 2)).sum().backward()  # and can still learn
    with pytest.raises(ZeroDivisionError), evaluating(network):
        _ = 1 / 0
    assert network.training


def test_inside_autocast_float32_stays_float32():
    embedder, images = Embedder(Tiny(), device=CPU, batch_size=4), faces(4)
    expected = embedder.embed(images, True)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(embedder.embed(images, True), expected)


def test_kernels_are_exact_and_repeatable_inside_and_as_before_outside():
    cudnn, seen = torch.backends.cudnn, []
    network = Tiny()
    network.register_forward_hook(
        lambda *_: seen.append((cudnn.enabled, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark))
    )
    with cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True):  # as a trainer may have it
        Embedder(network, device=CPU, batch_size=4).embed(faces(1), False)
        assert seen == [(True, False, True, False)]
        assert (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark) == (True, False, True)


def test_wrong_arguments():
    for images in (faces(2).astype(np.float32), faces(2)[0], faces(2).transpose(0, 3, 1, 2)):
        with pytest.raises(ValueError, match=r"images must be uint8 \(N, H, W, 3\)"):
            Embedder(Tiny(), device=CPU, batch_size=4).embed(images, False)
    with pytest.raises(UserError, match="batch size 0"):
        Embedder(Tiny(), device=CPU, batch_size=0)
    with pytest.raises(UserError, match="bf16 needs a CUDA device"):
        Embedder(Tiny(), device=CPU, batch_size=4, precision="bf16")
    with pytest.raises(UserError, match="unknown precision 'half'"):
        Embedder(Tiny(), device=CPU, batch_size=4, precision="half")
    network = Tiny()
    network.embedding_size = 7
    with pytest.raises(ValueError, match=r"shape \(4, 6\), expected \(4, 7\)"):
        Embedder(network, device=CPU, batch_size=4).embed(faces(2), False)
