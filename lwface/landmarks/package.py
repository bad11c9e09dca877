"""What a student hands in for the landmark challenge: one zip with README, model, report and all code.

The rules are those of the challenge's slides: a zip named after the student that unpacks to one directory of that name,
with a README that tells the environment and the steps, the best model, the report, and no data. Only its own synthetic
training set may have been learnt from.
"""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lwface.base.errors import UserError
from lwface.base.files import replacing
from lwface.base.origin import versions
from lwface.formats.point_solution import SOLUTION, read_solution
from lwface.gate.budgets import LANDMARKS, BudgetError
from lwface.gate.flops import budget_violations, count_flops
from lwface.landmarks.point_sets import CHALLENGE, TRAINING, VALIDATION
from lwface.models.names import model_file
from lwface.models.store import load_model
from lwface.settings.places import checkout

# Of the checkout, what reproduces the result.
CODE = ("lwface", "landmarks", "common", "recognition", "pyproject.toml", "README.md", "LICENSE")
CONFIGURATION = ("sample_config.py", "config.py")
REQUIREMENTS = ("requirements.txt", "requirements-extras.txt", "Makefile")
DATE = (1980, 1, 1, 0, 0, 0)  # of every file of the zip, so that equal content gives equal bytes


def write_package(student: str, model: str, report: Path, solution: Path | None, output: Path) -> Path:
    """Write ``STUDENT.zip`` into the folder ``output``; returns its path.

    Args:
        student: the leader's ID.
        solution: the solution file, which is checked and goes in too.

    Raises:
        BudgetError: the model is over 15 MB or not float32.
        UserError: the model learnt from outside data, or a part is not there.
    """
    network, config = load_model(model)
    require_own_data(model, config)
    report_of = count_flops(network)
    file = model_file(model)
    found = budget_violations(report_of, LANDMARKS, max(report_of.model_bytes, file.stat().st_size))
    if found:
        raise BudgetError(f"{model} is refused: {'; '.join(found)}")
    root = checkout()
    if root is None:
        raise UserError("the code to hand in is that of the checkout, and this is an installed package: run it there")
    parts: dict[str, bytes] = {f"code/{name}": (root / name).read_bytes() for name in _code(root)}
    parts[f"model/{file.name}"] = file.read_bytes()
    parts[f"report{report.suffix}"] = report.read_bytes()
    if solution is not None:
        read_solution(solution)
        parts[SOLUTION if solution.suffix == ".txt" else "solution.zip"] = solution.read_bytes()
    parts["README.md"] = _readme(student, file.name, config, report_of.model_bytes).encode()
    path = output / f"{student}.zip"
    output.mkdir(parents=True, exist_ok=True)
    with replacing(path) as target, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(parts.items()):
            entry = zipfile.ZipInfo(f"{student}/{name}", DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return path


def require_own_data(model: str, config: Mapping[str, Any]) -> None:
    """:class:`UserError` where a model learnt from anything but the challenge's synthetic training set."""
    if "data" not in config:
        raise UserError(f"{model}: it does not say what it learnt from: no model of points that was trained here")
    for data in config["data"]:
        if data["kind"] != CHALLENGE or data["name"] != TRAINING:
            what = f"{data['name']} ({data['kind']}, {data['pictures']} pictures)"
            raise UserError(f"{model}: it learnt from {what}; the challenge allows {TRAINING} and no outside data")
    if config.get("started_from"):
        told = f"it started from {config['started_from']}, of which it does not say what that had learnt from"
        raise UserError(f"{model}: {told}: hand in a model that was trained in one run, without --pretrained")
    if config.get("point_adapted_to"):
        told = f"it is adapted to {config['point_adapted_to']}"
        raise UserError(f"{model}: {told}: that is outside data, which the challenge forbids")


def _code(root: Path) -> list[str]:
    """The files of what reproduces the result: those under version control, and programs that are not yet.

    Where nothing is under version control, all files but those that Python made.
    """
    wanted = [*CODE, *CONFIGURATION, *REQUIREMENTS]
    folders = [root / name for name in wanted]
    paths = [path for folder in folders for path in (folder.rglob("*") if folder.is_dir() else [folder])]
    found = {str(path.relative_to(root)) for path in paths if path.is_file() and "__pycache__" not in path.parts}
    listed = subprocess.run(["git", "ls-files", "-z", *wanted], cwd=root, capture_output=True, check=False)
    if listed.returncode == 0:
        tracked = set(listed.stdout.decode().split("\0"))
        found = {name for name in found if name in tracked or name.endswith(".py")}
    return sorted(found)


def _readme(student: str, model: str, config: Mapping[str, Any], size: int) -> str:
    """How the result is made again: environment, training, testing."""
    told = versions()
    flags = {
        "network": "network", "head": "point_head", "loss": "point_loss", "view": "view", "lr": "lr", "wd": "wd",
        "per-batch-size": "per_batch_size", "max-steps": "max_steps", "warmup-steps": "warmup_steps", "seed": "seed",
        "augmentation": "augmentation", "settle": "settle", "ema": "ema", "precision": "precision",
        "lr-policy": "lr_policy", "optimizer": "optimizer", "accumulate": "accumulate", "verbose": "verbose",
        "ckpt": "ckpt",
    }  # fmt: skip
    data = "data" if config.get("validation") == VALIDATION else f"data/{TRAINING}"
    if data != "data":  # what judged, and chose the step, was a part of the training set
        flags |= {"held-out": "held_out", "split-seed": "split_seed"}
    times = config["data"][0]["times"]
    data += f":{times}" if times > 1 else ""
    line = " ".join(f"--{flag} {config[key]}" for flag, key in flags.items() if key in config)
    environment = "\n".join(f"* {name} {version}" for name, version in told.items())
    return f"""# {student}: light-weight facial landmark prediction

One model, `model/{model}`: {size:,} bytes of float32 weights, trained on `{TRAINING}` alone.

## Environment

{environment}

With Python 3.11: `cd code && make setup && source .venv/bin/activate`.

## Training

The data as the challenge gives it, in `data/{TRAINING}` and `data/aflw_val`:

    python landmarks/train.py --data {data} {line}

## Testing

    python landmarks/predict.py --model ../model/{model} --input data/aflw_test --output solution.txt --zip
    python landmarks/evaluate.py --solution solution.zip --truth data/aflw_val/annot.pkl
"""
