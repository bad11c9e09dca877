"""MXNet's ``PREFIX-symbol.json``: the graph of a network, read from every version and written byte for byte.

``nodes`` is a list of ``op`` (``null``: a variable, that is the input or an array), ``name``, the operator's options as
texts, and ``inputs``, each ``[node, output]`` or ``[node, output, version]``; ``heads`` lists what the network puts out
in the same way. The options stand under ``attrs``; MXNet before 1.0 wrote ``attr``, before 0.9 ``param`` and ``attr``,
and left the running statistics of batch norms out, which are put in when such a file is read.

A file is not trusted: size, nesting, numbers and names are limited, and a node takes inputs only from nodes before it,
so that there is no cycle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lwface.base.errors import UserError
from lwface.base.files import PathLike, write_text
from lwface.mxnet.params import name_problem

VARIABLE = "null"
MXNET_VERSION = 10901
MAX_BYTES = 8 * 2**20  # d201 has 0.5 MiB
MAX_NODES = 10_000  # hrnet_w18 has 2 800
MAX_INPUTS = 1024  # of a node
MAX_TEXT = 65_536  # characters of an option
MAX_OUTPUTS = 4096  # of a node
BATCH_NORMS = ("BatchNorm", "BatchNorm_v1", "CuDNNBatchNorm", "_contrib_SyncBatchNorm")
BATCH_NORM_INPUTS = 5  # data, gamma, beta and the running statistics
STATISTICS = ("moving_mean", "moving_var")

# Outputs that an operator has, hidden ones included: MXNet numbers them through in ``node_row_ptr``. All others have 1.
OUTPUTS = {
    **dict.fromkeys((*BATCH_NORMS, "LayerNorm", "InstanceNorm", "GroupNorm"), 3),
    **dict.fromkeys(("Dropout", "L2Normalization", "LRN", "moments"), 2),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """A variable or an operator; an input is ``(position in Symbol.nodes, number of its output)``."""

    op: str
    name: str
    attrs: dict[str, str]
    inputs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Symbol:
    """A graph whose nodes stand after the nodes they take inputs from, and what it puts out."""

    nodes: tuple[Node, ...]
    heads: tuple[tuple[int, int], ...]


def read_symbol(path: PathLike) -> Symbol:
    """The graph in a symbol file.

    Raises:
        UserError: not such a file, or damaged.
        OSError: the file cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise _DamageError(f"larger than {MAX_BYTES} bytes")
        return _symbol(_parsed(data))
    except _DamageError as damage:
        raise UserError(f"{os.fspath(path)}: not an MXNet symbol, or damaged: {damage}") from None


def write_symbol(path: PathLike, symbol: Symbol) -> None:
    """Write a graph as MXNet 1.9.1 does: the same graph gives the same bytes."""
    rows = [0]
    for node in symbol.nodes:
        rows.append(rows[-1] + output_count(node))
    variables = [i for i, node in enumerate(symbol.nodes) if node.op == VARIABLE]
    fields = {
        "nodes": _list_text([_node_text(node) for node in symbol.nodes], indent=2, split=True),
        "arg_nodes": _list_text(variables, indent=2),
        "node_row_ptr": _list_text(rows, indent=2),
        "heads": _list_text([f"[{node}, {output}, 0]" for node, output in symbol.heads], indent=2),
        "attrs": f'{{"mxnet_version": ["int", {MXNET_VERSION}]}}',
    }
    write_text(path, _object_text(fields, indent=0, split=True))


def output_count(node: Node) -> int:
    """How many outputs ``node`` has, those included that no other node can use.

    Raises:
        UserError: its number of outputs is an option that is missing or not a number.
    """
    if node.op in ("SliceChannel", "split"):
        text = node.attrs.get("num_outputs", "")
        if not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_OUTPUTS:
            raise UserError(f"{node.op} {node.name!r}: num_outputs is {text[:20]!r}, expected 1 to {MAX_OUTPUTS}")
        return int(text)
    if node.op == "LeakyReLU":
        return 2 if node.attrs.get("act_type") == "rrelu" else 1
    if node.op == "Pooling":  # a workspace for the positions of the maxima
        kernel, kind = node.attrs.get("kernel", "()"), node.attrs.get("pool_type", "max")
        return 2 if kind == "max" and kernel not in ("()", "[]") else 1
    return OUTPUTS.get(node.op, 1)


def _node_text(node: Node) -> str:
    fields = {"op": _quoted(node.op), "name": _quoted(node.name)}
    if node.attrs:
        attrs = {key: _quoted(value) for key, value in sorted(node.attrs.items())}
        fields["attrs"] = _object_text(attrs, indent=6, split=len(attrs) > 1)
    # A running statistic is used in the version that its batch norm has changed once.
    changed = range(3, BATCH_NORM_INPUTS) if node.op in BATCH_NORMS else ()
    inputs = [f"[{source}, {output}, {int(i in changed)}]" for i, (source, output) in enumerate(node.inputs)]
    fields["inputs"] = _list_text(inputs, indent=6)
    return _object_text(fields, indent=4, split=True)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _object_text(fields: Mapping[str, str], indent: int, split: bool) -> str:
    """An object in MXNet's layout; with ``split`` one field a line."""
    return _joined("{", [f'"{key}": {value}' for key, value in fields.items()], "}", indent, split)


