"""Which parameters of the face task decay, how fast each learns, and the updates themselves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lwface.losses import Classifier
from lwface.losses.margin_softmax import MarginSoftmax
from lwface.losses.softmax import Softmax
from lwface.networks import NETWORKS, FaceNetwork, mxnet_names
from lwface.networks.layers import BatchNorm
from lwface.recognition.task import FaceTask
from lwface.training.optimizer import create_optimizer, set_learning_rate

SETTINGS = {"wd": 5e-4, "mom": 0.9, "fc7_wd_mult": 10.0, "fc7_lr_mult": 0.5, "backbone_lr_mult": 1.0}
SETTINGS |= {"freeze": "", "freeze_bn": False, "start_share": 0.0}


def optimizer_of(network, classifier, kind="sgd"):
    run = SimpleNamespace(augment=0.0, **SETTINGS, optimizer=kind)
    task = FaceTask(network, classifier, [], None, run, torch.device("cpu"))
    return create_optimizer(task.parameter_groups(), run)


def margin_classifier():
    return Classifier(MarginSoftmax(loss_s=64.0), 5, 8)


def small():
    body = nn.Sequential(nn.Conv2d(3, 4, 3), BatchNorm(4), nn.PReLU(4), BatchNorm(4, fix_gamma=True))
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.LazyLinear(8)), 8)


def settings(optimizer, named):
    places = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    return {
        name: (places[id(p)]["weight_decay"], places[id(p)]["lr_factor"]) if id(p) in places else None
        for name, p in named
    }


def test_groups():
    network, classifier = small(), Classifier(Softmax(), 5, 8)
    network(torch.zeros(1, 3, 112, 112))
    optimizer = optimizer_of(network, classifier)
    assert settings(optimizer, network.named_parameters()) == {
        "body.0.weight": (5e-4, 1.0),
        "body.0.bias": (0.0, 1.0),
        "body.1.weight": (5e-4, 1.0),  # gamma
        "body.1.bias": (0.0, 1.0),  # beta
        "body.2.weight": (5e-4, 1.0),  # PReLU's slopes are a gamma to MXNet
        "body.3.weight": None,  # a fixed gamma
        "body.3.bias": (0.0, 1.0),
        "head.1.weight": (5e-4, 1.0),
        "head.1.bias": (0.0, 1.0),
    }
    assert settings(optimizer, classifier.named_parameters()) == {"weight": (5e-3, 0.5), "bias": (0.0, 2.0)}
    set_learning_rate(optimizer, 0.1)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.1, 0.05, 0.2])


@pytest.mark.parametrize("family", ["fmobilefacenet", "fmnasnet"])
def test_every_learnable_parameter_is_in_one_group(family):
    network, classifier = NETWORKS[family](), margin_classifier()
    optimizer = optimizer_of(network, classifier)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    learnable = [p for p in [*network.parameters(), *classifier.parameters()] if p.requires_grad]
    assert sorted(held) == sorted(map(id, learnable))
    exempt = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0 for p in group["params"]}
    names = mxnet_names(network)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert (id(parameter) in exempt) == (not names[name].endswith(("_weight", "_gamma")))


def test_update_is_the_documented_formula():
    network, classifier = small(), margin_classifier()
    network(torch.zeros(1, 3, 112, 112))
    optimizer = optimizer_of(network, classifier)
    weight = classifier.weight
    expected, velocity = weight.detach().clone(), torch.zeros_like(weight)
    for rate in (0.1, 0.1, 0.01):
        set_learning_rate(optimizer, rate)
        weight.grad = torch.randn_like(weight)
        velocity = 0.9 * velocity + weight.grad + 5e-3 * expected
        expected = expected - 0.5 * rate * velocity
        optimizer.step()
        torch.testing.assert_close(weight.detach(), expected)


def test_adamw_is_the_papers_formula_on_the_same_groups():
    network, classifier = small(), margin_classifier()
    network(torch.zeros(1, 3, 112, 112))
    optimizer = optimizer_of(network, classifier, "adamw")
    sgd = optimizer_of(network, classifier)
    named = [*network.named_parameters(), *classifier.named_parameters()]
    assert settings(optimizer, named) == settings(sgd, named)
    weight = classifier.weight
    expected = weight.detach().double()
    first, second = torch.zeros_like(expected), torch.zeros_like(expected)
    for step, rate in enumerate((0.1, 0.1, 0.01), start=1):
        set_learning_rate(optimizer, rate)
        weight.grad = torch.randn_like(weight)
        gradient = weight.grad.double()
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        update = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        expected = expected - 0.5 * rate * (update + 5e-3 * expected)
        optimizer.step()
        torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-6)
