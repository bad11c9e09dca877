"""Any module as an MXNet graph: what the graph computes, how it names things, what it refuses.

The graphs are run by ``lwface.mxnet.network``, which reads MXNet's operators from their definition and knows nothing of
the modules they were drawn from. MXNet 1.9.1 itself has run all of them, too: it gave the same numbers, 4e-7 of their
norm apart at most, and the original's counter the same count.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops
from lwface.mxnet.network import MxnetNetwork
from lwface.mxnet.writing import Names, draw

SIZE = 16
SHAPE = (3, SIZE, SIZE)


class Net(nn.Module):
    """``function(self, images)`` with ``parts`` as modules, parameters or buffers."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, nn.Buffer(part) if type(part) is torch.Tensor else part)

    def forward(self, images):
        return self.function(self, images)


def weight(*shape):
    return nn.Parameter(torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))))


def tokens(images):
    return images.flatten(2).transpose(1, 2)  # (N, SIZE^2, 3)


def activations(m, x):
    functions = (F.relu, F.silu, F.mish, F.hardswish, F.hardsigmoid, F.gelu, F.relu6, F.elu, F.leaky_relu, F.softplus)
    outputs = [function(m.conv(x) / 50 * (1 + i / 10)) for i, function in enumerate(functions)]
    outputs += [function(m.conv(x) / 50) for function in (F.hardtanh, torch.tanh, torch.sigmoid, nn.Softsign())]
    return torch.cat([*outputs, F.gelu(m.conv(x) / 50, approximate="tanh")], 1).flatten(1)


def arithmetic(m, x):
    x = (x + 1) / 255
    y = 2 / (1 - x + 1.5)
    y = y**2 + y.sqrt() + x.pow(1.5) - x.neg() + x.exp().log() + x.rsqrt().clamp(max=3) + x.clamp(0.2, 0.7)
    y = y + x.clamp_min(0.4) + torch.maximum(x, y) - torch.minimum(x, m.scale) + (x - 0.5).abs() + x.reciprocal().erf()
    y = torch.add(y * m.number, x, alpha=0.5) - torch.sub(x, y, alpha=2)
    return (y + x.clamp(min=1e-3).pow(m.exponent) + 2**0.5 * x.square()).flatten(1)


def reductions(m, x):
    x = m.conv(x)
    largest, _ = x.max(1, keepdim=True)
    each = (largest, x.mean(1, keepdim=True), x.amax(1, True), x.amin(1, True), x.sum(1, True), x.std(1, keepdim=True))
    y = torch.cat(each, 1) * x.amax((2, 3), keepdim=True)[:, :6]
    flat = (x.mean(2).flatten(1), x.norm(dim=1).flatten(1), x.sum(3).amax(2), x.var((2, 3)), x.norm(p=1, dim=(2, 3)))
    return torch.cat([y.mean((2, 3)), *flat], 1)


def pieces(m, x):
    a, b, c = x.chunk(3, 1)
    d, e = x.split([1, 2], 1)
    y = torch.cat([c, b, a], 1) + torch.stack([a[:, 0], e[:, 1], d[:, 0]], 1) + torch.stack(x.unbind(1), 1)
    y = torch.cat([y + x[:, :, 1:2, -1:], x[:, -1:], torch.ones(len(x), 1, *x.shape[2:])], 1)
    return y.narrow(1, 1, 4)[..., 2:9, :].flatten(1)


def resizings(m, x):
    small = F.interpolate(x, size=(7, 9), mode="bilinear")
    large = F.interpolate(small, size=(20, 11), mode="bilinear", align_corners=True)
    return torch.cat([F.interpolate(m.conv(x), scale_factor=2).flatten(1), small.flatten(1), large.flatten(1)], 1)


def poolings(m, x):
    pooled = (
        F.max_pool2d(x, 3, 2, ceil_mode=True),
        F.max_pool2d(x, 3, 2, 1),
        F.avg_pool2d(x, 3, 2, 1),
        F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        F.avg_pool2d(x, 2, ceil_mode=True),
        F.adaptive_avg_pool2d(x, 4),
        F.adaptive_avg_pool2d(x, 1),
        F.adaptive_max_pool2d(x, 1),
    )
    return torch.cat([y.flatten(1) for y in pooled], 1)


def paddings(m, x):
    modes = [F.pad(x, (1, 2, 0, 3)), F.pad(x, (1, 1, 2, 2), mode="reflect"), F.pad(x, (0, 1, 1, 0), mode="replicate")]
    return torch.cat([m.conv(y).flatten(1) for y in modes], 1)


