"""A training run as one HTML page: what came out, the curves, the best step, the settings. During the run too.

    python recognition/report.py --run models/y2-arcface-retina
    python recognition/report.py --run models/y2-arcface-retina models/m1-arcface-retina --output report

Several runs are drawn into the same plots, and their settings are held against each other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.commands.flags import command_parser
from lwface.models.names import parse_model
from lwface.reporting.training_log import CONFIG, LOG, TrainingRun, read_run

REPORT = "report"  # folder of the page below that of the run


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; ``run`` is what the folders tell."""
    parser = command_parser(__doc__)
    what = "folder of a run, or its model PREFIX,EPOCH; several are compared"
    parser.add_argument("--run", metavar="RUN", nargs="+", required=True, help=what)
    what = f"folder for report.html and its plots; not given: {REPORT}/ in the folder of the (first) run"
    parser.add_argument("--output", type=Path, metavar="DIR", help=what)
    arguments = parser.parse_args(argv)
    folders = [_folder(path) for path in arguments.run]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("--run: a run is to be compared with itself; name each folder once")
    arguments.output = arguments.output or folders[0] / REPORT
    if arguments.output.exists() and not arguments.output.is_dir():
        raise UserError(f"--output {arguments.output}: is a file; give the name of a folder")
    arguments.run = [read_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Write the page."""
    arguments = parse_arguments(argv)
    load("matplotlib")
    from lwface.reporting.provenance import provenance
    from lwface.reporting.training_page import write_training_report

    path = write_training_report(arguments.output, arguments.run, provenance(_files(arguments.run)))
    for run in arguments.run:
        print(_line(run))
    print(f"report: {path}")


def _folder(path: str) -> Path:
    """The folder of a run from its own name or from that of its model."""
    return Path(path) if Path(path).is_dir() or "," not in path else Path(parse_model(path)[0]).parent


def _names(folders: list[Path]) -> list[str]:
    """The folders' own names, with those above where two are the same."""
    short = [folder.resolve().name for folder in folders]
    return short if len(set(short)) == len(short) else [str(folder) for folder in folders]


def _files(runs: list[TrainingRun]) -> dict[str, Path]:
    """What the page is made of, and the models that came out."""
    found = {}
    for run in runs:
        of = "" if len(runs) == 1 else f" of {run.name}"
        files = {f"log{of}": run.folder / LOG, f"settings{of}": run.folder / CONFIG}
        files.update({f"model {path.name}{of}": path for path in run.saved_models()})
        found.update({what: path for what, path in files.items() if path.is_file()})
    return found


def _line(run: TrainingRun) -> str:
    pack = run.judging
    if pack is None:
        return f"{run.name}: {run.last_step} steps, not validated"
    best, figure = run.best(pack), run.merit(pack)
    return f"{run.name}: {run.last_step} steps, best {figure} on {pack} {best.value(figure):.5f} at step {best.step}"
