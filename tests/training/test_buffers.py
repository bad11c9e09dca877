"""Batch norm's running statistics around a step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lwface.networks.layers import BatchNorm
from lwface.training.buffers import StepBuffers


def network():
    """With PyTorch's batch norm and with the networks' own."""
    torch.manual_seed(0)
    own = nn.Sequential(nn.Unflatten(1, (2, 1, 1)), BatchNorm(2, bn_mom=0.8), nn.Flatten())
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Linear(4, 2), own).double()


@pytest.mark.parametrize("parts", [1, 3])
def test_statistics_are_the_mean_over_the_parts(parts):
    """Each part begins with those of before; naively, with a copy of the network each."""
    batch = torch.randn(12, 3, dtype=torch.float64)
    copies = [network() for _ in range(parts)]
    for copy, part in zip(copies, batch.chunk(parts), strict=True):
        copy(part)
    net = network()
    buffers = StepBuffers([net], parts=parts, processes=1)
    buffers.begin()
    for part in batch.chunk(parts):
        buffers.begin_part()
        net(part)
        buffers.end_part()
    buffers.end(buffers.sums)
    for name, found in net.named_buffers():
        if name.endswith("num_batches_tracked"):
            assert found == parts
        else:
            mean = torch.stack([dict(copy.named_buffers())[name] for copy in copies]).mean(0)
            torch.testing.assert_close(found, mean, rtol=1e-14, atol=0)


def test_frozen_statistics_stay_to_the_bit_and_all_can_be_put_back():
    net = network()
    net[1].running_mean.fill_(0.1)  # a third of three times that is another number
    net[1].eval()
    before = {name: value.clone() for name, value in net.named_buffers()}
    buffers = StepBuffers([net], parts=3, processes=1)
    buffers.begin()
    for part in torch.randn(12, 3, dtype=torch.float64).chunk(3):
        buffers.begin_part()
        net(part)
        buffers.end_part()
    buffers.end(buffers.sums)
    assert torch.equal(net[1].running_mean, before["1.running_mean"])
    assert not torch.equal(net[3][1].running_mean, before["3.1.running_mean"])
    buffers.put_back()
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())
