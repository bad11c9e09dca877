"""Heads of points: each loses nothing of what it is taught, and learns by what it says it does."""

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops
from lwface.landmarks.losses import POINT_LOSSES
from lwface.models.store import load_model, save_model
from lwface.networks import POINT_HEADS, create_network
from lwface.networks.points import PointHead, make_point_network
from lwface.onnx.export import export_onnx

K, SIZE = 68, 112
TINY = {"net_name": "fmobilenet", "net_multiplier": 0.25, "net_input": 0, "net_output": "E", "net_act": "relu"}
EVERY = [(head, loss) for head in POINT_HEADS for loss in POINT_HEADS[head].losses]


def network_of(head, loss, **config):
    torch.manual_seed(0)
    return create_network({**TINY, "point_head": head, "points": K, "point_loss": loss, **config}).eval()


@pytest.fixture
def places():
    """Places anywhere in the crop, and some outside, as of faces that are cut off."""
    draw = torch.Generator().manual_seed(5)
    inside = torch.rand((6, K, 2), generator=draw) * (SIZE - 1)
    inside[5, ::7] = torch.tensor((-6.3, SIZE + 5.2))
    return inside


@pytest.mark.parametrize("head", POINT_HEADS)
def test_what_is_encoded_is_decoded(head, places):
    """Less than 0.01 % of the side: whole cells alone would cost 0.5 % and more."""
    learner = network_of(head, POINT_HEADS[head].losses[0]).head
    assert isinstance(learner, PointHead)
    learner.learn_mean(places[0])
    found = learner.decode(learner.encode(places))
    nme = (found - places).norm(dim=2).mean(1) / SIZE
    assert nme.max() < 1e-4
    assert (found - places).norm(dim=2).max() < 0.02


@pytest.mark.parametrize(("head", "loss"), EVERY)
def test_the_truth_has_the_least_loss(head, loss, places):
    learner = network_of(head, loss).head
    learner.learn_mean(places[0])
    distance, truth = POINT_LOSSES[loss], learner.encode(places)
    least = learner.loss(truth, places, distance)
    draw = torch.Generator().manual_seed(1)
    for much in (0.05, 0.5):
        other = truth + much * torch.randn(truth.shape, generator=draw)
        assert learner.loss(other, places, distance) > least
    moved = learner.loss(learner.encode(places + 3), places, distance)
    assert moved > least


