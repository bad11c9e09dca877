"""The keypoint networks: the layers that their sources print, counts by hand, and what every network must do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.formats.keypoint_tables import FOUR, POINTS
from lwface.gate.flops import count_flops
from lwface.landmarks.keypoint_choices import INPUT_SHAPE, NETWORKS
from lwface.landmarks.keypoint_networks import KEYPOINT_NETWORKS, create_keypoint_network, start_at

# As the design prints it, for its four-point model.
NET2 = """
Conv2d(1, 4, kernel_size=(5, 5), stride=(1, 1))
BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
ReLU(inplace=True)
MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
Dropout(p=0.2, inplace=False)
Conv2d(4, 64, kernel_size=(3, 3), stride=(1, 1))
BatchNorm2d(64, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
ReLU(inplace=True)
MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
Dropout(p=0.2, inplace=False)
Conv2d(64, 128, kernel_size=(3, 3), stride=(1, 1))
BatchNorm2d(128, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
ReLU(inplace=True)
MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
Dropout(p=0.2, inplace=False)
Conv2d(128, 256, kernel_size=(3, 3), stride=(1, 1))
BatchNorm2d(256, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
ReLU(inplace=True)
MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
Dropout(p=0.2, inplace=False)
Linear(in_features=4096, out_features=1024, bias=True)
ReLU(inplace=True)
Dropout(p=0.2, inplace=False)
Linear(in_features=1024, out_features=256, bias=True)
ReLU(inplace=True)
Dropout(p=0.2, inplace=False)
Linear(in_features=256, out_features=8, bias=True)
"""


def test_net2_is_the_printed_one():
    printed = [str(layer) for layer in KEYPOINT_NETWORKS["net2"](8) if not isinstance(layer, nn.Flatten)]
    layers = [line.replace("affine=True, bias=True", "affine=True") for line in printed]  # newer versions say more
    assert layers == NET2.strip().splitlines()


def test_naimishnet_has_the_papers_parameters_and_maps():
    network = KEYPOINT_NETWORKS["naimishnet"](2)  # the paper's: a network a point
    assert sum(parameter.numel() for parameter in network.parameters()) == 7_488_962  # its layers added up
    maps, x = [], torch.zeros(1, 1, 96, 96)
    for layer in network.eval():
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            maps.append(tuple(x.shape[1:]))
    assert maps == [(32, 46, 46), (64, 22, 22), (128, 10, 10), (256, 5, 5)]
    assert [layer.p for layer in network if isinstance(layer, nn.Dropout)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_lenet5_is_the_papers_where_the_map_is_the_papers():
    network = KEYPOINT_NETWORKS["lenet5"](10)
    sizes = [
        sum(p.numel() for p in layer.parameters()) for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    assert sizes[0] == 156  # C1's, in the paper
    assert sizes[3] == 10_164  # F6's
    assert sizes[2] == 120 * (16 * 21 * 21 + 1)  # C5's is 48120 = 120 (16 * 5 * 5 + 1)
    assert float(network[1](torch.tensor(1.0))) == pytest.approx(1.0, abs=1e-4)  # f(1) = 1, the paper's appendix A


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network(name):
    torch.manual_seed(0)
    network = create_keypoint_network(name, FOUR)
    images = torch.randint(0, 256, (3, 1, 96, 96), dtype=torch.uint8)
    found = network(images)
    assert found.shape == (3, 8)
    assert found.isfinite().all()
    found.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)
    network.eval()
    torch.testing.assert_close(network(images.float()), network(images))
    torch.testing.assert_close(network(images[1:2]), network(images)[1:2], atol=1e-3, rtol=1e-5)
    with pytest.raises(UserError, match=r"images of shape \(1, 3, 96, 96\): keypoint networks take \(N, 1, 96, 96\)"):
        network(torch.zeros(1, 3, 96, 96))
    places = torch.linspace(3, 90, 8)
    start_at(network, places)
    torch.testing.assert_close(network(images), places.expand(3, 8), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gate_counts_them(name):
    network = create_keypoint_network(name, POINTS)
    expected = 0

    def count(layer, _given, put):
        nonlocal expected
        if isinstance(layer, nn.Linear):
            expected += 2 * layer.in_features * layer.out_features - (
                0 if layer.bias is not None else layer.out_features
            )
        else:
            row = 2 * layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1] - (layer.bias is None)
            expected += row * put[0].numel() // layer.groups

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    network.eval()(torch.zeros(INPUT_SHAPE))
    for hook in hooks:
        hook.remove()
    report = count_flops(network, INPUT_SHAPE)
    assert (report.flops, report.embedding, report.uncounted) == (expected, 30, {})


def test_an_unknown_network():
    with pytest.raises(UserError, match="unknown keypoint network 'net3': did you mean 'net2'"):
        create_keypoint_network("net3", POINTS)
