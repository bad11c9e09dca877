"""The networks a search chooses from, and the one rule that makes each of them fit the budget.

An optimiser draws a network's *proportions*: depths, the growth of its widths from stage to stage, expansions, kernels,
attention, and the share of the track's FLOPs that it may spend. The widths themselves are not drawn. They are what is
left: one scale for all of them, as large as the share and the whole gate of the track allow. So nothing is ever trained
over the budget, the optimiser is not taught by refusals, and networks are compared at the cost they were given.

The rule is a function of the draw alone: the same draw is the same network, whenever and wherever it is made. Where not
even the smallest widths fit, depths, then expansions, then kernels are lowered until they do.
"""

from __future__ import annotations

import bisect
import hashlib
import inspect
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import torch

from lwface.gate.budgets import LIGHT_FLOPS, Track
from lwface.gate.flops import FlopsReport, budget_violations, count_flops
from lwface.networks import NETWORKS, FaceNetwork, create_network
from lwface.search.options import FAMILIES

SHARE = "share"  # of the track's FLOPs: the one parameter all families have
CLOSE = 0.95  # a network that spends this much of its share is wide enough
WIDTH_STEP = 4  # channels
# Channels of a stage at least. PyTorch 2.13 on a CPU dies in the gradient of a strided 1x1 convolution (the shortcut of
# a residual unit) with fewer than 16 channels that lie last in memory.
LEAST_WIDTHS = {"fmobilefacenet": 8, "fresnet": 16}
FILE_MARGIN = 2**17  # bytes: a model's file holds names and a configuration beside the tensors, and counts whole
START = 32.0  # channels of the first stage that are tried first
GRAIN = 0.25  # channels of the first stage: finer scales make no other network worth having


class Proposer(Protocol):
    """What proposes values: a trial of Optuna, whose methods these are."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """A whole number."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None) -> float:
        """A number."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of ``choices``."""


class Whole(NamedTuple):
    """Whole numbers from ``low`` to ``high``."""

    low: int
    high: int
    step: int = 1

    def draw(self, trial: Proposer, name: str) -> int:
        """The number that ``trial`` proposes."""
        return trial.suggest_int(name, self.low, self.high, step=self.step)


class Real(NamedTuple):
    """Numbers from ``low`` to ``high`` in steps."""

    low: float
    high: float
    step: float

    def draw(self, trial: Proposer, name: str) -> float:
        """The number that ``trial`` proposes."""
        return trial.suggest_float(name, self.low, self.high, step=self.step)


class Choice(NamedTuple):
    """One of some values without an order."""

    values: tuple[Any, ...]

    def draw(self, trial: Proposer, name: str) -> Any:
        """The value that ``trial`` proposes."""
        return trial.suggest_categorical(name, self.values)


KERNEL = Whole(3, 7, 2)
ATTENTION = Choice(("none", "se", "cbam"))
EMBEDDING = Choice((128, 256, 512))
# What is drawn for a light track, by family. Stages are called by the side of their maps in pixels, or by their number.
RANGES: dict[str, dict[str, Whole | Real | Choice]] = {
    "mobile": {
        "blocks_56": Whole(0, 3),
        "blocks_28": Whole(1, 8),
        "blocks_14": Whole(1, 16),
        "blocks_7": Whole(1, 6),
        "growth_28": Real(1.0, 2.0, 0.25),
        "growth_14": Real(1.0, 2.5, 0.25),
        "growth_7": Real(1.0, 2.0, 0.25),
        "growth_top": Whole(2, 6),
        "expansion_56": Whole(1, 4),
        "expansion_to_28": Whole(1, 6),
        "expansion_28": Whole(1, 6),
        "expansion_to_14": Whole(1, 6),
        "expansion_14": Whole(1, 6),
        "expansion_to_7": Whole(1, 6),
        "expansion_7": Whole(1, 6),
        "kernel_56": KERNEL,
        "kernel_28": KERNEL,
        "kernel_14": KERNEL,
        "kernel_7": KERNEL,
        "attention": ATTENTION,
        "emb_size": EMBEDDING,
    },
    "residual": {
        "units_1": Whole(1, 3),
        "units_2": Whole(1, 6),
        "units_3": Whole(1, 16),
        "units_4": Whole(1, 3),
        "growth_2": Real(1.0, 2.5, 0.25),
        "growth_3": Real(1.0, 2.5, 0.25),
        "growth_4": Real(1.0, 2.5, 0.25),
        "expansion_1": Real(0.5, 1.5, 0.25),
        "expansion_2": Real(0.5, 1.5, 0.25),
        "expansion_3": Real(0.5, 1.5, 0.25),
        "expansion_4": Real(0.5, 1.5, 0.25),
        "kernel_1": Whole(3, 5, 2),
        "kernel_2": Whole(3, 5, 2),
        "kernel_3": Whole(3, 5, 2),
        "kernel_4": Whole(3, 5, 2),
        "stem": Choice((0, 1)),  # net_input: 7x7 of stride 2, or 3x3 on the whole image
        "head": Choice(("E", "GNAP")),  # one reads every position of the last map, the other weighs and averages them
        "attention": ATTENTION,
        "emb_size": EMBEDDING,
    },
}