@pytest.mark.parametrize(("head", "loss"), EVERY)
def test_a_few_steps_learn_a_face_by_heart(head, loss, places):
    network = network_of(head, loss).train()
    network.head.learn_mean(places[0])
    images = torch.randint(0, 256, (4, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(2)).float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        output = network.output(images)
        value = network.head.loss(output, places[:4], POINT_LOSSES[loss])
        optimizer.zero_grad()
        value.backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
        optimizer.step()
        losses.append(value.item())
    assert min(losses[-3:]) < losses[0]


@pytest.mark.parametrize("head", POINT_HEADS)
def test_a_face_does_not_depend_on_its_neighbours(head):
    """The maps, and the decoding of the same maps: random ones have ties, which another rounding breaks another way."""
    network = network_of(head, POINT_HEADS[head].losses[0])
    images = torch.randint(0, 256, (5, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    with torch.inference_mode():
        together = network.output(images)
        alone = torch.cat([network.output(image[None]) for image in images])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        decoded = network.head.decode(together)
        torch.testing.assert_close(network(images), decoded.flatten(1))
        assert decoded.shape == (5, K, 2)
        torch.testing.assert_close(decoded, torch.cat([network.head.decode(one[None]) for one in together]))


@pytest.mark.parametrize("head", POINT_HEADS)
def test_a_saved_model_says_the_same(head, tmp_path):
    config = {**TINY, "point_head": head, "points": K, "point_loss": POINT_HEADS[head].losses[0]}
    network = network_of(head, POINT_HEADS[head].losses[0])
    save_model(str(tmp_path / "model"), 1, network, config)
    loaded, _ = load_model(f"{tmp_path / 'model'},1")
    images = torch.randint(0, 256, (2, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(4), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(network(images), loaded(images))


@pytest.mark.parametrize("head", POINT_HEADS)
@pytest.mark.parametrize("adapted", [False, True])
def test_onnx_gives_the_same_points(head, adapted):
    onnxruntime = pytest.importorskip("onnxruntime")
    network = network_of(head, POINT_HEADS[head].losses[0], point_adapted=adapted)
    if head == "heatmap":  # the maps of fresh weights are as often below 0 as above: no peaks to speak of
        network.head.layers[-1].bias.data.fill_(1.0)
    images = np.random.default_rng(4).integers(0, 256, (3, 3, SIZE, SIZE)).astype(np.float32)
    for module in network.modules():  # through fresh batch norms next to nothing arrives: all cells of a map are alike
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.from_numpy(images))
    network.eval()
    session = onnxruntime.InferenceSession(export_onnx(network), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images})
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-2)


@pytest.mark.parametrize("head", POINT_HEADS)
def test_the_gate_counts_it(head):
    network = network_of(head, POINT_HEADS[head].losses[0])
    report = count_flops(network)
    assert report.embedding == 2 * K
    assert report.model_bytes >= 4 * sum(p.numel() for p in network.parameters())
    assert report.flops > count_flops(create_network(TINY)).flops / 2


@pytest.mark.parametrize("loss", ["wing", "nll"])
def test_coordinates_begin_with_the_mean_face(loss, places):
    network = network_of("coordinates", loss)
    network.head.learn_mean(places[3])
    images = torch.randint(0, 256, (3, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(7)).float()
    with torch.no_grad():
        found = network(images).unflatten(1, (K, 2))
    torch.testing.assert_close(found, places[3].expand(3, K, 2), atol=1e-4, rtol=0)


def test_uncertain_coordinates_are_a_laplace_likelihood(places):
    learner = network_of("coordinates", "nll").head
    draw = torch.Generator().manual_seed(6)
    output = torch.randn((6, 4 * K), generator=draw)
    found, logs = learner.decode(output).double(), output[:, 2 * K :].reshape(6, K, 2).double()
    naive = -torch.distributions.Laplace(found, 2 * 8 ** logs.tanh()).log_prob(places.double()).mean() - np.log(2)
    assert learner.loss(output, places, POINT_LOSSES["nll"]).item() == pytest.approx(naive.item(), rel=1e-5)


def test_no_uncertain_coordinate_outweighs_the_others(places):
    """However sure of a place that is wrong: its pull is that of a certain one, times four."""
    learner = network_of("coordinates", "nll").head
    output = learner.encode(places + 30)
    output[:, 2 * K :] = -80.0
    found = output.detach().requires_grad_()
    learner.loss(found, places, POINT_LOSSES["nll"]).backward()
    plain = output[:, : 2 * K].detach().requires_grad_()
    learner_of_l1 = network_of("coordinates", "l1").head
    learner_of_l1.loss(plain, places, POINT_LOSSES["l1"]).backward()
    torch.testing.assert_close(found.grad[:, : 2 * K], 4 * plain.grad, rtol=1e-5, atol=0)


@pytest.mark.parametrize("loss", ["l1", "nll"])
def test_coordinates_are_not_rounded_by_bf16(loss, places):
    network = network_of("coordinates", loss)
    network.head.learn_mean(places[3])
    images = torch.randint(0, 256, (3, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(7)).float()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network.head.decode(network.output(images))
    torch.testing.assert_close(found, places[3].expand(3, K, 2), atol=1e-4, rtol=0)


def test_neighbours_are_the_nearest_of_the_mean_face(places):
    learner = network_of("pip", "l1").head
    learner.learn_mean(places[1])
    for point in range(K):
        distances = (places[1] - places[1, point]).norm(dim=1)
        nearest = sorted((k for k in range(K) if k != point), key=lambda k: distances[k])[:10]
        assert set(learner.neighbours[point].tolist()) == set(nearest)


def test_what_does_not_go_together():
    with pytest.raises(UserError, match="does not learn by the loss adaptive_wing: expected one of wing, l1"):
        network_of("coordinates", "adaptive_wing")
    with pytest.raises(UserError, match="point head 'heatmaps'"):
        network_of("heatmaps", "l2")
    with pytest.raises(UserError, match="points need a square map"):
        make_point_network(create_network({"net_name": "vit", "num_layers": 1}), "coordinates", K, loss="l1")
