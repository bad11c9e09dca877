"""Reading the file of an ONNX model, from anywhere: nothing outside its folder, and nothing that does not add up.

A model may keep weights in other files (*external data*): then they are read from its own folder or one below it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.base.files import PathLike
from lwface.onnx.graph import all_tensors, fixed_batch, inferred_shapes, one_line, parse, tensor_bytes

LARGEST_FILE = 2**31 - 1  # bytes: what ONNX's format can hold
TYPED_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def read_onnx(path: PathLike) -> Any:
    """The ``onnx.ModelProto`` in the file ``path``, checked, with its external data inside.

    Raises:
        UserError: there is no such file; it is truncated, damaged or no ONNX model; a tensor is not as long as it
            says; external data is missing or outside the folder; an operator is unknown; the input is not images
            (N, 3, 112, 112); shapes contradict each other.
    """
    onnx = require("onnx", extra="onnx")
    name = str(path)
    if not Path(path).is_file():
        raise UserError(f"{path}: no such model")
    if Path(path).stat().st_size > LARGEST_FILE:
        raise UserError(f"{path}: is larger than the 2 GiB that an ONNX model can be")
    model = parse(Path(path).read_bytes(), name)
    _check_tensors(model, Path(path))
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not a valid ONNX model ({one_line(error)})") from None
    inferred_shapes(model, fixed_batch(model, name) or 1, name)
    return model


def _check_tensors(model: Any, path: Path) -> None:
    """Raise unless every tensor holds as many bytes as its shape says; take in those kept in other files."""
    room = LARGEST_FILE
    for name, tensor in all_tensors(model):
        what = f"{path}: tensor {name!r}"
        try:
            expected = tensor_bytes(tensor)
        except (KeyError, ValueError, TypeError):
            raise UserError(f"{what} has the unknown number type {tensor.data_type}") from None
        if any(size < 0 for size in tensor.dims) or expected > room:
            raise UserError(f"{what} has the impossible shape {tuple(tensor.dims)}")
        room -= expected
        if tensor.data_location == tensor.EXTERNAL:
            _take_in(tensor, expected, path.parent, what)
        elif tensor.HasField("raw_data"):
            if len(tensor.raw_data) != expected:
                raise UserError(f"{what} holds {len(tensor.raw_data)} bytes, its shape needs {expected}")
        elif expected and not any(len(getattr(tensor, field)) for field in TYPED_FIELDS):
            raise UserError(f"{what} holds nothing, its shape needs {expected} bytes")


def _take_in(tensor: Any, expected: int, folder: Path, what: str) -> None:
    """Read the external data of ``tensor`` into it."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, offset, length = entries.get("location", ""), entries.get("offset", "0"), entries.get("length", "")
    file = folder / location
    if not location or "\0" in location or not file.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{what} is kept in {location!r}, outside the model's folder: refused")
    if not file.is_file():
        raise UserError(f"{what} is kept in {file}, which is missing: copy it beside the model")
    if not offset.isdecimal() or (length or str(expected)) != str(expected):
        raise UserError(f"{what} is kept at {offset!r} with {length!r} bytes, its shape needs {expected} bytes")
    with open(file, "rb") as data:
        if int(offset) + expected > file.stat().st_size:
            raise UserError(
                f"{what} needs {expected} bytes from {offset} on of {file}, which ends before: copy it again"
            )
        data.seek(int(offset))
        tensor.raw_data = data.read(expected)
    del tensor.external_data[:]
    tensor.ClearField("data_location")
