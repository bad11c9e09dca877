"""What a search found: rows, the front, a table, JSON, and the winner as an entry of the configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from easydict import EasyDict

from lwface.gate.budgets import Track
from lwface.gate.flops import count_flops, flops_text
from lwface.search.space import FAMILIES, family_settings, on_meta, tensor_digest
from lwface.settings.places import Places
from lwface.settings.sections import load_sections

COMPLETE, PRUNED, BASELINE = "complete", "pruned", "baseline"


@dataclass(frozen=True)
class Row:
    """A network that was trained.

    Attributes:
        name: ``1``, ``2``, ... in the order of trials, or a baseline's name.
        state: whether it was trained to the end, pruned, or is a baseline (trained to the end).
        tar: the last one measured; that of a pruned network is of an earlier step and compares with nothing else.
        scores: (step, TAR) of every report.
        flops, model_bytes, params: counted before training.
        settings: all that its family's function was given.
        parameters: what the optimiser drew; empty for a baseline.
        digest: of the names and shapes of the tensors that were trained.
        diverged: its loss was no longer a number, so its TAR is 0.
    """

    name: str
    state: str
    tar: float
    scores: list[list[float]]
    flops: int
    model_bytes: int
    params: int
    settings: dict[str, Any]
    parameters: dict[str, Any]
    digest: str
    diverged: bool
    seconds: float

    @property
    def family(self) -> str:
        """``mobile`` or ``residual``; another family's own name for a baseline of one."""
        names = {net_name: family for family, net_name in FAMILIES.items()}
        return names.get(self.settings["net_name"], self.settings["net_name"])


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Best first: those trained to the end by TAR, the cheaper of equals; then the pruned ones, latest first."""
    return sorted(rows, key=lambda row: (row.state == PRUNED, -row.scores[-1][0], -row.tar, row.flops))


def front(rows: Sequence[Row]) -> list[Row]:
    """The rows trained to the end that no other one matches in TAR for as few FLOPs; cheapest first."""
    best: list[Row] = []
    for row in sorted((row for row in rows if row.state != PRUNED), key=lambda row: (row.flops, -row.tar)):
        if not best or row.tar > best[-1].tar:
            best.append(row)
    return best


def winner_of(rows: Sequence[Row]) -> Row | None:
    """The trial with the highest TAR; None while none was trained to the end."""
    complete = [row for row in ranked(rows) if row.state == COMPLETE]
    return complete[0] if complete else None


def table(rows: Sequence[Row], track: Track) -> str:
    """All rows, best first, one line each."""
    on_front = {row.name for row in front(rows)}
    lines = [("", "network", "TAR", "steps", "FLOPs", "of limit", "bytes", "what it is")]
    lines += [
        (
            "*" if row.name in on_front else "",
            row.name,
            f"{row.tar:.4f}" + ("!" if row.diverged else ""),
            f"{row.scores[-1][0]:.0f}" + (" pruned" if row.state == PRUNED else ""),
            flops_text(row.flops),
            f"{row.flops / track.flops:.0%}",
            f"{row.model_bytes:,}",
            described(row.settings),
        )
        for row in ranked(rows)
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    aligned = ["  ".join(text.rjust(width) for text, width in zip(line[:-1], widths, strict=False)) for line in lines]
    notes = ["* on the front: no other one reaches its TAR for as few FLOPs"]
    if any(row.diverged for row in rows):
        notes.append("! diverged: the loss was no longer a number")
    return "\n".join([*(f"{text}  {line[-1]}" for text, line in zip(aligned, lines, strict=True)), *notes])


def described(settings: Mapping[str, Any]) -> str:
    """A network in a few words."""

    def joined(name: str) -> str:
        return "-".join(f"{value:g}" for value in settings[name])

    if settings["net_name"] not in FAMILIES.values():
        return str(settings["net_name"])
    mobile = settings["net_name"] == FAMILIES["mobile"]
    depths = joined("net_blocks" if mobile else "net_units") if mobile or settings["net_units"] else "as num_layers"
    stem = "" if mobile else f", stem {settings['net_input']}, head {settings['net_output']}"
    return (
        f"{'mobile' if mobile else 'residual'} {depths}, widths {joined('net_widths')}, x {joined('net_expansions')}, "
        f"kernels {joined('net_kernels')}, {settings['net_attention']}, {settings['emb_size']}{stem}"
    )


def as_json(rows: Sequence[Row], search: Mapping[str, Any], track: Track) -> dict[str, Any]:
    """The content of ``results.json``."""
    winner = winner_of(rows)
    return {
        "search": dict(search),
        "flops_limit": track.flops,
        "winner": None if winner is None else winner.name,
        "front": [row.name for row in front(rows)],
        "networks": [{"rank": rank, **dataclasses.asdict(row)} for rank, row in enumerate(ranked(rows), start=1)],
    }


def entry(row: Row, name: str, notes: Sequence[str], places: Places | None = None) -> str:
    """``row``'s network as lines for ``config.py`` or ``sample_config.py``, under ``network.<name>``."""
    lines = [f"# {note}" for note in notes]
    lines.append(f"network.{name} = edict()")
    lines += [f"network.{name}.{key} = {_literal(value)}" for key, value in row.settings.items()]
    text = "\n".join(lines) + "\n"
    _check_entry(text, name, row, load_sections(places).config)
    return text


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _check_entry(text: str, name: str, row: Row, config: Mapping[str, Any]) -> None:
    """Paste ``text`` as a user would: what it gives must be the network that was trained, tensor by tensor."""
    network = EasyDict()
    exec(compile(text, f"network.{name}", "exec"), {"edict": EasyDict, "network": network})
    merged = {**config, **network[name]}
    built = on_meta(merged)
    same = (tensor_digest(built), count_flops(built).flops, family_settings(merged))
    if same != (row.digest, row.flops, row.settings):
        raise AssertionError(f"the entry of network {row.name} gives another network than the one trained")
