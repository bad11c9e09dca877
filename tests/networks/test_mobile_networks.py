"""Light networks of later years: their papers' formulas, and what their authors' own programs compute and report."""

import functools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.gate.budgets import get_track
from lwface.gate.flops import FlopsReport, budget_violations, count_flops
from lwface.networks import NETWORKS, create_network
from lwface.networks.attention import CBAM, ChannelGate, tanh_gate
from lwface.networks.base import rounded
from lwface.networks.edgeface import CrossCovarianceAttention, linear, waves
from lwface.networks.ghostfacenet import GhostModule, LongRangeGate
from lwface.networks.layers import BatchNorm
from lwface.networks.mixfacenet import MixConv, Shuffle, parts
from lwface.networks.octave import OctaveConv, split
from lwface.settings import sample_config


@pytest.fixture(autouse=True)
def _seeded_on_one_thread():
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.cache
def counted(name: str, **overrides: object) -> FlopsReport:
    """What a network of the sample costs."""
    with torch.device("meta"):
        network = create_network({**sample_config.config, **sample_config.network[name], **overrides})
        return count_flops(network)


def sines(shape: tuple[int, ...], number: int) -> Tensor:
    """Values anyone can make."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * 12.9898 + number).reshape(shape)


def fill(network: nn.Module) -> None:
    """Sines for all tensors, scaled so that maps keep their size through the layers."""
    number = 0
    for module in network.modules():
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            base = sines(tuple(tensor.shape), number)
            number += 1
            if name in ("running_var", "scale", "scale_attention", "temperature"):
                values = 1 + 0.5 * base
            elif isinstance(module, nn.PReLU):
                values = 0.25 + 0.1 * base
            elif isinstance(module, BatchNorm | nn.LayerNorm) and name == "weight":
                values = torch.ones_like(base) if getattr(module, "fix_gamma", False) else 1 + 0.2 * base
            elif tensor.ndim > 1:
                values = base * (2 / tensor[0].numel()) ** 0.5
            else:
                values = 0.1 * base
            tensor.data.copy_(values)


# Norm and first numbers of the second image's embedding, computed by the authors' own programs from the tensors of
# `fill` (fdbtrs/mixfacenets; otroshi/edgeface on timm 1.0.31; HamadYA/GhostFaceNets on Keras 3.15). Made alike there:
# the epsilons and the absent bias of the head, strided convolutions' padding, and what GhostFaceNetV2 does differently
# in 7x7 maps, see ghostfacenet.py.
AUTHORS_EMBEDDINGS = [
    ("mixfacenet", {"net_size": "s", "net_multiplier": 0.5, "net_shuffle": 1}, 20.88507, [-0.4945964, 0.6711602]),
    ("mixfacenet", {"net_size": "m", "net_multiplier": 0.5}, 27.78985, [-0.8372337, 0.8123026, -0.8566813]),
    ("edgeface", {"net_size": "xxs", "net_rank": 0.5}, 15.298216, [-0.6094281, 1.006312, -0.189661, -0.599663]),
    ("edgeface", {"net_size": "xs", "net_rank": 0.0}, 11.198005, [-0.0512441, 0.2431215, 0.5029097, 0.6891479]),
    ("ghostfacenet", {"net_multiplier": 0.5, "net_input": 0}, 2603.5526, [-66.58598, 105.9859, 66.62482, -119.9568]),
    ("ghostfacenet", {"net_multiplier": 0.5, "net_unit": 2}, 217.82826, [12.46423, -17.19155, 6.691998, 8.852343]),
]


@pytest.mark.parametrize(("family", "settings", "norm", "first"), AUTHORS_EMBEDDINGS)
def test_embedding_equals_the_authors(family, settings, norm, first):
    network = NETWORKS[family](**settings).eval()
    fill(network)
    if family == "mixfacenet" or settings.get("net_unit") == 2:
        nn.init.zeros_(network.head.pre_fc1.bias)  # the authors have none before the last batch norm
    images = torch.arange(2 * 3 * 112 * 112).mul(7919).remainder(256).reshape(2, 3, 112, 112).to(torch.uint8)
    with torch.no_grad():
        embedding = network(images)[1].double().numpy()
    assert np.linalg.norm(embedding) == pytest.approx(norm, rel=1e-4)
    assert np.linalg.norm(embedding[: len(first)] - first) < 1e-4 * np.linalg.norm(first)


# What authors report, and how: numbers of parameters (all numbers, with the running statistics, for GhostFaceNets),
# and FLOPs in millions, which are two a multiply-add except for GhostFaceNets. All count more than products.
REPORTED = [
    ("mixfacenet_xs", {}, 1.04, 161.9),
    ("mixfacenet_s", {}, 3.07, 451.7),
    ("mixfacenet", {}, 3.95, 626.1),
    ("edgeface", {"net_size": "xxs", "net_rank": 0.0}, 1.24, 94.72),
    ("edgeface_xs", {}, 1.77, 154.00),
    ("edgeface", {}, 3.65, 306.12),
    ("edgeface", {"net_size": "base", "net_rank": 0.0}, 18.23, 1398.83),
    ("ghostfacenet", {}, 4.09, 215.7),
    ("ghostfacenet", {"net_input": 0}, 4.07, 60.3),
    ("ghostfacenet", {"net_unit": 2}, 6.88, 272.1),
]


@pytest.mark.parametrize(("name", "overrides", "millions", "mega_flops"), REPORTED)
def test_counts_are_those_the_authors_report(name, overrides, millions, mega_flops):
    report = counted(name, **overrides)
    ghost = name == "ghostfacenet"
    numbers = report.params + (report.aux if ghost else 0)
    assert round(numbers / 1e6, 2) == millions
    assert (report.macs if ghost else 2 * report.macs) / 1e6 == pytest.approx(mega_flops, rel=0.07)
    if overrides.get("net_unit") == 2:
        assert numbers == 6880288 + 512  # as printed by the authors, and the bias of the GDC head


@pytest.mark.parametrize(
    ("track", "names"),
    [
        ("deepglint-light", ["airface", "oct_y2", "ghostfacenet", "ghostfacenet_v2"]),
        ("iqiyi-light", ["edgeface", "edgeface_xs", "mixfacenet", "mixfacenet_s", "mixfacenet_xs"]),
        ("deepglint-large", ["oct_r50"]),
    ],
)
def test_networks_are_within_their_budget(track, names):
    for name in names:
        assert budget_violations(counted(name), get_track(track)) == []


@pytest.mark.parametrize(
    ("name", "flops", "params"),
    [("oct_y2", 933336950, 1996288), ("oct_r50", 12612791296, 43590848)],  # the official figures of y2 and r50
)
def test_octave_networks_cost_less_than_the_plain_ones(name, flops, params):
    plain, octave = counted(name, net_alpha=0.0), counted(name)
    assert (plain.flops, plain.params) == (flops, params)
    assert octave.flops < 0.75 * flops
    assert octave.params == params


# Norm, and numbers 5 to 8 of the second image, of the high and the low map that the authors' own program
# (facebookresearch/OctConv, symbol API, on MXNet 1.9.1) makes of sines, for each stride.
AUTHORS_OCTAVES = {
    1: (
        (72.35976853652484, [0.1576414, 2.047079, 1.457327, 1.621314]),
        (7.819571590269959, [0.9463423, 1.803465, 1.621461, 0.9090322]),
    ),
    2: (
        (9.069984648982603, [0.3057551, 1.112254, 0.7418629, 0.9637467]),
        (3.1978673888612743, [-0.4150921, 0.3525606, 0.6771429, -0.6929751]),
    ),
}


@pytest.mark.parametrize("stride", [1, 2])
def test_octave_convolution_equals_the_authors(stride):
    conv = OctaveConv((4, 2), (5, 3), 3, stride).double()
    for number, path in enumerate((conv.h2h, conv.h2l, conv.l2h, conv.l2l), start=3):
        path.weight.data = sines(tuple(path.weight.shape), number)
    found = conv((sines((2, 4, 8, 8), 1), sines((2, 2, 4, 4), 2)))
    for part, (norm, numbers) in zip(found, AUTHORS_OCTAVES[stride], strict=True):
        assert part.norm().item() == pytest.approx(norm, rel=1e-5)
        assert part[1].flatten()[5:9].tolist() == pytest.approx(numbers, rel=1e-5)


def test_octave_convolution_is_the_formula():
    conv = OctaveConv((3, 2), (4, 5), 3).double()
    high, low = torch.randn(2, 3, 6, 6).double(), torch.randn(2, 2, 3, 3).double()
    halved = high.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    risen = F.conv2d(low, conv.l2h.weight, padding=1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    found_high, found_low = conv((high, low))
    torch.testing.assert_close(found_high, F.conv2d(high, conv.h2h.weight, padding=1) + risen)
    expected = F.conv2d(low, conv.l2l.weight, padding=1) + F.conv2d(halved, conv.h2l.weight, padding=1)
    torch.testing.assert_close(found_low, expected)


def test_octave_convolution_without_low_channels_is_a_plain_one():
    conv = OctaveConv(split(6, 0), split(4, 0), 3)
    x = torch.randn(2, 6, 8, 8)
    high, low = conv((x, None))
    assert low is None
    assert torch.equal(high, F.conv2d(x, conv.h2h.weight, padding=1))


def test_octave_maps_begin_and_end_plain():
    x = torch.randn(2, 4, 8, 8)
    high, low = OctaveConv((4, 0), (3, 2))((x, None))
    assert (high.shape, low.shape) == ((2, 3, 8, 8), (2, 2, 4, 4))
    high, low = OctaveConv((3, 2), (4, 0), 3, 2)((high, low))
    assert high.shape == (2, 4, 4, 4)
    assert low is None


def test_depthwise_octave_convolution_keeps_the_resolutions_apart():
    conv = OctaveConv((4, 2), (4, 2), 3, 2, depthwise=True)
    high, low = torch.randn(1, 4, 8, 8), torch.randn(1, 2, 4, 4)
    found_high, found_low = conv((high, low))
    assert conv.h2l is None
    assert conv.l2h is None
    torch.testing.assert_close(found_high, F.conv2d(F.avg_pool2d(high, 2), conv.h2h.weight, padding=1, groups=4))
    torch.testing.assert_close(found_low, F.conv2d(F.avg_pool2d(low, 2), conv.l2l.weight, padding=1, groups=2))


@pytest.mark.parametrize("alpha", [0.125, 0.25, 0.5, 0.75])
def test_octave_convolution_costs_what_the_paper_says(alpha):
    """Its theoretical gain (table 1 of the paper): 1 - 3/4 alpha (2 - alpha) of the plain convolution's cost."""
    conv = OctaveConv(split(16, alpha), split(32, alpha), 3)
    high, low = split(16, alpha)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, image: Tensor) -> Tensor:
            first, second = self.conv((image[:, :high], F.avg_pool2d(image[:, :low], 2)))
            return torch.cat((first.flatten(), second.flatten()))[None]

    plain = 16 * 32 * 9 * 16 * 16
    assert count_flops(Whole(), (1, 16, 16, 16)).macs == plain * (1 - 0.75 * alpha * (2 - alpha))