def in_place(m, x):
    y = F.relu(m.one(x), inplace=True)
    y += 1
    y *= m.scale
    z = m.two(y)
    z += y
    return z.flatten(1)


def gate(m, x):
    x = m.conv(x)
    return (x * torch.sigmoid(m.two(F.relu(m.one(x.mean((2, 3))))))[:, :, None, None]).flatten(1)


def efficient_channel_attention(m, x):
    means = x.mean((2, 3)).unsqueeze(1)  # (N, 1, C)
    return (x * m.conv(means).sigmoid().transpose(1, 2).unsqueeze(-1)).flatten(1)


def transformer(m, x):
    x = m.embed(tokens(F.avg_pool2d(x, 4)))
    x = torch.cat([m.cls.expand(len(x), -1, -1), x], 1) + m.positions
    n, count, width = x.shape
    q, k, v = m.qkv(m.norm(x)).reshape(n, count, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind(0)
    x = x + ((q @ k.transpose(-2, -1)) * 0.5).softmax(-1).matmul(v).transpose(1, 2).reshape(n, count, width)
    q, k, v = (part.view(n, count, 2, -1).transpose(1, 2) for part in m.qkv(x).chunk(3, -1))
    return m.fc((x + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))[:, 0])


def cross_covariance(m, x):
    x = m.conv(x)
    n, channels, height, width = x.shape
    x = tokens(x)
    qkv = m.qkv(x).reshape(n, height * width, 3, 2, channels // 2).permute(2, 0, 3, 1, 4)
    q, k, v = (part.transpose(-2, -1) for part in (qkv[0], qkv[1], qkv[2]))
    weights = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)) * m.temperature
    x = x + m.gamma * (weights.softmax(-1) @ v).permute(0, 3, 1, 2).reshape(n, height * width, channels)
    return x.reshape(n, height, width, channels).permute(0, 3, 1, 2).mean((2, 3))


def channels_last_block(m, x):
    y = m.two(F.gelu(m.one(m.norm(m.depthwise(x).permute(0, 2, 3, 1)))))
    return (x + (m.gamma * y).permute(0, 3, 1, 2)).flatten(1)


