"""What CONTRIBUTING.md shows works as written there."""

import subprocess
import sys

import pytest

from tests import structure_counts
from tests.structure_counts import shown

PROGRAM = """
import torch
from easydict import EasyDict as edict
from lwface.gate.flops import count_flops
from lwface.losses import create_classifier
from lwface.networks import create_network

network, loss = edict(), edict()
{code}
built = create_network(network.wide_toy)
assert count_flops(built).embedding == 128
assert built.body.conv_3.conv2d.weight.shape[0] == 128
images = torch.randint(0, 256, (4, 3, 112, 112), dtype=torch.uint8)
classifier = create_classifier(loss.norm_cosface, 7, 128)
assert classifier.margin.scale == 32
found = classifier(built(images), torch.tensor([0, 1, 2, 6]))
found.loss.backward()
assert all(parameter.grad is not None for parameter in classifier.parameters())
"""


def test_counting_without_pytest_says_what_to_type(monkeypatch):
    monkeypatch.setattr("sys.argv", ["structure_counts.py"])
    monkeypatch.setattr(structure_counts, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"pytest is not installed: make \.venv/\.develops"):
        structure_counts.main()


def test_the_network_and_the_loss_that_it_shows():
    code = "\n".join([*shown("NETWORKS"), *shown("LOSSES")])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(code=code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
