"""What ``docs/networks.md`` says: what each network costs, where it may enter, how fast it is, where it comes from.

The text is a function of the configuration, of the families' docstrings and of the latencies last measured, so it can
be made again and compared.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from lwface.gate.budgets import TRACKS, Track, violations
from lwface.gate.flops import FlopsReport, count_flops, flops_text
from lwface.networks import NETWORKS, create_network
from lwface.settings import sample_config

REFERENCE = "y1"  # the network that all speeds are compared with
SIZES = {"light": ("deepglint-light", "iqiyi-light"), "large": ("deepglint-large", "iqiyi-large")}
NOT_MEASURED = "—"
_CONDITIONS = "{machine}; images/s at {batch} images a batch"


@dataclass(frozen=True)
class Cost:
    """What a network costs by the count; the same for everybody, everywhere."""

    flops: int  # official count
    uncounted: dict[str, int]  # multiply-adds a kind of operation the official count does not see
    params: int
    aux: int  # running statistics
    model_bytes: int
    embedding: int
    number_type: str

    @classmethod
    def of(cls, report: FlopsReport) -> Cost:
        """What a count found, without the layers."""
        return cls(**{field.name: getattr(report, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class Speed:
    """How fast a network was on one device."""

    milliseconds: float  # median time of one image
    relative: float  # median of that time over the reference's, measured just before
    images_per_second: float  # many images at once


def cost_of(name: str) -> Cost:
    """Count network ``name`` of the sample configuration, on the meta device: nothing is computed."""
    with torch.device("meta"):
        return Cost.of(count_flops(create_network({**sample_config.config, **sample_config.network[name]})))


def render(costs: Mapping[str, Cost], latencies: Mapping[str, Any]) -> str:
    """The whole document.

    Args:
        costs: of every network, by name, in the order of the table.
        latencies: for each of the devices ``cpu`` and ``cuda`` that was measured, what ``benchmarks/networks.py``
            keeps: ``machine``, ``batch``, and ``speeds``, a :class:`Speed` as a dictionary for each network.
    """
    families: dict[str, list[str]] = {}
    for name in costs:
        families.setdefault(sample_config.network[name].net_name, []).append(name)
    origins = {family: Origin.of(family) for family in families}
    parts = [
        _introduction(latencies),
        _cost_table(costs, latencies),
        "## Where they come from",
        _origin_table(families, origins),
        *(
            f"### {' '.join(families[family])}\n\n{origin.details}"
            for family, origin in origins.items()
            if origin.details
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(latencies: Mapping[str, Any]) -> str:
    light, large = (TRACKS[names[0]] for names in SIZES.values())
    machines = []
    for device, title, absent in (("cpu", "CPU", "not measured"), ("cuda", "GPU", "not measured: no GPU")):
        found = latencies.get(device)
        machines.append(f"* {title}: " + (_CONDITIONS.format(**found) if found else absent))
    return f"""# Networks

Made by `make networks`; `python benchmarks/networks.py --check` tells whether the counts still agree with the code.

Every name is one of `sample_config.py`, for `--network`. FLOPs are the challenge's official count, to the unit: about
twice the multiply-adds of convolutions and fully connected layers. *Not counted* is what that counter does not see, in
multiply-adds. The columns *light* and *large* say whether the two tracks of that size, images and videos, admit a
network, and which share of their limits it takes: light {light.flops} FLOPs and {light.model_bytes} bytes, large
{large.flops} FLOPs, both at most {light.embedding} numbers a feature in float32.

Times are medians for one image, in float32, eager. *× {REFERENCE}* is the time over that of {REFERENCE}, measured just
before it, and is what to compare: milliseconds belong to one machine at one moment.

{chr(10).join(machines)}"""


def _cost_table(costs: Mapping[str, Cost], latencies: Mapping[str, Any]) -> str:
    header = (
        "network",
        "light: FLOPs, bytes",
        "large: FLOPs",
        "FLOPs",
        "not counted",
        "parameters",
        "running statistics",
        "bytes",
        "embedding",
        *(f"{device} {what}" for device in ("CPU", "GPU") for what in ("ms", f"× {REFERENCE}", "images/s")),
    )
    rows = [header, ("---",) + ("---:",) * (len(header) - 1)]
    for name, cost in costs.items():
        speeds = [latencies.get(device, {}).get("speeds", {}).get(name) for device in ("cpu", "cuda")]
        rows.append((*cost_cells(name, cost), *(cell for speed in speeds for cell in _speed_cells(speed))))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cost_cells(name: str, cost: Cost) -> tuple[str, ...]:
    """The cells of the table's row for network ``name`` that do not depend on a machine."""
    unseen = ", ".join(f"{kind} {flops_text(macs)}" for kind, macs in cost.uncounted.items())
    figures = (cost.params, cost.aux, cost.model_bytes, cost.embedding)
    admissions = (_admission(cost, [TRACKS[track] for track in tracks]) for tracks in SIZES.values())
    return (name, *admissions, str(cost.flops), unseen or "0", *map(str, figures))


def _admission(cost: Cost, tracks: Sequence[Track]) -> str:
    """Whether ``tracks``, which have the same limits, admit a network, and how much of each limit it takes."""
    limits = asdict(cost)
    del limits["uncounted"], limits["params"], limits["aux"]
    refused = any(violations(track, **limits) for track in tracks)
    shares = [cost.flops / tracks[0].flops]
    if tracks[0].model_bytes is not None:
        shares.append(cost.model_bytes / tracks[0].model_bytes)
    return f"{'**no**' if refused else 'yes'}: {', '.join(f'{share:.1%}' for share in shares)}"


def _speed_cells(speed: Mapping[str, float] | None) -> tuple[str, ...]:
    if speed is None:
        return (NOT_MEASURED,) * 3
    found = Speed(**speed)
    return f"{found.milliseconds:.1f}", f"{found.relative:.2f}", f"{found.images_per_second:.1f}"


@dataclass(frozen=True)
class Origin:
    """What the docstring of a family's file says, as Markdown."""

    description: str
    paper: str
    details: str  # all paragraphs but the first

    @classmethod
    def of(cls, family: str) -> Origin:
        """Read the docstring. Its first paragraph is ``What it is (paper): more of it.``"""
        module = inspect.getmodule(NETWORKS[family])
        text = inspect.cleandoc((module and module.__doc__) or "")
        text = re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)
        first, *paragraphs = text.split("\n\n")
        paper = re.search(r" \(([^()]*(?:\([^()]*\)[^()]*)*)\)", first)  # a link has parentheses of its own
        rest = first.replace(paper.group(), "") if paper else first
        names = "|".join(sample_config.network)
        description = re.sub(rf": (the family of .*|(({names})\W*)+)$", "", rest.rstrip(".")).replace("\n", " ")
        return cls(description, paper.group(1) if paper else "", "\n\n".join(map(_as_markdown, paragraphs)))


def _details(names: Sequence[str], origin: Origin) -> str:
    return f"### {' '.join(names)}\n\n{origin.details}"


def _as_markdown(paragraph: str) -> str:
    """A table of a docstring keeps its columns as a block of text."""
    return f"```text\n{paragraph}\n```" if paragraph.startswith("===") else paragraph.replace("``", "`")


def _origin_table(families: Mapping[str, Sequence[str]], origins: Mapping[str, Origin]) -> str:
    rows = [("networks", "what they are", "paper", "family"), ("---",) * 4]
    for family, names in families.items():
        rows.append((" ".join(names), origins[family].description, origins[family].paper, f"`{family}.py`"))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
