"""What trained models are called on a command line, ``PREFIX,EPOCH`` or ``FILE.onnx``, and where their files are.

Nothing heavy is imported here: a command looks for its model before it loads what the model runs on.
"""

from __future__ import annotations

import glob
from pathlib import Path

from lwface.base.errors import UserError
from lwface.mxnet.names import find_mxnet, params_path

TORCH_SUFFIXES = (".pth", ".pt", ".tar")
STATE_DICT_SUFFIXES = (*TORCH_SUFFIXES, ".safetensors")  # of files that do not say which network they belong to


def parse_model(text: str) -> tuple[str, int]:
    """``PREFIX,EPOCH`` as typed by the user, such as ``models/y2-arcface-retina/model,1``."""
    prefix, comma, epoch = text.rpartition(",")
    if not comma or not prefix or not epoch.strip().isdecimal():
        raise UserError(f"model {text!r}: expected PREFIX,EPOCH such as models/y2-arcface-retina/model,1")
    return prefix, int(epoch)


def model_path(prefix: str, epoch: int) -> Path:
    """The file of epoch ``epoch`` of the model ``prefix``."""
    return Path(f"{prefix}-{epoch:04d}.safetensors")


def model_file(text: str) -> Path:
    """The file that holds the weights of the model called ``text``; its size is held against a track's limit.

    Raises:
        UserError: there is no such model.
    """
    if is_onnx(text):
        path = Path(text)
        if not path.is_file():
            raise UserError(f"{path}: no such model")
        return path
    prefix, epoch = parse_model(text)
    candidates = (model_path(prefix, epoch), params_path(prefix, epoch))
    if candidates[0].is_file():
        return candidates[0]
    if candidates[1].is_file():
        return find_mxnet(prefix, epoch)[1]
    raise UserError(f"{candidates[0]}: no such model, and no {candidates[1].name} either{_saved_epochs(prefix)}")


def is_onnx(text: str) -> bool:
    """Whether ``text`` names an ONNX model."""
    return text.lower().endswith(".onnx")


def _saved_epochs(prefix: str) -> str:
    """A hint that lists which epochs of ``prefix`` there are."""
    parent, name = Path(prefix).parent, Path(prefix).name
    files = [path for kind in ("safetensors", "params") for path in parent.glob(f"{glob.escape(name)}-[0-9]*.{kind}")]
    epochs = sorted({int(end) for end in (path.stem[len(name) + 1 :] for path in files) if end.isdecimal()})
    return f"; epochs there: {', '.join(map(str, epochs))}" if epochs else ""
