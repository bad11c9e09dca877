"""What counting a network found: as JSON, as text for people, and as a table of its layers."""

from __future__ import annotations

from typing import Any

from lwface.gate.budgets import Budget
from lwface.gate.flops import FlopsReport, LayerCost, budget_violations, flops_text

MIB = 1024**2


def as_json(subject: dict[str, str], report: FlopsReport, size: int, track: Budget | None) -> dict[str, Any]:
    """All figures as one JSON object; ``size`` is what the track's limit on bytes is held against."""
    figures: dict[str, Any] = {
        **subject,
        "flops": report.flops,
        "uncounted": report.uncounted,
        "macs": report.macs,
        "params": report.params,
        "aux": report.aux,
        "model_bytes": size,
        "embedding": report.embedding,
        "number_type": report.number_type,
    }
    if track is not None:
        found = budget_violations(report, track, size)
        figures.update(track=track.name, fits=not found, violations=found)
    return figures


def as_text(figures: dict[str, Any], track: Budget | None) -> str:
    """The figures as aligned lines, the official count first in the official program's words."""
    unseen = ", ".join(f"{kind} {flops_text(macs)}" for kind, macs in figures["uncounted"].items()) or "nothing"
    size = figures["model_bytes"]
    rows = [
        *((key, figures[key]) for key in ("network", "head", "model") if key in figures),
        ("official count", f"{flops_text(figures['flops'])} FLOPs"),
        ("multiply-adds", flops_text(figures["macs"])),
        ("of these not in the count", unseen),
        ("parameters", f"{figures['params']:,}"),
        ("running statistics", f"{figures['aux']:,}"),
        ("size", f"{size:,} bytes ({size / MIB:.2f} MiB)"),
        ("embedding", f"{figures['embedding']} x {figures['number_type']}"),
    ]
    lines = [f"FLOPs: {figures['flops']}", *(f"  {name:27}{value}" for name, value in rows)]
    if track is not None:
        shares = []
        if track.flops is not None:
            shares.append(f"{figures['flops'] / track.flops:.1%} of the FLOPs")
        if track.model_bytes is not None:
            shares.append(f"{size / track.model_bytes:.1%} of the bytes")
        if track.generous_bytes is not None:
            shares.append(f"{size / track.generous_bytes:.1%} of {track.generous_bytes:,}, which do not decide")
        verdict = "within the budget" if figures["fits"] else "OVER THE BUDGET"
        lines.append(f"{track.name}: {verdict} ({', '.join(shares)})")
        lines += [f"  {violation}" for violation in figures["violations"]]
    return "\n".join(lines)


def layer_table(layers: list[LayerCost]) -> str:
    """One line a layer, in the order of execution; shapes without the batch."""

    def shape(sizes: tuple[int, ...]) -> str:
        return "x".join(map(str, sizes))

    header = ("layer", "operation", "input", "output", "kernel", "groups", "bias", "FLOPs", "multiply-adds")
    rows = [header]
    for layer in layers:
        shapes = (shape(layer.input_shape), shape(layer.output_shape), shape(layer.kernel))
        options = (str(layer.groups), "yes" if layer.bias else "no")
        rows.append((layer.path, layer.operation, *shapes, *options, f"{layer.flops:,}", f"{layer.macs:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = range(len(header) - 2, len(header))
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