@pytest.mark.parametrize(("gate", "factor"), [(torch.sigmoid, None), (tanh_gate, lambda x: 1 + np.tanh(x))])
def test_cbam_is_the_formula(gate, factor):
    factor = factor or (lambda x: 1 / (1 + np.exp(-x)))
    block = CBAM(8, reduction=4, kernel=3, gate=gate).double().eval()
    for tensor in (*block.parameters(), *block.buffers()):
        tensor.data.uniform_(0.2, 1.0)
    x = torch.randn(2, 8, 5, 5).double()
    numbers = x.numpy()
    mlp, conv, norm = block.channel.mlp, block.spatial.conv.weight[0].detach().numpy(), block.spatial.bn
    first, second = (layer.weight[:, :, 0, 0].detach().numpy() for layer in (mlp.conv1, mlp.conv2))
    expected = np.empty_like(numbers)
    for n, image in enumerate(numbers):

        def score(summary):
            hidden = np.maximum(first @ summary + mlp.conv1.bias.detach().numpy(), 0)
            return second @ hidden + mlp.conv2.bias.detach().numpy()

        gated = image * factor(score(image.mean((1, 2))) + score(image.max((1, 2))))[:, None, None]
        padded = np.pad(np.stack((gated.max(0), gated.mean(0))), ((0, 0), (1, 1), (1, 1)))
        for i in range(5):
            for j in range(5):
                seen = (conv * padded[:, i : i + 3, j : j + 3]).sum()
                seen = (seen - norm.running_mean.item()) / math.sqrt(norm.running_var.item() + norm.eps)
                place = factor(seen * norm.weight.item() + norm.bias.item())
                expected[n, :, i, j] = gated[:, i, j] * place
    np.testing.assert_allclose(block(x).detach().numpy(), expected, rtol=1e-10)


