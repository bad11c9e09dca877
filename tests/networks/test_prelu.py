"""The PReLU with a gradient of its own, beside PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lwface.networks.prelu import ChannelPReLU


def gradients(module, x, out):
    x = x.clone().requires_grad_()
    y = module(x)
    y.backward(out)
    return y, x.grad, module.weight.grad


def pair(channels, dtype):
    ours, theirs = ChannelPReLU(channels), nn.PReLU(channels)
    with torch.no_grad():
        theirs.weight.copy_(torch.linspace(-0.5, 1.5, channels))
    ours.load_state_dict(theirs.state_dict())
    return ours.to(dtype), theirs.to(dtype)


@pytest.mark.parametrize("shape", [(3, 5), (2, 6, 7), (3, 16, 9, 7), (2, 3, 4, 5, 6), (1, 4, 1, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradients_are_pytorchs(shape, layout, dtype):
    layout = layout if len(shape) == 4 else torch.contiguous_format
    x, out = (torch.randn(shape, dtype=dtype).to(memory_format=layout) for _ in range(2))
    x[0, 0] = 0  # where the two sides meet
    for found, expected in zip(*(gradients(module, x, out) for module in pair(shape[1], dtype)), strict=True):
        torch.testing.assert_close(found, expected)
        assert found.ndim != 4 or found.is_contiguous(memory_format=layout)


def test_the_slopes_gradient_is_summed_in_more_than_bfloat16():
    x, out = (torch.randn(8, 4, 56, 56) for _ in range(2))
    ours, _ = pair(4, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        y, of_x, of_weight = gradients(ours, x.bfloat16(), out.bfloat16())
    assert (y.dtype, of_x.dtype, of_weight.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    low = (out.bfloat16().double() * x.bfloat16().double().clamp(max=0)).sum((0, 2, 3))
    torch.testing.assert_close(of_weight.double(), low, rtol=1e-4, atol=1e-3)


def test_gradcheck_in_float64_away_from_zero():
    ours, _ = pair(3, torch.float64)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    x = torch.where(x.abs() < 0.1, 0.5, x).requires_grad_()
    assert torch.autograd.gradcheck(ours, (x,))


@pytest.mark.parametrize("frozen", ["input", "slope"])
def test_only_what_is_asked_for(frozen):
    ours, theirs = pair(4, torch.float32)
    x = torch.randn(2, 4, 3, 3)
    for module in (ours, theirs):
        module.weight.requires_grad_(frozen != "slope")
        given = x.clone().requires_grad_(frozen != "input")
        module(given).sum().backward()
        assert (given.grad is None) == (frozen == "input")
    assert (ours.weight.grad is None) == (frozen == "slope")
    if frozen == "input":
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_who_follows_the_network_sees_pytorchs_operation():
    ours, _ = pair(4, torch.float32)
    x = torch.randn(1, 4, 2, 2)
    for module in (ours.train(), ours.eval()):
        graph = torch.jit.trace(module, x, check_trace=False).inlined_graph
        assert "aten::prelu" in {node.kind() for node in graph.nodes()}
    exported = torch.export.export(ours.train(), (x,))
    assert any("prelu" in str(node.target) for node in exported.graph.nodes)