def _list_text(items: Sequence[object], indent: int, split: bool = False) -> str:
    """A list in MXNet's layout: one item a line where there are more than 10."""
    return _joined("[", items, "]", indent, split or len(items) > 10)


def _joined(begin: str, items: Sequence[object], end: str, indent: int, split: bool) -> str:
    if not split or not items:
        return begin + ", ".join(map(str, items)) + end
    line = "\n" + " " * (indent + 2)
    return begin + line + f", {line}".join(map(str, items)) + "\n" + " " * indent + end


class _DamageError(Exception):
    """What is wrong with the content; the caller adds the file's name."""


def _parsed(data: bytes) -> dict[str, Any]:
    """The JSON in ``data``, which must be an object."""
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_unique)
    except RecursionError:
        raise _DamageError("nested too deeply") from None
    except ValueError as error:  # not UTF-8, not JSON, a number of thousands of digits
        raise _DamageError(f"{' '.join(str(error).split())[:100]}") from None
    return _typed(content, dict, "the file")


def _refuse(text: str) -> None:
    raise _DamageError(f"it holds {text}, which is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DamageError("a key stands twice in one object")
    return found


def _symbol(content: dict[str, Any]) -> Symbol:
    raw_nodes = _typed(content.get("nodes"), list, "nodes")
    if not 1 <= len(raw_nodes) <= MAX_NODES:
        raise _DamageError(f"{len(raw_nodes)} nodes; 1 to {MAX_NODES} are read")
    nodes: list[Node] = []
    places: list[int] = []  # where each node of the file has come to stand, after those that had to be added
    for i, raw in enumerate(raw_nodes):
        node = _node(raw, f"node {i}", places)
        if node.op in BATCH_NORMS and len(node.inputs) == BATCH_NORM_INPUTS - len(STATISTICS):
            # MXNet before 0.9 did not write running statistics as nodes.
            added = tuple((len(nodes) + k, 0) for k in range(len(STATISTICS)))
            nodes += [Node(VARIABLE, f"{node.name}_{name}", {}, ()) for name in STATISTICS]
            node = replace(node, inputs=(*node.inputs, *added))
        places.append(len(nodes))
        nodes.append(node)
    variables: set[str] = set()
    for node in nodes:
        if node.op == VARIABLE and node.name in variables:
            raise _DamageError(f"two variables are called {node.name!r}")
        variables |= {node.name} if node.op == VARIABLE else set()
    heads = _entries(content.get("heads"), "heads", places)
    if not heads:
        raise _DamageError("it puts nothing out: heads is empty")
    return Symbol(tuple(nodes), heads)


def _node(raw: Any, what: str, places: list[int]) -> Node:
    """One node of the file, its inputs moved to their ``places``: only nodes before it have one."""
    raw = _typed(raw, dict, what)
    op, name = (_typed(raw.get(key), str, f"{key} of {what}") for key in ("op", "name"))
    for text in (op, name):
        if problem := name_problem(text):
            raise _DamageError(f"{what} {text[:40]!r}: {problem}")
    attrs: dict[str, str] = {}
    for key in ("param", "attr", "attrs"):
        for option, value in _typed(raw.get(key, {}), dict, f"{key} of {what}").items():
            attrs[option] = _typed(value, str, f"{option[:40]!r} of {what}")
            if len(option) + len(value) > MAX_TEXT:
                raise _DamageError(f"an option of {what} has more than {MAX_TEXT} characters")
    inputs = _entries(raw.get("inputs"), f"inputs of {what} {name!r}", places)
    if op == VARIABLE and inputs:
        raise _DamageError(f"{what} {name!r} is a variable, but has inputs")
    return Node(op, name, attrs, inputs)


def _entries(raw: Any, what: str, places: list[int]) -> tuple[tuple[int, int], ...]:
    """``[node, output]`` or ``[node, output, version]`` of each entry of a list."""
    found = []
    if len(_typed(raw, list, what)) > MAX_INPUTS:
        raise _DamageError(f"{what}: {len(raw)} entries; {MAX_INPUTS} at most are read")
    for entry in raw:
        if not isinstance(entry, list) or len(entry) not in (2, 3) or any(type(number) is not int for number in entry):
            raise _DamageError(f"{what}: an entry is not [node, output] or [node, output, version]")
        if not 0 <= entry[0] < len(places):
            raise _DamageError(f"{what}: node {_short(entry[0])} does not exist or does not stand before (a cycle?)")
        if not 0 <= entry[1] < MAX_OUTPUTS:
            raise _DamageError(f"{what}: node {entry[0]} has no output {_short(entry[1])}")
        found.append((places[entry[0]], entry[1]))
    return tuple(found)


def _short(number: int) -> str:
    return str(number) if abs(number) < 1 << 64 else "of very many digits"


def _typed(value: Any, kind: type[T], what: str) -> T:
    if not isinstance(value, kind):
        found = "missing" if value is None else f"a {type(value).__name__}"
        raise _DamageError(f"{what} is {found}, expected a {kind.__name__}")
    return value
