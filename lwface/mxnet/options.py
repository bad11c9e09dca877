"""The options of an operator in an MXNet graph: texts such as ``(3, 3)``, ``True`` or ``None``, read without eval."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from lwface.base.errors import UserError
from lwface.mxnet.symbol import Node

T = TypeVar("T")

MAX_INTEGER = 2**31 - 1
MAX_SIZE = 1024  # of a kernel, stride, padding or dilation; images have 112 pixels
MAX_ITEMS = 64  # of a tuple; tensors have fewer dimensions
FLAGS = {"true": True, "1": True, "false": False, "0": False}
TUNING = ("workspace", "cudnn_tune", "cudnn_off", "cudnn_algo_verbose")  # how fast, never what
# What MXNet's optimiser and scheduler read; ``weight_lr_mult`` and the like occur as well.
HIDDEN = ("ctx_group", "lr_mult", "wd_mult", "force_mirroring", "mirror_stage")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}L?\Z")  # with the L of Python 2
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,60}|\.[0-9]{1,60})([eE][+-]?[0-9]{1,4})?f?\Z|[+-]?inf\Z")


class NodeOptions:
    """Reads the options of ``node`` one by one, and then knows which ones nobody asked for.

    Every reader takes the option's name and, where it may be absent, a default.

    Raises:
        UserError: naming operator, node and option, when a value is not of its kind or a required one is missing.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self._unread = {key for key in node.attrs if not _hidden(key)} - set(TUNING)

    def integer(
        self, name: str, default: int | None = None, *, low: int = -MAX_INTEGER, high: int = MAX_INTEGER
    ) -> int:
        """A whole number from ``low`` to ``high``."""
        return self._read(name, default, lambda text: _integer(text, low, high), f"a whole number{_between(low, high)}")

    def optional_integer(self, name: str) -> int | None:
        """A whole number, or None."""
        if self._absent(name):
            return None
        return self._read(name, 0, lambda text: _integer(text, -MAX_INTEGER), "a whole number or None")

    def number(self, name: str, default: float | None = None) -> float:
        """A number; infinity is one, NaN is not."""
        return self._read(name, default, _number, "a number")

    def flag(self, name: str, default: bool) -> bool:
        """True or False."""
        return self._read(name, default, lambda text: FLAGS[text.lower()], "True or False")

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of a few words."""
        return self._read(name, default, lambda text: choices[choices.index(text)], f"one of {', '.join(choices)}")

    def integers(
        self, name: str, default: tuple[int, ...] | None = None, *, low: int = -MAX_INTEGER, high: int = MAX_INTEGER
    ) -> tuple[int, ...]:
        """Whole numbers: ``(1, 2)``, ``[1,2]`` or ``1``; ``()`` is none, ``None`` the default if there is one."""
        if default is not None and self._absent(name):
            return default

        def parse(text: str) -> tuple[int, ...]:
            return tuple(_integer(item, low, high) for item in _items(text))

        return self._read(name, default, parse, f"numbers{_between(low, high)}")

    def optional_integers(self, name: str) -> tuple[int | None, ...]:
        """Whole numbers, each of which may be None; none where the option is absent."""
        return self._read(name, (), lambda text: tuple(map(_optional, _items(text))), "numbers or None")

    def sizes(self, name: str, rank: int, default: int, *, low: int, high: int = MAX_SIZE) -> tuple[int, ...]:
        """``rank`` whole numbers, one a spatial dimension; absent or empty: ``default`` for each."""
        values = self.integers(name, (), low=low, high=high) or (default,) * rank
        if len(values) != rank:
            raise self.error(f"{name} has {len(values)} numbers, expected {rank}")
        return values

    def ignore(self, *names: str) -> None:
        """Options that cannot change what is computed here."""
        self._unread -= set(names)

    def finish(self) -> None:
        """Stop when there are options that nobody asked for: their meaning would be lost."""
        if self._unread:
            raise self.error(f"unknown option {min(self._unread)[:40]!r}")

    def error(self, problem: str) -> UserError:
        """The error for a ``problem`` with this node."""
        return node_error(self.node, problem)

    def _absent(self, name: str) -> bool:
        """Whether the option is not there, or there as None."""
        self._unread.discard(name)
        return self.node.attrs.get(name, "None").strip() == "None"

    def _read(self, name: str, default: T | None, parse: Callable[[str], T], expected: str) -> T:
        self._unread.discard(name)
        text = self.node.attrs.get(name)
        if text is None:
            if default is None:
                raise self.error(f"the option {name} is missing")
            return default
        try:
            return parse(text.strip())
        except (ValueError, KeyError):
            raise self.error(f"{name} is {text[:40]!r}, expected {expected}") from None


def node_error(node: Node, problem: str) -> UserError:
    """The error for a ``problem`` with ``node``, naming it and its operator."""
    return UserError(f"{node.op[:60]} {node.name[:80]!r}: {problem}")


def _hidden(key: str) -> bool:
    return key.startswith("__") or key.endswith(HIDDEN)


def _between(low: int, high: int = MAX_INTEGER) -> str:
    least = f" of at least {low}" if low > -MAX_INTEGER else ""
    return f"{least} and at most {high}" if high < MAX_INTEGER else least


def _integer(text: str, low: int, high: int = MAX_INTEGER) -> int:
    if not _INTEGER.match(text):
        raise ValueError
    value = int(text.rstrip("L"))
    if not low <= value <= high:
        raise ValueError
    return value


def _optional(text: str) -> int | None:
    return None if text == "None" else _integer(text, -MAX_INTEGER)


def _number(text: str) -> float:
    if not _NUMBER.match(text):
        raise ValueError
    value = float(text.rstrip("f") if not text.endswith("inf") else text)
    if math.isinf(value) and not text.endswith("inf"):
        raise ValueError
    return value


def _items(text: str) -> list[str]:
    """The texts between the commas of ``(a, b)``, ``[a, b]`` or ``a``."""
    if text[:1] in ("(", "["):
        if text[-1:] != {"(": ")", "[": "]"}[text[0]]:
            raise ValueError
        text = text[1:-1].strip()
    items = [item.strip() for item in text.rstrip(",").split(",")] if text else []
    if len(items) > MAX_ITEMS:
        raise ValueError
    return items
