"""What the registry's suite cannot know of HRNet, Efficient PolyFace and the vision transformers."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lwface.base.errors import UserError
from lwface.networks import NETWORKS
from lwface.networks.hrnet import Exchange
from lwface.networks.layers import BatchNorm, StochasticDepth
from lwface.networks.polyface import Residual
from lwface.networks.vit import PATCH, PATCHES, Attention


@pytest.fixture(autouse=True)
def _seeded_on_one_thread():
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def on_meta(family, **settings):
    with torch.device("meta"):
        return NETWORKS[family](**settings)


def fill(network):
    """Values anyone can make, sines of the index, for all tensors of ``network``."""
    values = {}
    for number, (name, tensor) in enumerate(sorted(network.state_dict().items())):
        base = torch.sin(torch.arange(tensor.numel(), dtype=torch.float64) * 12.9898 + number).reshape(tensor.shape)
        if name.endswith("running_var"):
            value = 1 + 0.5 * base
        elif tensor.ndim > 1:
            value = base * math.sqrt(2 / math.prod(tensor.shape[1:]))
        else:
            value = 1 + 0.2 * base if name.endswith("weight") else 0.1 * base
        values[name] = value.float()
    network.load_state_dict(values)
    return network.eval()


PATTERN = torch.arange(3 * 112 * 112).mul(7919).remainder(256).reshape(1, 3, 112, 112)
PIXELS = (PATTERN - 127.5) / 128


# Norm and first numbers that the authors' own programs computed, in float64, from the tensors of `fill` carried over by
# name and with this project's 2e-5 in the batch norms: HRNet-Image-Classification with stride 1 in the stem's second
# convolution, trojans-face-recognizer with one block a stage, arcface_torch's vision transformer, depth 3 and width 64.
@pytest.mark.parametrize(
    ("family", "settings", "part", "norm", "first"),
    [
        ("hrnet", {"net_output": "GAP"}, "body", 2302.731130, [4.5879153, 4.994604, 5.0624076, 5.1011279]),
        ("polyface", {"net_units": [1, 1, 1]}, "body", 46.13529245, [0.12234848, 0.12690196, 0.12687707, 0.12678686]),
        ("vit", {"num_layers": 3, "net_width": 64}, "", 49.05967585, [-0.93217501, 2.5868607, -1.2782085, -1.570636]),
    ],
)
def test_values_are_those_of_the_authors_programs(family, settings, part, norm, first):
    network = NETWORKS[family](**settings).get_submodule(part)
    with torch.no_grad():
        output = fill(network)(PIXELS if part else PATTERN).flatten()
    assert output.norm().item() == pytest.approx(norm, rel=1e-5)
    torch.testing.assert_close(output[:4], torch.tensor(first), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("family", "settings", "params", "aux"),
    [  # of the authors' programs, less the classifiers
        ("hrnet", {}, 19250004, 51216),
        ("hrnet", {"net_widths": [44, 88, 176, 352]}, 65015984, 94688),
        ("polyface", {}, 101048832, 309408),
        ("vit", {"net_width": 256}, 9568000, 0),
    ],
)
def test_bodies_are_as_large_as_the_authors(family, settings, params, aux):
    body = on_meta(family, **settings).body
    assert sum(parameter.numel() for parameter in body.parameters()) == params
    assert sum(buffer.numel() for buffer in body.buffers()) == aux


def test_exchange_is_the_sum_of_all_branches_brought_to_each_resolution():
    widths = (2, 3, 5)
    exchange = Exchange(widths, act="relu", bn_mom=0.9).double().eval()
    for module in exchange.modules():
        if isinstance(module, BatchNorm):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
    maps = [torch.randn(2, width, 16 >> i, 16 >> i, dtype=torch.float64) for i, width in enumerate(widths)]

    def norm(x, of):
        return F.batch_norm(x, of.running_mean, of.running_var, of.weight, of.bias, eps=of.eps)

    with torch.no_grad():
        fused = exchange(maps)
        for target, found in enumerate(fused):
            total = maps[target].clone()
            for source, x in enumerate(maps):
                if source == target:
                    continue
                path = exchange.get_submodule(f"from{source}_to{target}")
                if source > target:
                    y = norm(torch.einsum("nihw,oi->nohw", x, path.conv.weight[:, :, 0, 0]), path.bn)
                    total += y.repeat_interleave(2 ** (source - target), 2).repeat_interleave(2 ** (source - target), 3)
                else:
                    for step, layer in enumerate(path):
                        x = norm(F.conv2d(x, layer.conv.weight, stride=2, padding=1), layer.bn)
                        x = x.clamp_min(0) if step < target - source - 1 else x
                    total += x
            torch.testing.assert_close(found, total.clamp_min(0))


def test_attention_is_the_formula():
    attention, heads, width = Attention(12, 3).double(), 3, 12
    tokens = torch.randn(2, 5, width, dtype=torch.float64)
    expected = torch.empty_like(tokens)
    with torch.no_grad():
        query, key, value = (tokens @ part.T for part in attention.qkv.weight.split(width))
        for image in range(2):
            for head in range(heads):
                own = slice(head * width // heads, (head + 1) * width // heads)
                q, k, v = query[image, :, own], key[image, :, own], value[image, :, own]
                for i in range(5):
                    scores = torch.stack([(q[i] * k[j]).sum() / math.sqrt(width / heads) for j in range(5)]).exp()
                    expected[image, i, own] = sum(scores[j] * v[j] for j in range(5)) / scores.sum()
        expected = expected @ attention.proj.weight.T + attention.proj.bias
        torch.testing.assert_close(attention(tokens), expected)


def test_a_tenth_of_the_patches_is_hidden_in_training_and_nothing_of_them_reaches_the_others():
    body = NETWORKS["vit"](num_layers=2, net_width=16, net_drop_path=0.0).body.train()
    nn.init.constant_(body.mask.embedding, 7.0)
    x = torch.randn(3, 3, 112, 112)
    torch.manual_seed(1)
    tokens = body(x)
    hidden = (tokens == 7.0).all(2)  # (3, 144)
    assert hidden.sum(1).tolist() == [15, 15, 15]  # 144 - int(0.9 * 144)
    assert len({tuple(row.tolist()) for row in hidden}) == 3
    noise = torch.randn_like(x)
    covers = F.interpolate(hidden.reshape(3, 1, 12, 12).float(), scale_factor=PATCH)
    noise[:, :, :108, :108] *= covers
    torch.manual_seed(1)
    torch.testing.assert_close(body(x + noise), tokens, rtol=0, atol=0)
    body.eval()
    assert not (body(x) == 7.0).all(2).any()


def test_without_hidden_patches_there_is_no_token_for_them():
    body = NETWORKS["vit"](num_layers=1, net_width=16, net_mask=0.0).body
    assert body.mask is None
    assert body.train()(torch.randn(2, 3, 112, 112)).shape == (2, PATCHES, 16)


def test_the_last_rows_and_columns_of_pixels_belong_to_no_patch():
    network = NETWORKS["vit"](num_layers=1, net_width=16).eval()
    images = torch.randint(0, 256, (1, 3, 112, 112)).float().requires_grad_()
    network(images).sum().backward()
    assert images.grad[:, :, :108, :108].all()
    assert not images.grad[:, :, 108:].any()
    assert not images.grad[:, :, :, 108:].any()


def test_deeper_blocks_are_left_out_more_often():
    body = on_meta("vit", num_layers=3, net_width=16, net_drop_path=0.2).body
    assert [block.drop_path.rate for block in body.blocks] == [0.0, 0.1, 0.2]


def test_stochastic_depth_drops_whole_images_and_keeps_the_mean():
    layer = StochasticDepth(0.25)
    x = torch.ones(20000, 2, 3)
    assert layer.eval()(x) is x
    kept = layer.train()(x)
    torch.testing.assert_close(kept.unique(), torch.tensor([0, 4 / 3]))
    assert (kept == kept[:, :1, :1]).all()
    assert kept.mean().item() == pytest.approx(1, abs=0.02)


def test_a_residual_block_of_polyface_adds_what_the_authors_add():
    block = Residual(nn.Identity(), nn.Identity(), nn.Identity(), 0.2)
    x = torch.ones(1000, 1, 1, 1)
    trained = block.train()(x).unique()
    torch.testing.assert_close(trained, torch.tensor([1.0, 1.3]))  # left out, or added 0.3 times
    torch.testing.assert_close(block.eval()(x).unique(), torch.tensor([1 + 0.3 * 0.8]))


def test_start_values_are_the_authors():
    hrnet = NETWORKS["hrnet"](net_multiplier=0.5, net_output="GAP").body.reduce[2].conv  # (512, 256, 3, 3)
    assert hrnet.weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.02)
    assert not hrnet.bias.any()
    polyface = NETWORKS["polyface"](net_units=[1, 1, 1], net_multiplier=0.25).head.pre_fc1
    bound = (3 / polyface.in_features) ** 0.5
    assert polyface.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert polyface.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    vit = NETWORKS["vit"](num_layers=1, net_width=64)
    for weight in (vit.head.feature1.weight, vit.body.position.embedding, vit.body.blocks[0].attn.qkv.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert not vit.body.blocks[0].attn.proj.bias.any()


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("hrnet", {"net_widths": [18, 36, 72]}, "net_widths is .* expected 4"),
        ("hrnet", {"net_units": [1, 4, 0]}, "net_units is .* at least 1"),
        ("hrnet", {"net_multiplier": 0}, "net_multiplier is 0"),
        ("polyface", {"net_units": [23, 38]}, "net_units is .* expected 3"),
        ("polyface", {"net_drop_path": 1.0}, "net_drop_path is 1.0"),
        ("vit", {"net_heads": 7}, "net_heads is 7: expected a divisor of net_width = 256"),
        ("vit", {"net_mask": 1.0}, "net_mask is 1.0"),
        ("vit", {"net_mask": 0.995}, "net_mask is 0.995"),
        ("vit", {"num_layers": 0}, "num_layers is 0"),
        ("vit", {"emb_size": 0}, "emb_size is 0"),
    ],
)
def test_impossible_settings_are_named(family, settings, message):
    with pytest.raises(UserError, match=message):
        on_meta(family, **settings)