def test_a_fresh_tanh_gate_lets_maps_pass():
    x = torch.zeros(3)
    assert tanh_gate(x).tolist() == [1, 1, 1]
    assert tanh_gate(torch.tensor([-50.0, 50.0])).tolist() == [0, 2]


def test_channel_gate_is_the_formula():
    block = ChannelGate(6, 2, nn.ReLU(), nn.Hardsigmoid()).double()
    x = torch.randn(3, 6, 4, 4).double()
    for image, gated in zip(x, block(x), strict=True):
        hidden = (block.conv1.weight[:, :, 0, 0] @ image.mean((1, 2)) + block.conv1.bias).relu()
        factor = ((block.conv2.weight[:, :, 0, 0] @ hidden + block.conv2.bias + 3) / 6).clamp(0, 1)
        torch.testing.assert_close(gated, image * factor[:, None, None])


def test_half_of_a_ghost_module_is_made_from_the_other_half():
    module = GhostModule(5, 8, act=None, bn_mom=0.9).double().eval()
    x = torch.randn(2, 5, 6, 6).double()
    first = F.conv2d(x, module.primary.conv.weight) / math.sqrt(1 + 1e-5)
    second = F.conv2d(first, module.cheap.conv.weight, padding=1, groups=4) / math.sqrt(1 + 1e-5)
    torch.testing.assert_close(module(x), torch.cat((first, second), 1))


