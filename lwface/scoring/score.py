"""What ``eval/tar_far.py`` does: feature files on disk -> table, JSON and report."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.features.embedder import select_device
from lwface.formats.people import Codes
from lwface.reporting.faces import Faces
from lwface.scoring.breakdown import chosen_values, parse_columns
from lwface.scoring.evaluation import Difference
from lwface.scoring.exact.comparisons import Comparisons
from lwface.scoring.exact.sharding import Session, first_process, kept_work
from lwface.scoring.intervals import differences
from lwface.scoring.measure import Measured, Subject, measure
from lwface.scoring.operating_points import parse_fars
from lwface.scoring.protocol import Protocol, read_attributes, read_protocol
from lwface.scoring.results import CAVEAT, as_json, breakdown_table, comparison_json, difference_table, table

KEPT = ".partial"  # beside the JSON: what is done so far
FORMAT = 1  # of it: to be raised when the same arrays mean something else


def score_files(args: argparse.Namespace) -> None:
    """Score the feature files of a command line; process 0 prints and writes.

    Raises:
        UserError: something asked for does not exist or does not fit.
    """
    fars = parse_fars(args.far)
    protocol = read_protocol(args)
    paths = [args.probe or args.features, *args.compare]
    names = model_names(paths)
    for path in paths:  # before the first is scored
        protocol.features(path)
    rows = len(protocol.people.labels)
    columns = _columns(args, rows)
    faces = Faces(args.images, rows) if args.images else None
    _device(args.device)  # it exists
    kept = Path(f"{args.json}{KEPT}") if args.json else None
    with kept_work(kept, resume=args.resume):
        measured = [
            _measured(args, protocol, fars, columns, model, kept) for model in enumerate(zip(paths, names, strict=True))
        ]
        if first_process():
            _show(args, measured, _differences(measured), faces)


def _measured(
    args: argparse.Namespace,
    protocol: Protocol,
    fars: list[Fraction],
    columns: list[tuple[str, Codes]],
    model: tuple[int, tuple[str, str]],
    kept: Path | None,
) -> Measured:
    """One of the feature files, by its number, path and name."""
    index, (path, name) = model
    device = _device(args.device)
    comparisons, rows, width = protocol.comparisons(path, block_size=args.block_size, device=device)
    about_columns = hashlib.sha256(
        repr([(name, codes.values, codes.codes.tobytes()) for name, codes in columns]).encode()
    )
    session = Session(
        kept and kept / str(index),
        identity=partial(
            protocol.identity,
            path,
            FORMAT,
            args.far,
            args.bootstrap,
            args.seed,
            args.block_size,
            about_columns.hexdigest(),
        ),
        save_every=args.save_every,
    )
    _announce(comparisons, session, device)
    subject = Subject(name, rows, width, protocol.words)
    options: Any = {"columns": columns, "replicates": args.bootstrap, "seed": args.seed}
    return measure(comparisons, fars, subject, session=session, **options)


def model_names(paths: list[str]) -> list[str]:
    """A short name of each file: its own, with as much of its folders as tells it from the others.

    Raises:
        UserError: a file is named twice.
    """
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise UserError("a feature file is to be compared with itself; name each file once")
    parts = [Path(path).resolve().with_suffix("").parts for path in paths]
    depth = 1
    while depth < max(map(len, parts)) and len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    short = ["/".join(part[-depth:]) for part in parts]
    return short if len(set(short)) == len(short) else paths


def _show(args: argparse.Namespace, measured: list[Measured], found: list[Difference], faces: Faces | None) -> None:
    """Write, then print: whoever reads what is printed may leave."""
    evaluations = [one.evaluation for one in measured]
    if args.json:
        write_json(args.json, comparison_json(evaluations, found) if found else as_json(evaluations[0]))
    report = None
    if args.report:
        from lwface.reporting.page import write_report  # draws with Matplotlib, which takes a second to load

        report = write_report(args.report, evaluations, found, faces)
    for evaluation in evaluations:
        print(f"{evaluation.name}: {table(evaluation)}" if len(evaluations) > 1 else table(evaluation))
        for breakdown in evaluation.breakdowns:
            print(breakdown_table(breakdown))
    if found:
        print(difference_table(found))
    print(CAVEAT)
    if report:
        print(f"report: {report}")


def _differences(measured: list[Measured]) -> list[Difference]:
    """Each further file against the first."""
    first, found = measured[0], []
    for other in measured[1:]:
        found += differences(
            (first.evaluation.name, other.evaluation.name),
            [point.far for point in first.evaluation.points],
            ([point.tar for point in first.evaluation.points], [point.tar for point in other.evaluation.points]),
            (first.tars, other.tars),
            first.people,
        )
    return found


def _columns(args: argparse.Namespace, rows: int) -> list[tuple[str, Codes]]:
    """The attributes to break down by."""
    if not args.by:
        return []
    wanted = parse_columns(args.by)
    found = read_attributes(args, rows, [name for name, _ in wanted])
    return [(name, chosen_values(found[name], name, width)) for name, width in wanted]


def _device(name: str) -> torch.device:
    """The device of this process: of several on one machine, each takes another card."""
    device = select_device(name)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return device


def _announce(comparisons: Comparisons, session: Session, device: torch.device) -> None:
    """How much is to be done and what it takes, before it begins."""
    if session.rank == 0:
        each = "" if session.world == 1 else f" in each of {session.world} processes"
        print(
            f"{comparisons.impostor_pairs} impostor and {comparisons.genuine_pairs} genuine pairs on {device}, "
            f"{session.threads} threads and at most {comparisons.memory() / 2**20:.0f} MiB{each}",
            file=sys.stderr,
        )
