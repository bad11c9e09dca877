"""What the scores of a model's inputs mean: right, wrong, undecided, chance; and what is to be typed then."""

import re

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from lwface.deploy.choices import RANGES
from lwface.deploy.input_check import InputScore, by_chance, fed_input, ranges_for, score_inputs
from lwface.deploy.input_verdict import judge, remedy_for
from lwface.models.pixels import parse_pixels
from lwface.onnx.choices import Pixels
from lwface.onnx.model import OnnxNetwork
from lwface.onnx.pixels import Told

ISSAME = np.arange(100) % 2 == 0


def means(element_type=TensorProto.FLOAT, **options):
    """A model that gives the mean of each channel; nothing tells what it takes."""
    cast = helper.make_node("Cast", ["data"], ["f"], to=TensorProto.FLOAT)
    nodes = [cast, helper.make_node("GlobalAveragePool", ["f"], ["m"]), helper.make_node("Flatten", ["m"], ["e"])]
    image = helper.make_tensor_value_info("data", element_type, ["b", 3, 112, 112])
    graph = helper.make_graph(
        nodes, "g", [image], [helper.make_tensor_value_info("e", TensorProto.FLOAT, [None, None])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return OnnxNetwork(model.SerializeToString(), name="f.onnx", **options).eval()


def score(name, right):
    """An input that calls the first ``right`` pairs right."""
    colour, _, pixel_range = name.partition(" ")
    return InputScore(colour, pixel_range, right / 100, 0.0, 1.0, np.arange(100) < right)


def test_the_model_is_scored_bare():
    """Whatever it is said to take: 0..255 reaches it as 0..255, and the order as it is tried."""
    images = np.random.default_rng(0).integers(0, 256, (200, 112, 112, 3), np.uint8)
    norm = np.linalg.norm(images.mean((1, 2)), axis=1).mean()
    scores = [
        {score.name: score for score in score_inputs(network, images, ISSAME, torch.device("cpu"), 50)}
        for network in (means(), means(pixels=Pixels(64.0, 0.5, "BGR")))
    ]
    for found in scores:
        assert found["RGB 0..255"].xnorm == pytest.approx(norm, rel=1e-4)
        assert found["BGR x / 255"].xnorm == pytest.approx(norm / 255, rel=1e-4)
    assert (len(scores[0]), len(scores[1])) == (10, 12)
    fed = np.linalg.norm((images.mean((1, 2)) - 64) * 0.5, axis=1).mean()
    assert scores[1]["BGR (x - 64) / 2"].xnorm == pytest.approx(fed, rel=1e-4)


def test_whole_numbers_are_tried_as_bytes_alone():
    for element_type in (TensorProto.UINT8, TensorProto.INT8):
        network = means(element_type)
        assert list(ranges_for(network)) == ["0..255"]
        assert fed_input(network) == "RGB 0..255"
        remedy = remedy_for(network, score("BGR 0..255", 99), "f.onnx")
        expected = "--pixels 0/1,BGR" if element_type == TensorProto.UINT8 else "--pixels 128/1,BGR"
        assert expected in remedy


@pytest.mark.parametrize("right", [50, 55, 60])
def test_chance_is_the_binomial_tail_of_the_best_of_all_tried(right):
    from scipy.stats import binom

    scores = [score("RGB 0..255", right), score("BGR 0..255", 48)]
    assert by_chance(scores, ISSAME) == (2 * binom.sf(right - 1, 100, 0.5) >= 0.05)
    mostly = np.arange(100) < 80  # who always says "the same" is right about 80
    assert by_chance([score("RGB 0..255", 84)], mostly)
    assert not by_chance([score("RGB 0..255", 95)], mostly)
    assert by_chance([score("RGB 0..255", 100)], np.ones(100, bool))


GUESSED, STATED = means(), means(pixels=Pixels(127.5, 1 / 127.5))


@pytest.mark.parametrize(
    ("network", "scores", "right", "said"),
    [
        (GUESSED, {"RGB (x - 127.5) / 127.5": 95, "BGR 0..255": 60}, True, "nothing to do"),
        (GUESSED, {"RGB (x - 127.5) / 128": 96, "RGB (x - 127.5) / 127.5": 95}, True, "nothing to do"),
        (GUESSED, {"BGR 0..255": 95, "RGB (x - 127.5) / 127.5": 60}, False, "is worse: .*--pixels 0/1,BGR "),
        (GUESSED, {"BGR x / 255": 96, "RGB (x - 127.5) / 127.5": 95}, False, "do not confirm: --pairs 0 uses 9 pairs"),
        (
            GUESSED,
            {"RGB (x - 127.5) / 127.5": 95, "BGR (x - 127.5) / 127.5": 94},
            False,
            "do not confirm: .*that BGR .* right, .*--pixels 127.5/127.5,BGR ",
        ),
        (STATED, {"RGB (x - 127.5) / 127.5": 95, "BGR (x - 127.5) / 127.5": 94}, True, "nothing to do"),
        (STATED, {"BGR x / 255": 96, "RGB (x - 127.5) / 127.5": 95}, True, "nothing to do"),
        (STATED, {"BGR x / 255": 96, "RGB (x - 127.5) / 127.5": 60}, False, "is worse: .*--pixels 0/255,BGR "),
        (STATED, {"RGB ImageNet's": 96, "RGB (x - 127.5) / 127.5": 60}, False, "is worse: .*inside its graph"),
        (STATED, {"BGR 0..255": 52, "RGB (x - 127.5) / 127.5": 50}, False, "nothing is better than chance"),
        (nn.Identity(), {"RGB 0..255": 95, "BGR 0..255": 60}, True, "feeds RGB 0..255: nothing to do"),
        (
            nn.Identity(),
            {"BGR 0..255": 95, "RGB 0..255": 60},
            False,
            "m,1 --output F.onnx, then .*--pixels 0/1,BGR",
        ),
    ],
)
def test_verdicts(network, scores, right, said):
    every = {f"{colour} {name}": 50 for colour in ("RGB", "BGR") for name in RANGES} | scores
    ranked = sorted((score(name, pairs) for name, pairs in every.items()), key=lambda found: -found.accuracy)
    verdict = judge(network, ranked, ISSAME, "m,1", pairs_left=9)
    assert verdict.right == right
    assert re.search(said, "\n".join(verdict.lines))


@pytest.mark.parametrize("name", [name for name in RANGES if name != "ImageNet's"])
def test_what_is_advised_can_be_typed_and_is_what_was_scored(name):
    remedy = remedy_for(GUESSED, score(f"BGR {name}", 9), "f.onnx")
    pixels = parse_pixels(remedy.split("--pixels ")[1].split()[0])
    assert pixels.color_order == "BGR"
    assert pixels[:2] == pytest.approx((RANGES[name][0][0], RANGES[name][1][0]), rel=1e-12)
    assert fed_input(GUESSED.taking(pixels)) == f"BGR {name}"
    assert GUESSED.told == Told(Pixels(127.5, 1 / 127.5), GUESSED.told.assumed)