@pytest.mark.parametrize("size", [6, 7])
def test_long_range_gate_lies_on_its_map(size):
    gate = LongRangeGate(3, 4, size, bn_mom=0.9).double().eval()
    x = torch.randn(2, 3, size, size).double()
    norm = math.sqrt(1 + 1e-5)
    halved = F.conv2d(F.avg_pool2d(x, 2, ceil_mode=True), gate.mix.conv.weight) / norm
    rows = F.conv2d(halved, gate.rows.conv.weight, padding=(0, 2), groups=4) / norm
    expected = torch.sigmoid(F.conv2d(rows, gate.columns.conv.weight, padding=(2, 0), groups=4) / norm)
    found = gate(x)
    for i in range(size):
        for j in range(size):
            torch.testing.assert_close(found[:, :, i, j], expected[:, :, i // 2, j // 2])


def test_mixed_kernels_are_one_depthwise_convolution_of_the_largest():
    mixed = MixConv(10, 10, 3, 2, depthwise=True)
    assert [conv.weight.shape for conv in mixed.convs] == [(4, 1, 3, 3), (3, 1, 5, 5), (3, 1, 7, 7)]
    whole = torch.cat([F.pad(conv.weight, [2 - number] * 4) for number, conv in enumerate(mixed.convs)])
    x = torch.randn(2, 10, 9, 9)
    torch.testing.assert_close(mixed(x), F.conv2d(x, whole, padding=3, stride=2, groups=10))


def test_split_projection_is_a_block_diagonal_one():
    mixed = MixConv(5, 7, 2)
    whole = torch.block_diag(*(conv.weight[:, :, 0, 0] for conv in mixed.convs))
    assert whole.shape == (7, 5)
    x = torch.randn(2, 5, 3, 3)
    torch.testing.assert_close(mixed(x), torch.einsum("oc,nchw->nohw", whole, x))


def test_parts_share_out_all_channels():
    assert parts(10, 3) == [4, 3, 3]
    assert parts(9, 3) == [3, 3, 3]
    assert parts(5, 1) == [5]


def test_shuffle_puts_even_channels_first():
    x = torch.arange(6).float().reshape(1, 6, 1, 1).expand(2, 6, 3, 3)
    assert Shuffle(6, 3)(x)[1, :, 2, 2].tolist() == [0, 2, 4, 1, 3, 5]


def test_cross_covariance_attention_is_the_formula():
    block = CrossCovarianceAttention(6, positions=5, heads=2, rank_share=0).double()
    block.temperature.data = torch.tensor([0.5, 2.0]).double().reshape(2, 1, 1)
    tokens = torch.randn(3, 5, 6).double()
    for image, found in zip(tokens, block(tokens), strict=True):
        query, key, value = (image @ block.qkv.weight.T + block.qkv.bias).T.reshape(3, 6, 5)  # a row for each channel
        mixed = torch.empty(6, 5).double()
        for channel in range(6):
            head = range(3) if channel < 3 else range(3, 6)
            likeness = torch.stack([torch.cosine_similarity(query[channel], key[other], 0) for other in head])
            shares = torch.softmax(likeness * block.temperature[channel // 3, 0, 0], 0)
            mixed[channel] = sum(share * value[other] for share, other in zip(shares, head, strict=True))
        torch.testing.assert_close(found, mixed.T @ block.proj.weight.T + block.proj.bias)


def test_linear_layers_have_the_rank_asked_for():
    assert isinstance(linear(8, 20, 0), nn.Linear)
    layer = linear(8, 20, 0.5)
    assert [part.weight.shape for part in layer] == [(4, 8), (20, 4)]
    assert [part.bias is None for part in layer] == [True, False]
    assert linear(8, 20, 0.1)[0].out_features == 2  # at least


def test_waves_are_sines_and_cosines_of_falling_frequency():
    table = waves(14, torch.device("cpu"))
    assert table.shape == (32, 14)
    for row in (0, 1, 6, 31):
        for place in (1, 7, 14):
            angle = 2 * math.pi * place / 14 / 10000 ** (2 * (row // 2) / 32)
            expected = math.cos(angle) if row % 2 else math.sin(angle)
            assert table[row, place - 1].item() == pytest.approx(expected, abs=1e-5)


def test_widths_are_rounded_to_the_nearest_multiple():
    assert [rounded(width * 1.3, 4) for width in (16, 48, 72, 512)] == [20, 64, 92, 664]
    assert rounded(1, 8) == 8
    assert rounded(10, 8) == 16  # 8 would be a fifth too few


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("octresnet", {"net_alpha": 1.0}, "net_alpha is 1.0"),
        ("octmobilefacenet", {"net_alpha": -0.1}, "net_alpha is -0.1"),
        ("octmobilefacenet", {"net_blocks": [1, 2, 3]}, "net_blocks is"),
        ("octresnet", {"num_layers": 51}, "num_layers is 51"),
        ("ghostfacenet", {"net_unit": 3}, "net_unit is 3"),
        ("ghostfacenet", {"net_input": 2}, "net_input is 2"),
        ("edgeface", {"net_size": "m"}, "net_size 'm'"),
        ("edgeface", {"net_rank": 1.5}, "net_rank is 1.5"),
        ("mixfacenet", {"net_size": "xs"}, "net_size 'xs'"),
        ("mixfacenet", {"net_shuffle": 2}, "net_shuffle is 2"),
    ],
)
def test_impossible_settings_are_named(family, settings, message):
    with torch.device("meta"), pytest.raises(UserError, match=message):
        NETWORKS[family](**settings)