def windows(m, x):
    x, side = m.conv(x), 4
    n, channels, height, width = x.shape
    y = x.view(n, channels, height // side, side, width // side, side).permute(0, 2, 4, 3, 5, 1)
    y = m.linear(y.reshape(-1, side * side, channels)) + m.bias  # (N * windows, positions, channels)
    y = y.reshape(n, height // side, width // side, side, side, channels).permute(0, 5, 1, 3, 2, 4)
    return (x * y.reshape(x.shape)).flatten(1)


def standardised(m, x):
    kernel = m.conv.weight
    kernel = (kernel - kernel.mean((1, 2, 3), keepdim=True)) / kernel.std((1, 2, 3), keepdim=True)
    return F.conv2d(x, kernel, m.conv.bias).flatten(1)


def relative_bias(m, x):
    rows = x.flatten(2) / 255
    return (rows @ rows.transpose(1, 2) + m.table[m.index]).flatten(1)


def cases():
    torch.manual_seed(0)
    conv = nn.Conv2d
    norms = (conv(3, 8, 3), nn.BatchNorm2d(8), nn.PReLU(8), nn.BatchNorm2d(8, affine=False))
    return {
        "activations": Net(activations, conv=conv(3, 4, 3)),
        "arithmetic": Net(
            arithmetic, scale=nn.Parameter(torch.tensor(0.3)), number=torch.tensor(1.7), exponent=weight(1).abs()
        ),
        "reductions": Net(reductions, conv=conv(3, 8, 3)),
        "pieces": Net(pieces),
        "resizings": Net(resizings, conv=conv(3, 4, 3, 2)),
        "poolings": Net(poolings),
        "paddings": Net(paddings, conv=conv(3, 4, 3, padding="same")),
        "in place": Net(in_place, one=conv(3, 8, 3), scale=weight(1), two=conv(8, 8, 1)),
        "gate": Net(gate, conv=conv(3, 8, 3), one=nn.Linear(8, 2), two=nn.Linear(2, 8, bias=False)),
        "channel attention": Net(efficient_channel_attention, conv=nn.Conv1d(1, 1, 3, padding="same", bias=False)),
        "transformer": Net(
            transformer,
            embed=nn.Linear(3, 8),
            cls=weight(1, 1, 8),
            positions=weight(1, 17, 8),
            norm=nn.LayerNorm(8),
            qkv=nn.Linear(8, 24),
            fc=nn.Linear(8, 5),
        ),
        "torch's encoder": Net(
            lambda m, x: m.layer(m.embed(tokens(F.avg_pool2d(x, 2)))).mean(1),
            embed=nn.Linear(3, 8),
            layer=nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu"),
        ),
        "cross-covariance": Net(
            cross_covariance,
            conv=conv(3, 8, 4, 4),
            qkv=nn.Linear(8, 24, bias=False),
            temperature=weight(2, 1, 1),
            gamma=weight(8),
        ),
        "channels last": Net(
            channels_last_block,
            depthwise=conv(3, 3, 7, padding=3, groups=3),
            norm=nn.LayerNorm(3),
            one=nn.Linear(3, 12),
            two=nn.Linear(12, 3),
            gamma=weight(3),
        ),
        "windows": Net(windows, conv=conv(3, 8, 1), linear=nn.Linear(8, 8), bias=weight(1, 16, 1)),
        "mixer": Net(lambda m, x: m.mix(x.flatten(2)).flatten(1), mix=nn.Linear(SIZE**2, 9)),
        "matrix": Net(lambda m, x: (tokens(x) @ m.matrix).flatten(1), matrix=weight(3, 5)),
        "matrix on the left": Net(lambda m, x: (m.matrix @ x.flatten(2)).flatten(1), matrix=weight(5, 3)),
        "einsum": Net(lambda m, x: torch.einsum("bchw,bdhw->bcd", m.conv(x), x).flatten(1), conv=conv(3, 4, 1)),
        "einsum of a weight": Net(lambda m, x: torch.einsum("bchw,dc->bdhw", x, m.w).flatten(1), w=weight(5, 3)),
        "two linear layers": Net(
            lambda m, x: m.two(m.one(x.mean((2, 3)))), one=nn.Linear(3, 8), two=nn.Linear(8, 4, bias=False)
        ),
        "shuffles": nn.Sequential(
            conv(3, 8, 3),
            nn.ChannelShuffle(2),
            conv(8, 8, 3, groups=2),
            nn.PixelShuffle(2),
            nn.PixelUnshuffle(4),
            nn.Flatten(),
        ),
        "norms": nn.Sequential(*norms, nn.GroupNorm(4, 8), nn.Flatten(), nn.Linear(8 * 14**2, 7), nn.BatchNorm1d(7)),
        "deconvolution": nn.Sequential(
            conv(3, 8, 3, 2),
            nn.ConvTranspose2d(8, 6, 3, 2, 1, 1, groups=2),
            nn.ConvTranspose2d(6, 4, 2, 2, bias=False),
            nn.Flatten(),
        ),
        "repeats": Net(
            lambda m, x: (x.repeat(1, 2, 1, 1) * m.w.repeat(len(x), 1, 1, 1)).flatten(1),
            w=weight(1, 6, 1, 1),
        ),
        "moves": Net(lambda m, x: m.conv(x.to("cpu", torch.float32).contiguous()).flatten(1), conv=conv(3, 3, 3)),
        "runs twice": Net(lambda m, x: m.conv(m.conv(x)).flatten(1), conv=conv(3, 3, 3)),
        "standardised weight": Net(standardised, conv=conv(3, 8, 3)),
        "relative bias": Net(relative_bias, table=weight(5), index=torch.tensor([[0, 1, 2], [1, 2, 3], [2, 3, 4]])),
        "a list": Net(
            lambda m, x: sum(layer(x) for layer in m.layers if layer.stride == (1, 1)).flatten(1),
            layers=nn.ModuleList([conv(3, 3, 1), conv(3, 3, 1, 2), conv(3, 3, 1)]),
        ),
    }


@pytest.fixture(scope="module")
def modules():
    return cases()


@pytest.mark.parametrize("name", cases())
def test_the_graph_computes_what_the_module_does(modules, name, count_by_json):
    module = modules[name].train()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(0))
            part.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    symbol, arrays = draw(module, Names(), SHAPE)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    written = MxnetNetwork(symbol, arrays, "fc1_output", image_shape=SHAPE).eval()
    for count in (1, 3):  # a graph takes any number of images
        images = torch.randint(0, 256, (count, *SHAPE), generator=torch.Generator().manual_seed(count)).float()
        with torch.inference_mode():
            expected, found = module.eval()(images), written(images)
        assert found.shape == expected.shape
        assert torch.linalg.vector_norm(found - expected) <= 1e-5 * torch.linalg.vector_norm(expected)
    assert count_by_json(written, SHAPE) == count_flops(module, (1, *SHAPE)).flops


def refused():
    return {
        "the operator gt": lambda m, x: torch.where(x > 0, x, 0 * x).flatten(1),
        "the operator flip": lambda m, x: x.flip(3).flatten(1),
        "a slice with a step": lambda m, x: x[:, :, ::2].flatten(1),
        "a reduction that depends on the number of images": lambda m, x: (x - x.mean(0)).flatten(1),
        "a constant that depends on the number of images": lambda m, x: (
            x + torch.ones(2 * len(x), 1, 1, 1)[:1]
        ).flatten(1),
        "a constant that depends on the number": lambda m, x: (x + torch.arange(len(x))[:, None, None, None]).flatten(
            1
        ),
        "arithmetic with the number of images": lambda m, x: x.flatten(1) / len(x),
        "arithmetic in float16": lambda m, x: x.half().flatten(1),
        "a random number": lambda m, x: (x + torch.rand(3, 1, 1)).flatten(1),
        "reading what another view has written in place": lambda m, x: overwritten(x * 1),
        "a weight that the forward pass changes": lambda m, x: x.flatten(1) * m.seen.add_(1),
        "nearest-neighbour resizing by anything but one whole number": lambda m, x: F.interpolate(x, size=20).flatten(
            1
        ),
        "pooling a map of 16x16 to 5x5": lambda m, x: F.adaptive_avg_pool2d(x, 5).flatten(1),
        "fails without values": lambda m, x: torch.from_numpy(x.numpy()).flatten(1),
        "the network puts out tuple": lambda m, x: (x, x),
        r"the network puts out \(\d+, 3, 16, 16\)": lambda m, x: x,
    }


def overwritten(x):
    x[:, :1].add_(1)
    return x.flatten(1)


@pytest.mark.parametrize("message", refused())
def test_what_has_no_counterpart_is_named(message):
    inner = Net(refused()[message], seen=torch.zeros(1))
    module = Net(lambda m, x: m.body[0](x), body=nn.Sequential(inner))
    with pytest.raises(UserError, match=message) as caught:
        draw(module, Names(), SHAPE)
    if "puts out" not in message:
        assert "module 'body.0' (Net)" in str(caught.value)


def test_names_and_order():
    module = nn.Sequential()
    module.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    module.again = nn.Sequential(module.stem[2], nn.Flatten())
    symbol, arrays = draw(module, Names(), SHAPE)
    assert [(node.op, node.name) for node in symbol.nodes] == [
        ("null", "data"),
        ("_copy", "_copy0"),
        ("null", "stem_0_weight"),
        ("Convolution", "stem_0"),
        ("null", "stem_1_weight"),
        ("null", "stem_1_bias"),
        ("null", "stem_1_running_mean"),
        ("null", "stem_1_running_var"),
        ("BatchNorm", "stem_1"),
        ("Activation", "stem_2"),
        ("Activation", "stem_2_2"),  # the same module again
        ("Flatten", "again_1"),
        ("_copy", "fc1"),
    ]
    weights = ("arg:stem_0_weight", "arg:stem_1_weight", "arg:stem_1_bias")
    assert list(arrays) == [*weights, "aux:stem_1_running_mean", "aux:stem_1_running_var"]
    assert symbol.heads == ((12, 0),)
    assert arrays["arg:stem_0_weight"].dtype == np.float32
    assert symbol.nodes[3].attrs == {
        "kernel": "(3, 3)",
        "stride": "(1, 1)",
        "pad": "(0, 0)",
        "dilate": "(1, 1)",
        "num_filter": "4",
        "num_group": "1",
        "no_bias": "True",
    }
    norm = {"eps": "1e-05", "momentum": "0.9", "fix_gamma": "False", "use_global_stats": "False"}
    assert symbol.nodes[8].attrs == norm


def test_a_shared_weight_is_one_array():
    first = nn.Linear(3, 3, bias=False)
    module = Net(lambda m, x: m.two(m.one(x.mean((2, 3)))), one=first, two=nn.Linear(3, 3, bias=False))
    module.two.weight = first.weight
    symbol, arrays = draw(module, Names(), SHAPE)
    assert list(arrays) == ["arg:one_weight"]
    assert [node.name for node in symbol.nodes if node.op == "FullyConnected"] == ["one", "two"]


def test_weights_of_another_number_type_are_written_as_float32():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).to(torch.bfloat16)
    _, arrays = draw(module, Names(), SHAPE)
    np.testing.assert_array_equal(arrays["arg:0_weight"], module[0].weight.detach().float().numpy())


def test_two_weights_of_one_name_are_refused():
    module = nn.Sequential()
    module.a_b = nn.Conv2d(3, 3, 1)
    module.a = nn.Sequential()
    module.a.b = nn.Conv2d(3, 3, 1)
    module.flat = nn.Flatten()
    with pytest.raises(UserError, match="two tensors are called a_b_weight"):
        draw(module, Names(), SHAPE)
