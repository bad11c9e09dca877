"""Outputs of an MXNet graph by name, and the part of a graph that one of them needs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from lwface.base.errors import UserError
from lwface.mxnet.operators import HEADS
from lwface.mxnet.symbol import VARIABLE, Node, Symbol

EMBEDDING = "fc1_output"  # what InsightFace's networks call it
MAX_LISTED = 8

Entry = tuple[int, int]


def find_output(symbol: Symbol, name: str | None = None) -> Entry:
    """The ``(node, output)`` called ``name``: MXNet's name for it, such as ``fc1_output``, or the node's, ``fc1``.

    Without a name: ``fc1_output`` where there is one; else what the graph puts out, less the softmax or loss on top.

    Raises:
        UserError: there is none of that name, or more than one; without a name, the graph puts out several.
    """
    if name is not None:
        found = _called(symbol, name)
        if not found:
            near = difflib.get_close_matches(name, {text for text, _ in _names(symbol)}, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"it puts out {_listed(_head_names(symbol))}"
            raise UserError(f"the graph has no output {name!r}: {hint}")
        if len(found) > 1:
            raise UserError(f"{len(found)} outputs of the graph are called {name!r}: their layers have the same name")
        return found[0]
    embeddings = _called(symbol, EMBEDDING)
    if len(embeddings) == 1:
        return embeddings[0]
    below = {_below_head(symbol, head) for head in symbol.heads}
    if len(below) != 1:
        outputs = _listed(_head_names(symbol))
        raise UserError(
            f"the graph has no {EMBEDDING}, but several outputs: say which with --layer, for example {outputs}"
        )
    return below.pop()


def cut(symbol: Symbol, head: Entry) -> Symbol:
    """The nodes that ``head`` needs, and it as the only output. Labels of a softmax or loss are not needed."""
    needed = {head[0]}
    for i in range(head[0], -1, -1):
        if i in needed:
            needed |= {source for source, _ in _used(symbol.nodes[i])}
    order = sorted(needed)
    place = {old: new for new, old in enumerate(order)}
    nodes = [symbol.nodes[i] for i in order]
    moved = [replace(n, inputs=tuple((place[source], output) for source, output in _used(n))) for n in nodes]
    return Symbol(tuple(moved), ((place[head[0]], head[1]),))


def _used(node: Node) -> tuple[Entry, ...]:
    return node.inputs[:1] if node.op in HEADS else node.inputs


def _names(symbol: Symbol) -> Iterator[tuple[str, Entry]]:
    """Every name that an output goes by."""
    for i, node in enumerate(symbol.nodes):
        yield node.name, (i, 0)
        if node.op != VARIABLE:
            yield f"{node.name}_output", (i, 0)
    for i, output in {entry for node in symbol.nodes for entry in node.inputs} | set(symbol.heads):
        if symbol.nodes[i].op in ("SliceChannel", "split"):
            yield f"{symbol.nodes[i].name}_output{output}", (i, output)


def _called(symbol: Symbol, name: str) -> list[Entry]:
    """Outputs called ``name``; a node of this name comes second to an output."""
    found = sorted({entry for text, entry in _names(symbol) if text == name})
    exact = [entry for entry in found if symbol.nodes[entry[0]].name != name]
    return exact or found


def _below_head(symbol: Symbol, entry: Entry) -> Entry:
    while symbol.nodes[entry[0]].op in HEADS and symbol.nodes[entry[0]].inputs:
        entry = symbol.nodes[entry[0]].inputs[0]
    return entry


def _head_names(symbol: Symbol) -> list[str]:
    """MXNet's names of what the graph puts out and of what lies under its softmax and losses."""
    entries = {*symbol.heads, *(_below_head(symbol, head) for head in symbol.heads)}
    longest = {entry: name for name, entry in _names(symbol)}
    return [longest[entry] for entry in sorted(entries) if entry in longest]


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:MAX_LISTED]) + (", ..." if len(shown) > MAX_LISTED else "")
