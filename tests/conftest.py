"""What tests of several modules share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import settings

from lwface.mxnet.network import MxnetNetwork

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # of ONNX Runtime, which tests import themselves

# The same examples in every run: what fails was broken by the change at hand, and fails again.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")


def _count(network: MxnetNetwork, shape: tuple[int, ...]) -> int:
    shapes: dict[str, tuple[list[int], list[int]]] = {}

    def note(name: str, given: torch.Tensor, put: torch.Tensor) -> None:
        shapes[name] = list(given.shape[1:]), list(put.shape[1:])

    nodes = network.symbol.nodes
    counted = [node for node in nodes if node.op in ("Convolution", "FullyConnected")]
    hooks = [
        network.layers[node.name].register_forward_hook(lambda _, args, put, name=node.name: note(name, args[0], put))
        for node in counted
    ]
    with torch.inference_mode():
        network(torch.zeros(1, *shape, device=next(network.parameters(), torch.empty(0)).device))
    for hook in hooks:
        hook.remove()
    total = 0
    for node in counted:
        assert nodes[node.inputs[0][0]].op != "null"  # the official program knows no shape of a variable
        given, put = shapes[node.name]
        assert len(given) == 3  # and fails on a FullyConnected whose input has two axes
        unbiased = node.attrs["no_bias"] == "True"
        if node.op == "Convolution":
            kernel = [int(side) for side in node.attrs["kernel"][1:-1].split(",")]
            row = 2 * given[0] * kernel[0] * kernel[1] - unbiased
            total += int(row * put[1] * put[2] * put[0] / int(node.attrs["num_group"]))
        else:
            total += 2 * math.prod(given) * put[0] - unbiased * put[0]
    return total


@pytest.fixture(scope="session")
def count_by_json() -> Callable[[MxnetNetwork, tuple[int, ...]], int]:
    """The official program's rule, written anew over a symbol's JSON; the graph is run for the shapes alone."""
    return _count