DEPTHS = ("blocks_", "units_")
LARGE_DEPTH = 2  # times as deep may a network of a large track be


def ranges(family: str, track: Track) -> dict[str, Whole | Real | Choice]:
    """What is drawn for a network of ``family`` in ``track``."""
    found = dict(RANGES[family])
    for name, values in found.items():
        if name.startswith(DEPTHS) and isinstance(values, Whole) and track.flops > LIGHT_FLOPS:
            found[name] = values._replace(high=values.high * LARGE_DEPTH)
    return found


@dataclass(frozen=True)
class Shape:
    """A network but for its scale."""

    net_name: str
    depths: tuple[int, ...]  # blocks or units of the four stages
    least_depth: int  # of the first stage
    ratios: tuple[float, ...]  # net_widths over the scale
    expansions: tuple[float, ...]
    kernels: tuple[int, ...]
    fixed: tuple[tuple[str, Any], ...]  # settings that are as they are

    def settings(self, scale: float) -> dict[str, Any]:
        """The settings of the network whose first stage is ``scale`` channels wide, more or less."""
        least = LEAST_WIDTHS[self.net_name]
        widths = [max(least, WIDTH_STEP * round(scale * ratio / WIDTH_STEP)) for ratio in self.ratios]
        return {
            "net_name": self.net_name,
            "net_blocks" if self.net_name == "fmobilefacenet" else "net_units": list(self.depths),
            "net_widths": widths,
            "net_expansions": list(self.expansions),
            "net_kernels": list(self.kernels),
            **dict(self.fixed),
        }

    def lowered(self) -> Iterator[Shape]:
        """This shape, and then ever smaller ones: less deep, then narrower inside, then with kernels of 3."""
        yield self
        lowest = (self.least_depth, 1, 1, 1)
        shape = self
        while shape.depths != lowest:  # the deepest stage loses a quarter, at least one
            deepest = max(range(4), key=lambda i: shape.depths[i] - lowest[i])
            depth = max(lowest[deepest], shape.depths[deepest] - max(1, shape.depths[deepest] // 4))
            shape = replace(shape, depths=(*shape.depths[:deepest], depth, *shape.depths[deepest + 1 :]))
            yield shape
        for most in (4, 2, 1, 0.5):
            if max(shape.expansions) > most:
                shape = replace(shape, expansions=tuple(min(value, most) for value in shape.expansions))
                yield shape
        if max(shape.kernels) > 3:
            yield replace(shape, kernels=(3, 3, 3, 3))


class Candidate(NamedTuple):
    """A network that fits the budget."""

    settings: dict[str, Any]
    report: FlopsReport


def draw_parameters(trial: Proposer, family: str, track: Track, shares: tuple[float, float]) -> dict[str, Any]:
    """Let ``trial`` propose all parameters of a network of ``family`` (``both``: the family too) for ``track``.

    Args:
        shares: least and largest share of the track's FLOPs.
    """
    chosen = trial.suggest_categorical("family", tuple(FAMILIES)) if family == "both" else family
    found = {name: values.draw(trial, f"{chosen}_{name}") for name, values in ranges(chosen, track).items()}
    return {"family": chosen, SHARE: trial.suggest_float(SHARE, *shares), **found}


def shape_of(parameters: Mapping[str, Any], act: str) -> Shape:
    """The shape that ``parameters`` describe."""
    p = parameters
    common = {"emb_size": p["emb_size"], "net_act": act, "net_attention": p["attention"]}
    if p["family"] == "mobile":
        stages = ("56", "28", "14", "7")
        widths = _grown(1.0, [p[f"growth_{stage}"] for stage in stages[1:]])
        inner = ("56", "to_28", "28", "to_14", "14", "to_7", "7")
        return Shape(
            FAMILIES["mobile"],
            depths=tuple(p[f"blocks_{stage}"] for stage in stages),
            least_depth=0,
            ratios=(*widths, widths[-1] * p["growth_top"]),
            expansions=tuple(p[f"expansion_{name}"] for name in inner),
            kernels=tuple(p[f"kernel_{stage}"] for stage in stages),
            fixed=tuple({**common, "net_output": "GDC"}.items()),
        )
    numbers = range(1, 5)
    widths = _grown(1.0, [p[f"growth_{stage}"] for stage in numbers[1:]])
    return Shape(
        FAMILIES["residual"],
        depths=tuple(p[f"units_{stage}"] for stage in numbers),
        least_depth=1,
        ratios=(widths[0], *widths),
        expansions=tuple(p[f"expansion_{stage}"] for stage in numbers),
        kernels=tuple(p[f"kernel_{stage}"] for stage in numbers),
        fixed=tuple({**common, "net_output": p["head"], "net_input": p["stem"], "net_unit": 3, "net_se": 0}.items()),
    )


def _grown(first: float, factors: list[float]) -> list[float]:
    """``first`` and what it grows to, factor by factor."""
    values = [first]
    for factor in factors:
        values.append(values[-1] * factor)
    return values


def fit(shape: Shape, track: Track, share: float) -> Candidate | None:
    """The widest network of ``shape`` that passes the gate of ``track`` and spends at most ``share`` of its FLOPs.

    It stops where :data:`CLOSE` of the share is spent. A shape too large at its smallest widths is lowered no further
    than it must be. None where nothing is left to lower.
    """
    found = _widest(shape, track, share)
    if found is None:
        shapes = list(shape.lowered())
        fitting = bisect.bisect_left(shapes, True, key=lambda smaller: _load(_count(smaller, 0), track, share) <= 1)
        found = _widest(shapes[fitting], track, share) if fitting < len(shapes) else None
    if found is None or budget_violations(found.report, track, found.report.model_bytes + FILE_MARGIN):
        return None
    return found


def _widest(shape: Shape, track: Track, share: float) -> Candidate | None:
    """Aim between known scales by a power law: FLOPs and bytes rise with the scale, about as its square."""
    best: Candidate | None = None
    low, high, scale = 0.0, math.inf, START  # largest scale known to fit, smallest known not to, the next to try
    power = 2.0
    last: tuple[float, float] | None = None  # scale and load
    for number in itertools.count():
        report = _count(shape, scale)
        load = _load(report, track, share)
        if load <= 1:
            low, best = scale, Candidate(shape.settings(scale), report)
        elif set(shape.settings(scale)["net_widths"]) == {LEAST_WIDTHS[shape.net_name]}:
            return None
        else:
            high = scale
        if CLOSE <= load <= 1 or high - low <= GRAIN:
            return best
        if last and load != last[1]:
            power = min(max(math.log(load / last[1]) / math.log(scale / last[0]), 1.0), 3.0)
        last = scale, load
        aim = scale * ((1 + CLOSE) / 2 / load) ** (1 / power)
        if math.isinf(high):
            scale = max(aim, scale + GRAIN)
        else:  # now and then halve what is left, so that it ends also where the law does not hold
            scale = aim if low < aim < high and number % 4 != 3 else (low + high) / 2
    raise AssertionError("the bracket closes")


def _count(shape: Shape, scale: float) -> FlopsReport:
    return count_flops(on_meta(shape.settings(scale)))


def _load(report: FlopsReport, track: Track, share: float) -> float:
    """How much of the allowed FLOPs, or of the allowed bytes, is spent: whichever is nearer its limit; 1: all of it."""
    size = (report.model_bytes + FILE_MARGIN) / track.model_bytes if track.model_bytes else 0.0
    return max(report.flops / (share * track.flops), size)


def on_meta(settings: Mapping[str, Any]) -> FaceNetwork:
    """The network of ``settings`` without memory behind it."""
    with torch.device("meta"):
        return create_network(settings)


def family_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """All that the family's function gets where ``config`` is built, its defaults included, as JSON would hold it."""
    parameters = inspect.signature(NETWORKS[config["net_name"]]).parameters.values()
    found = {p.name: config.get(p.name, p.default) for p in parameters}
    plain = {name: list(value) if isinstance(value, list | tuple) else value for name, value in found.items()}
    return {"net_name": config["net_name"], **plain}


def tensor_digest(network: torch.nn.Module) -> str:
    """SHA-256 of the names and shapes of all tensors: equal for equal networks, whatever their weights."""
    lines = (f"{name} {'x'.join(map(str, tensor.shape))}\n" for name, tensor in sorted(network.state_dict().items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
