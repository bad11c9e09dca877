"""Whether a quality head, or what one is trained on, is there; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.file_list import LIST_NAME


def remedy(path: PathLike, model: str) -> str:
    """What to do where ``path`` is no head for the model that the user calls ``model``."""
    return f"train one: python recognition/train_quality.py --model {model} --input FOLDER --output {path}"


def find_quality(path: PathLike, model: str) -> Path:
    """The file of the head; :class:`UserError` when it is not there."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such quality head; {remedy(path, model)}")
    return Path(path)


def check_frames(folder: Path) -> bool:
    """Whether the labelled frames in ``folder`` are records, else they are listed or a folder of people.

    Raises:
        UserError: there is no such folder, or a list without labels.
    """
    if (folder / "train.rec").is_file():
        return True
    if not folder.is_dir() or ((folder / LIST_NAME).is_file() and not (folder / "labels.txt").is_file()):
        raise UserError(
            f"{folder}: expected train.rec, {LIST_NAME} and labels.txt of images or videos, or a folder of people"
        )
    return False
