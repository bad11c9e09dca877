"""A data set given as a folder: what its entry in a configuration would say, found in the folder itself.

Nothing heavy is imported, so that ``--help`` can show what a run would do.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from lwface.base.errors import UserError
from lwface.base.notes import note
from lwface.settings.places import SYNTHETIC, how_to_make

CHALLENGES = ("lfw", "cfp_fp", "agedb_30")  # in the order in which the original verifies; own packs come after them
TEACHER = "teacher.bin"  # what the renderer knows of people, as a teacher's features: lwface/synthetic/knowledge.py
_PICKLES = (b"\x80", b"(", b"]")  # how a pack begins, by the protocol


def short_name(dataset: str) -> str:
    """What models and searches on a data set are called: its name, or that of its folder; of several all, with +."""
    return "+".join(os.path.basename(os.path.abspath(one)) for one in several(dataset))


def several(dataset: str) -> list[str]:
    """The data sets that the word after ``--dataset`` names, separated by commas."""
    if "," not in dataset or Path(dataset).is_dir():
        return [dataset]
    return [one for one in (word.strip() for word in dataset.split(",")) if one]


def is_folder(dataset: str) -> bool:
    """Whether the word after ``--dataset`` means a folder: it is one, or it is written as a path."""
    return "/" in dataset or os.sep in dataset or Path(dataset).is_dir()


def folder_entry(dataset: str) -> dict[str, Any]:
    """The entry of the folder ``dataset``, which starts at the current one.

    The number of people is left to the ``property`` file (0), and the packs are those that lie there: the challenge's
    first, then others by name; the last decides which model is best.

    Raises:
        UserError: there is no such folder.
    """
    folder = Path(dataset).absolute()
    if not folder.exists() and folder.name == SYNTHETIC:
        raise UserError(f"--dataset {dataset}: no such folder yet: {how_to_make(folder)}")
    if not folder.is_dir():
        raise UserError(
            f"--dataset {dataset}: no such folder; expected one with train.rec, train.idx and property, which "
            "datasets/build_rec.py makes, or the name of a data set of the configuration"
        )
    return {
        "dataset": short_name(dataset),
        "dataset_path": str(folder),
        "num_classes": 0,
        "image_shape": (112, 112, 3),  # of all that is trained here; the property file is held against it
        "val_targets": _packs(folder),
    }


def _packs(folder: Path) -> list[str]:
    names = []
    for path in sorted(folder.glob("*.bin")):
        if _is_pack(path):
            names.append(path.stem)
        elif path.name != TEACHER:
            note(f"{path}: no verification pack, so nothing is verified on it")
    if not names and (folder / "train.rec").is_file():  # else that is what is missing
        note(f"{folder}: no verification pack in it, so nothing is verified; datasets/build_pack.py makes one")
    return [*(name for name in CHALLENGES if name in names), *(name for name in names if name not in CHALLENGES)]


def _is_pack(path: Path) -> bool:
    """By its first bytes: a pickle, and no feature file whose number of rows happens to begin like one."""
    with open(path, "rb") as file:
        head = file.read(16)
    if not head.startswith(_PICKLES):
        return False
    if len(head) < 16:
        return True  # and damaged, which its reader tells
    _, width, stride, kind = struct.unpack("<4i", head)
    return not (kind == 5 and stride == 4 * width)
