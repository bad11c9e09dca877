"""An MXNet graph under construction: operators and variables are added, what the output does not need is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lwface.base.errors import UserError
from lwface.mxnet.symbol import VARIABLE, Node, Symbol

Entry = tuple[int, int]  # position of a node, number of its output

# What MXNet's own Python front end calls operators that were given no name, where it is not the operator in lower case.
UNNAMED = {
    "elemwise_add": "_plus",
    "elemwise_sub": "_minus",
    "elemwise_mul": "_mul",
    "elemwise_div": "_div",
    "_plus_scalar": "_plusscalar",
    "_minus_scalar": "_minusscalar",
    "_rminus_scalar": "_rminusscalar",
    "_mul_scalar": "_mulscalar",
    "_div_scalar": "_divscalar",
    "_rdiv_scalar": "_rdivscalar",
    "_power_scalar": "_powerscalar",
    "_rpower_scalar": "_rpowerscalar",
    "_maximum_scalar": "_maximumscalar",
    "_minimum_scalar": "_minimumscalar",
}


@dataclass
class _Draft:
    """A node whose name is still open."""

    op: str
    attrs: dict[str, str]
    inputs: tuple[Entry, ...]
    name: str | None
    scope: str | None  # prefix of the name it gets; None: MXNet's own way


class GraphBuilder:
    """Collects nodes; :meth:`finish` names them and puts them in MXNet's order."""

    def __init__(self) -> None:
        self._drafts: list[_Draft] = []
        self._arrays: dict[int, tuple[str, np.ndarray]] = {}  # of the variables: kind and values

    def input(self, name: str) -> Entry:
        """A variable that the user feeds."""
        return self._append(_Draft(VARIABLE, {}, (), name, None))

    def variable(self, name: str | None, values: np.ndarray, *, auxiliary: bool = False) -> Entry:
        """A variable with ``values``, one of the weights; an unnamed one is a constant.

        Its shape is written too, because MXNet cannot derive it from the input behind a reshape or a broadcast.
        """
        entry = self._append(_Draft(VARIABLE, {"__shape__": text(values.shape)}, (), name, None))
        self._arrays[entry[0]] = ("aux" if auxiliary else "arg", values)
        return entry

    def operator(
        self, op: str, inputs: list[Entry], attrs: Mapping[str, object] | None = None, *, scope: str | None = None
    ) -> Entry:
        """An operator's first output; ``scope`` begins its name if :meth:`call` gives it none."""
        written = {key: text(value) for key, value in (attrs or {}).items()}
        return self._append(_Draft(op, written, tuple(inputs), None, scope))

    def call(self, entry: Entry, name: str) -> None:
        """Name the operator that puts out ``entry``, unless it has a name or ``name`` is empty."""
        draft = self._drafts[entry[0]]
        if name and draft.name is None and draft.op != VARIABLE:
            draft.name = name

    @property
    def size(self) -> int:
        """Nodes so far."""
        return len(self._drafts)

    def finish(self, output: Entry, name: str) -> tuple[Symbol, dict[str, np.ndarray]]:
        """The graph whose only output is ``output``, called ``name``, and the values of its variables.

        Nodes stand in the order in which MXNet would write them: each behind its inputs, depth first.

        Raises:
            UserError: two variables share a name.
        """
        if self._drafts[output[0]].name != name:
            output = self.operator("_copy", [output])
            self._drafts[output[0]].name = name
        order = self._order(output[0])
        names = self._names(order, last=output[0])
        position = {draft: place for place, draft in enumerate(order)}
        nodes = [
            Node(draft.op, names[i], draft.attrs, tuple((position[source], number) for source, number in draft.inputs))
            for i, draft in ((i, self._drafts[i]) for i in order)
        ]
        arrays = {f"{self._arrays[i][0]}:{names[i]}": self._arrays[i][1] for i in order if i in self._arrays}
        learned_first = dict(sorted(arrays.items(), key=lambda item: item[0].startswith("aux:")))  # as MXNet saves them
        return Symbol(tuple(nodes), ((position[output[0]], output[1]),)), learned_first

    def _append(self, draft: _Draft) -> Entry:
        self._drafts.append(draft)
        return len(self._drafts) - 1, 0

    def _order(self, output: int) -> list[int]:
        """Nodes that ``output`` needs, depth first; no recursion, as networks are deeper than Python's stack."""
        order: dict[int, None] = {}
        waiting = [(output, False)]
        while waiting:
            node, inputs_done = waiting.pop()
            if node in order:
                continue
            if inputs_done:
                order[node] = None
                continue
            waiting.append((node, True))
            waiting += [(source, False) for source, _ in reversed(self._drafts[node].inputs)]
        return list(order)

    def _names(self, order: list[int], last: int) -> dict[int, str]:
        """Unique names; unnamed operators are numbered in the order in which they were added."""
        names = {last: self._drafts[last].name or ""}
        taken = {names[last]}
        for i in sorted(order):
            draft = self._drafts[i]
            if i == last or draft.name is None:
                continue
            name, repeats = draft.name, 1
            while name in taken:
                if draft.op == VARIABLE:
                    raise UserError(f"two tensors are called {name} in MXNet: rename a layer")
                repeats += 1
                name = f"{draft.name}_{repeats}"  # a layer that runs again
            names[i] = name
            taken.add(name)
        numbers: Counter[str] = Counter()
        for i in sorted(order):
            draft = self._drafts[i]
            if i in names:
                continue
            kind = "constant" if draft.op == VARIABLE else draft.op.lower()
            base = UNNAMED.get(draft.op, kind) if draft.scope is None else draft.scope + kind
            while (name := f"{base}{numbers[base]}") in taken:
                numbers[base] += 1
            numbers[base] += 1
            names[i] = name
            taken.add(name)
        return names


def text(value: object) -> str:
    """An operator's option as MXNet writes it: ``(3, 3)``, ``True``, ``2e-05``."""
    return str(tuple(value)) if isinstance(value, (tuple, list)) else str(value)
