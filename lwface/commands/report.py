"""A training run as one HTML page: what came out, the curves, the best step, the settings. During the run too.

    python recognition/report.py --run models/y2-arcface-retina
    python recognition/report.py --run models/y2-arcface-retina models/m1-arcface-retina --output report

    python recognition/report.py --run models/y2-arcface-retina --worst 24

Several runs are drawn into the same plots, and their settings are held against each other. The third shows the training
images with the highest loss, too, by the weights of the last checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.commands.flags import add_device_flag, check_least, command_parser
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
    what = "show this many training images of highest loss; they are then in the page"
    parser.add_argument("--worst", type=int, default=0, metavar="N", help=what)
    what = "of how many images, evenly spread over the data set; each goes through the network once"
    parser.add_argument("--worst-of", type=int, default=2000, metavar="N", help=what)
    add_device_flag(parser)
    arguments = parser.parse_args(argv)
    check_least(arguments, {"worst": 0, "worst_of": 1})
    if arguments.worst and len(arguments.run) > 1:
        raise UserError(f"--worst {arguments.worst}: goes with one run, not with {len(arguments.run)}")
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
    load("matplotlib", *(("torch", "cv2") if arguments.worst else ()))
    from lwface.reporting.provenance import provenance
    from lwface.reporting.training_page import write_training_report

    worst = None
    if arguments.worst:
        from lwface.base.device import select_device
        from lwface.recognition.worst_images import worst_images

        (run,), device = arguments.run, select_device(arguments.device)
        worst = worst_images(run, shown=arguments.worst, sample=arguments.worst_of, device=device)
    path = write_training_report(arguments.output, arguments.run, provenance(_files(arguments.run)), worst)
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
