"""What trained models are called on a command line, and where their files are.

``PREFIX,EPOCH``, the file ``PREFIX-0001.safetensors`` or ``PREFIX-0001.params`` itself, ``FILE.onnx``, a state dict
of PyTorch, or a model that comes inside the package (:data:`PACKAGE`). Nothing heavy is imported here: a command
looks for its model before it loads what the model runs on.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path

from lwface.base.errors import UserError
from lwface.models.shipped import DETECTOR, FACE, LANDMARKS, shipped_path
from lwface.mxnet.names import find_mxnet, params_path
from lwface.settings.places import checkout

TORCH_SUFFIXES = (".pth", ".pt", ".tar")
STATE_DICT_SUFFIXES = (*TORCH_SUFFIXES, ".safetensors")  # of files that need not say which network they belong to
DEFAULT = "default"
PACKAGE = {
    DEFAULT: FACE,
    f"{DEFAULT}-landmarks": LANDMARKS,
    f"{DEFAULT}-detector": DETECTOR,
}  # the package's own models
FILES = f"a file {', '.join(STATE_DICT_SUFFIXES)} or .onnx"


def parse_model(text: str) -> tuple[str, int]:
    """Prefix and epoch of ``PREFIX,EPOCH`` as typed by the user, such as ``models/y2-arcface-retina/model,1``.

    The name of a file of a model, ``PREFIX-0001.safetensors`` or ``PREFIX-0001.params``, says both as well.
    """
    file = re.fullmatch(r"(.+)-(\d{4,})\.(safetensors|params)", text)
    if file:
        return file[1], int(file[2])
    prefix, comma, epoch = text.rpartition(",")
    if not comma or not prefix or not epoch.strip().isdecimal():
        example = "PREFIX,EPOCH such as models/y2-arcface-retina/model,1"
        raise UserError(f"model {text!r}: expected {example}, or {FILES}")
    return prefix, int(epoch)


def with_epoch(model: str, epoch: int) -> str:
    """``model`` as ``--model`` takes it: a prefix that names no epoch with ``epoch`` behind it; all else as it is."""
    return model if names_epoch(model) else f"{model},{epoch}"


def names_epoch(model: str) -> bool:
    """Whether ``model`` says all by itself: a file, a prefix with an epoch, or a model of the package."""
    path = Path(model)
    return model in PACKAGE or is_onnx(model) or is_state_dict(model) or "," in path.name or path.suffix == ".params"


def in_checkout(text: str, *paths: Path) -> str:
    """A hint where one of the missing ``paths`` of the model ``text`` lies below the checkout, where training puts it.

    It is looked for at the same place below its root and below its ``models/``.
    """
    root = checkout()
    for folder in () if root is None else (root, root / "models"):
        for path in paths:
            if not path.is_absolute() and (folder / path).is_file():
                return f"; it is below the checkout: type {folder / text}"
    return ""


def model_path(prefix: str, epoch: int) -> Path:
    """The file of epoch ``epoch`` of the model ``prefix``."""
    return Path(f"{prefix}-{epoch:04d}.safetensors")


def model_file(text: str) -> Path:
    """The file that holds the weights of the model called ``text``; its size is held against a track's limit.

    Raises:
        UserError: there is no such model.
    """
    if text in PACKAGE:
        return shipped_path(PACKAGE[text])
    if is_onnx(text) or is_state_dict(text):
        path = Path(text)
        if not path.is_file():
            raise UserError(f"{path}: no such model{_saved_epochs(*_as_prefix(text)) or in_checkout(text, path)}")
        return path
    prefix, epoch = parse_model(text)
    if text.endswith(".params"):
        return find_mxnet(prefix, epoch)[1]
    candidates = (model_path(prefix, epoch), params_path(prefix, epoch))
    if candidates[0].is_file():
        return candidates[0]
    if candidates[1].is_file():
        return find_mxnet(prefix, epoch)[1]
    hint = _saved_epochs(prefix) or in_checkout(text, *candidates)
    raise UserError(f"{candidates[0]}: no such model, and no {candidates[1].name} either{hint}")


def teacher_file(text: str) -> Path:
    """The file of a teacher: that of a model, or a feature file ``FILE.bin``, what a model made of a data set.

    Raises:
        UserError: there is none.
    """
    if not is_feature_file(text):
        return model_file(text)
    if not Path(text).is_file():
        raise UserError(f"{text}: no such feature file; a teacher is a model, or its features of the data set")
    return Path(text)


def is_feature_file(text: str) -> bool:
    """Whether ``text`` names a feature file, where a model could stand too."""
    return Path(text).suffix.lower() == ".bin"


def is_onnx(text: str) -> bool:
    """Whether ``text`` names an ONNX model."""
    return text.lower().endswith(".onnx")


def is_state_dict(text: str) -> bool:
    """Whether ``text`` names a file of PyTorch or safetensors, which holds tensors by name."""
    return Path(text).suffix.lower() in STATE_DICT_SUFFIXES


def _as_prefix(text: str) -> tuple[str, ...]:
    """The prefix, where ``text`` is the name of a file of a model of this project; else nothing."""
    file = re.fullmatch(r"(.+)-\d{4,}\.safetensors", text)
    return (file[1],) if file else ()


def _saved_epochs(prefix: str = "") -> str:
    """A hint that lists which epochs of ``prefix`` there are."""
    if not prefix:
        return ""
    parent, name = Path(prefix).parent, Path(prefix).name
    files = [path for kind in ("safetensors", "params") for path in parent.glob(f"{glob.escape(name)}-[0-9]*.{kind}")]
    epochs = sorted({int(end) for end in (path.stem[len(name) + 1 :] for path in files) if end.isdecimal()})
    return f"; epochs there: {', '.join(map(str, epochs))}" if epochs else ""
