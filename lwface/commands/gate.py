"""The gate: what a network costs by the official count, and whether a track admits it.

Exit status 0: counted, and within the budget of ``--track`` if one is given; 1: over it; 2: bad usage.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from lwface.base.commands import EXIT_OK, HelpFormatter
from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.gate.budgets import TRACKS, Track, get_track
from lwface.gate.flops import FlopsReport, LayerCost, budget_violations, count_flops, flops_text

EXIT_OVER_BUDGET = 1
MIB = 1024**2


def parse_arguments() -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--network", help="network to count, by its name in the configuration")
    which.add_argument(
        "--model",
        metavar="MODEL",
        help="trained model to count: PREFIX,EPOCH (ours or MXNet's) or FILE.onnx; its file's size counts too",
    )
    parser.add_argument("--layer", help="the output of an MXNet or ONNX model to count up to, where it has several")
    parser.add_argument("--track", help=f"track whose budget decides the exit status: {', '.join(TRACKS)}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--output", metavar="FILE", help="write the JSON to this file as well")
    parser.add_argument("--per-layer", action="store_true", help="add a table of every layer that was executed")
    return parser.parse_args()


def count_named(name: str) -> FlopsReport:
    """Count network ``name`` of the configuration."""
    from lwface.networks import create_network
    from lwface.settings.resolve import network_settings

    return count_flops(create_network(network_settings(name)))


def count_model(model: str, layer: str | None) -> tuple[FlopsReport, int]:
    """Count the trained ``model`` up to ``layer``; also the bytes of the file with its weights."""
    from lwface.models.store import load_model, model_file

    network, _ = load_model(model, layer)
    return count_flops(network), model_file(model).stat().st_size


def as_json(subject: dict[str, str], report: FlopsReport, size: int, track: Track | None) -> dict[str, Any]:
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


def as_text(figures: dict[str, Any], track: Track | None) -> str:
    """The figures as aligned lines, the official count first in the official program's words."""
    unseen = ", ".join(f"{kind} {flops_text(macs)}" for kind, macs in figures["uncounted"].items()) or "nothing"
    size = figures["model_bytes"]
    rows = [
        *((key, figures[key]) for key in ("network", "model") if key in figures),
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
        shares = [f"{figures['flops'] / track.flops:.1%} of the FLOPs"]
        if track.model_bytes is not None:
            shares.append(f"{size / track.model_bytes:.1%} of the bytes")
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


def main() -> int:
    """Count, print, and decide."""
    arguments = parse_arguments()
    track = get_track(arguments.track) if arguments.track else None
    if arguments.layer and not arguments.model:
        raise UserError(
            f"--layer {arguments.layer}: a network of the configuration has one output; it goes with --model"
        )
    if arguments.model:
        report, file_bytes = count_model(arguments.model, arguments.layer)
        subject, size = {"model": arguments.model}, max(report.model_bytes, file_bytes)
    else:
        report = count_named(arguments.network)
        subject, size = {"network": arguments.network}, report.model_bytes
    figures = as_json(subject, report, size, track)
    full = {**figures, "layers": [vars(layer) for layer in report.layers]} if arguments.per_layer else figures
    if arguments.output:
        write_json(arguments.output, full)
    if arguments.json:
        print(json.dumps(full, indent=2))
    else:
        if arguments.per_layer:
            print(layer_table(report.layers))
        print(as_text(figures, track))
    return EXIT_OK if track is None or figures["fits"] else EXIT_OVER_BUDGET
