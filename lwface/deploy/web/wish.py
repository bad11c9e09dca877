"""What a user asks of a page, checked before anything heavy is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lwface.base.errors import UserError
from lwface.deploy.web.runtime import check_source

PAGE, MODEL = "index.html", "model.onnx"


@dataclass(frozen=True)
class Threshold:
    """An operating point of ``eval/tar_far.py``; where its pairs do not tell, ``reason`` is all there is."""

    far: float
    threshold: float | None
    tar: float | None
    interval: tuple[float, float] | None  # of the TAR, 95 %
    reason: str = ""


@dataclass(frozen=True)
class MeasuredThresholds:
    """What ``eval/tar_far.py --json`` wrote into the file called ``name``."""

    name: str
    width: int  # of a feature
    rows: int
    genuine_pairs: int
    impostor_pairs: int
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True)
class PageWish:
    """What the page is made of beside the model.

    Attributes:
        name: of the model, as the page shows it.
        measured: the thresholds of its report; None: the page says that it has none.
        runtime: folder or package of onnxruntime-web; None: npm fetches it.
    """

    name: str
    measured: MeasuredThresholds | None = None
    runtime: Path | None = None


def page_wish(output: Path, model: str, report: Path | None, runtime: Path | None) -> PageWish:
    """The wish that the flags of a command express.

    Raises:
        UserError: the folder ``output`` may not be written, or ``report`` or ``runtime`` cannot be used.
        OSError: ``report`` cannot be read.
    """
    check_folder(output)
    check_source(runtime)
    return PageWish(shown_name(model), read_thresholds(report) if report else None, runtime)


def shown_name(model: str) -> str:
    """The end of a model's path, for a page that others get: ``y2-arcface-retina/model,1``, ``y2.onnx``."""
    parts = Path(model).parts
    return "/".join(parts[-2:] if Path(model).name.startswith("model") else parts[-1:])


def check_folder(output: Path) -> None:
    """:class:`UserError` unless ``output`` is new, empty, or holds an earlier page and nothing else."""
    if output.suffix == ".onnx":
        raise UserError(f"--output {output}: --for web writes a folder, with {PAGE} and {MODEL}; give its name")
    if not output.exists():
        return
    if not output.is_dir():
        raise UserError(f"--output {output} is a file; --for web writes a folder")
    others = sorted({path.name for path in output.iterdir()} - {PAGE, MODEL})
    if others:
        raise UserError(f"--output {output}: holds other files, such as {others[0]}; give the name of a new folder")


def read_thresholds(path: Path) -> MeasuredThresholds:
    """The operating points in the JSON of ``eval/tar_far.py``; of a comparison those of the first feature file.

    Raises:
        UserError: the file is not such.
        OSError: it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not found["results"]:
            raise ValueError("no FAR in it")
        return MeasuredThresholds(
            path.name,
            width=int(found["dim"]),
            rows=int(found["rows"]),
            genuine_pairs=int(found["genuine_pairs"]),
            impostor_pairs=int(found["impostor_pairs"]),
            thresholds=tuple(_threshold(entry) for entry in found["results"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(f"--report {path}: is not what eval/tar_far.py --json writes ({reason})") from None


def _threshold(entry: dict[str, Any]) -> Threshold:
    far = float(entry["far"])
    if entry["threshold"] is None:
        return Threshold(far, None, None, None, str(entry.get("reason", "not resolvable")))
    threshold, tar, ends = float(entry["threshold"]), float(entry["tar"]), entry["tar_interval"]
    if not (0 < far < 1 and -1 <= threshold <= 2 and 0 <= tar <= 1):
        raise ValueError(f"FAR {far:g}, threshold {threshold:g}, TAR {tar:g} cannot be")
    return Threshold(far, threshold, tar, None if ends is None else (float(ends[0]), float(ends[1])))
