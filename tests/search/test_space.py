"""No network of the space is over the budget, every one has valid settings, and a draw is one network for ever."""

import itertools
import random

import pytest
import torch
from torch import nn

from lwface.gate.budgets import get_track
from lwface.gate.flops import budget_violations, count_flops
from lwface.models.store import save_model
from lwface.networks import create_network
from lwface.search import space
from lwface.search.space import RANGES, Choice, draw_parameters, fit, on_meta, ranges, shape_of
from lwface.settings.resolve import all_settings, resolve

LIGHT, LARGE = get_track("deepglint-light"), get_track("deepglint-large")
SHARES = (0.4, 1.0)
SAMPLES = 2  # a family
FAMILIES = ("mobile", "residual")


class RandomTrial:
    """Proposes at random what Optuna would propose."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def suggest_int(self, name, low, high, *, step=1):
        return self.random.randrange(low, high + 1, step)

    def suggest_float(self, name, low, high, *, step=None):
        if step is None:
            return self.random.uniform(low, high)
        return low + step * self.random.randint(0, round((high - low) / step))

    def suggest_categorical(self, name, choices):
        return self.random.choice(choices)


def official_flops(network):
    """The official formula, layer by layer from the shapes that reach it."""
    counts = []

    def convolution(layer, inputs, output):
        per_output = 2 * layer.in_channels * layer.kernel_size[0] ** 2 - (layer.bias is None)
        counts.append(int(per_output * output.numel() / layer.groups))

    def linear(layer, inputs, output):
        counts.append(2 * layer.in_features * layer.out_features - (layer.bias is None) * layer.out_features)

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(convolution)
        elif isinstance(module, nn.Linear):
            module.register_forward_hook(linear)
    network.eval()(torch.zeros(1, 3, 112, 112, device="meta"))
    return sum(counts)


@pytest.fixture(scope="module")
def samples():
    """(family, parameters, candidate) of some draws."""
    found = []
    for family in FAMILIES:
        for seed in range(SAMPLES):
            parameters = draw_parameters(RandomTrial(seed), family, LIGHT, SHARES)
            found.append((family, parameters, fit(shape_of(parameters, "prelu"), LIGHT, parameters["share"])))
    return found


def test_no_network_exceeds_the_budget(samples):
    for _, parameters, candidate in samples:
        network = on_meta(candidate.settings)
        flops = official_flops(network)
        size = sum(4 * tensor.numel() for tensor in network.state_dict().values())
        assert flops == candidate.report.flops
        assert flops <= parameters["share"] * 1024**3
        assert size + space.FILE_MARGIN <= 20 * 1024**2
        assert network.embedding_size <= 512
        assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_of_the_deepest_network_is_within_the_margin(family, tmp_path):
    parameters = draw_parameters(RandomTrial(0), family, LIGHT, SHARES) | {"attention": "cbam"}
    parameters |= {
        name: values.high for name, values in ranges(family, LIGHT).items() if name.startswith(("blocks_", "units_"))
    }
    settings = shape_of(parameters, "prelu").settings(0)
    network = create_network(settings)
    config = resolve(settings["net_name"], "synthetic", "softmax", **settings)
    path = save_model(str(tmp_path / "model"), 1, network, config.as_dict())
    assert path.stat().st_size - 4 * sum(tensor.numel() for tensor in network.state_dict().values()) < space.FILE_MARGIN


def test_no_much_wider_network_would_fit(samples):
    for _, parameters, candidate in samples:
        wider = {**candidate.settings, "net_widths": [int(1.35 * width) for width in candidate.settings["net_widths"]]}
        report = count_flops(on_meta(wider))
        assert report.flops > parameters["share"] * LIGHT.flops or budget_violations(report, LIGHT)


def test_every_sample_has_valid_settings(samples):
    for family, parameters, candidate in samples:
        settings = candidate.settings
        config = resolve(settings["net_name"], "synthetic", "softmax", **settings)
        assert all(config.as_dict()[name] == value for name, value in settings.items())
        assert settings.keys() <= all_settings().keys()
        assert all(width % space.WIDTH_STEP == 0 for width in settings["net_widths"])
        assert min(settings["net_widths"]) >= space.LEAST_WIDTHS[settings["net_name"]]
        assert settings["net_attention"] == parameters["attention"]
        if family == "mobile":
            drawn = [parameters[f"kernel_{stage}"] for stage in (56, 28, 14, 7)]
            assert settings["net_kernels"] == drawn


def test_samples_differ(samples):
    assert len({str(candidate.settings) for _, _, candidate in samples}) == 2 * SAMPLES


def test_the_same_draw_is_the_same_network(samples):
    _, parameters, candidate = samples[-1]
    again = fit(shape_of(dict(parameters), "prelu"), LIGHT, parameters["share"])
    assert again.settings == candidate.settings
    assert again.report.flops == candidate.report.flops


def test_both_draws_the_family_too():
    drawn = {draw_parameters(RandomTrial(seed), "both", LIGHT, SHARES)["family"] for seed in range(20)}
    assert drawn == set(FAMILIES)


def test_y2s_proportions_give_y2s_widths():
    stages = (56, 28, 14, 7)
    names = [f"blocks_{stage}" for stage in stages]
    names += ["growth_28", "growth_14", "growth_7", "growth_top"]
    names += [f"expansion_{name}" for name in (56, "to_28", 28, "to_14", 14, "to_7", 7)]
    names += [f"kernel_{stage}" for stage in stages]
    values = [2, 8, 16, 4, 1, 2, 1, 4, 1, 2, 2, 4, 2, 4, 2, 3, 3, 3, 3]
    parameters = dict(zip(names, values, strict=True), family="mobile", attention="none", emb_size=256)
    shape = shape_of(parameters, "prelu")
    assert count_flops(on_meta(shape.settings(64))).flops == 933336950  # the official count of y2


@pytest.mark.parametrize("family", FAMILIES)
def test_lowering_makes_it_ever_smaller(family):
    parameters = draw_parameters(RandomTrial(3), family, LIGHT, SHARES)
    shapes = list(shape_of(parameters, "relu").lowered())
    ends = [
        count_flops(on_meta(shape.settings(0))).flops for shape in (shapes[0], shapes[len(shapes) // 2], shapes[-1])
    ]
    assert ends[0] > ends[1] > ends[2]
    assert shapes[-1].depths == ((0, 1, 1, 1) if family == "mobile" else (1, 1, 1, 1))
    for before, after in itertools.pairwise(shapes):
        sizes = [(*shape.depths, *shape.expansions, *shape.kernels) for shape in (before, after)]
        assert sizes[0] != sizes[1]
        assert all(b >= a for b, a in zip(*sizes, strict=True))


def test_what_is_too_deep_for_its_share_is_lowered():
    parameters = draw_parameters(RandomTrial(0), "mobile", LIGHT, SHARES)
    parameters |= {"blocks_56": 3, "blocks_28": 1, "blocks_14": 1, "blocks_7": 1, "expansion_56": 4, "kernel_56": 7}
    candidate = fit(shape_of(parameters, "relu"), LIGHT, 0.02)
    assert candidate.report.flops <= 0.02 * LIGHT.flops
    assert candidate.settings["net_blocks"][0] < 3


def test_nothing_fits_a_share_of_nothing():
    parameters = draw_parameters(RandomTrial(1), "residual", LIGHT, SHARES)
    assert fit(shape_of(parameters, "relu"), LIGHT, 1e-4) is None


def test_large_tracks_allow_deeper_networks():
    for family in FAMILIES:
        light, large = ranges(family, LIGHT), ranges(family, LARGE)
        deeper = {name for name in light if light[name] != large[name]}
        assert deeper == {name for name in light if name.startswith(("blocks_", "units_"))}
        assert all(large[name].high == 2 * light[name].high for name in deeper)


def test_a_network_for_a_large_track_fits_it():
    parameters = draw_parameters(RandomTrial(2), "mobile", LARGE, (0.9, 1.0))
    candidate = fit(shape_of(parameters, "prelu"), LARGE, parameters["share"])
    assert 0.8 * 0.9 * LARGE.flops < candidate.report.flops <= LARGE.flops


def test_ranges_hold_what_the_families_take():
    for values in RANGES["mobile"] | RANGES["residual"]:
        assert isinstance(values, str)
    assert (
        set(RANGES["residual"]["attention"].values)
        == set(RANGES["mobile"]["attention"].values)
        == {"none", "se", "cbam"}
    )
    assert isinstance(RANGES["residual"]["emb_size"], Choice)
    assert max(RANGES["residual"]["emb_size"].values) <= LIGHT.embedding
