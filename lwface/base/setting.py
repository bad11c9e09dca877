"""Settings declared where they are read: in the signature of a function or class, with type, limits and meaning.

    def vit(*, net_width: Annotated[int, Setting("numbers that stand for a patch", minimum=1)] = 256, ...): ...

What a configuration may say about it is then known without a second list.
"""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Setting:
    """What one key of a configuration means and may hold.

    Attributes:
        meaning: in a few words, for ``--help`` and errors.
        minimum: the least number.
        above: what a number must exceed.
        maximum: the largest number.
        choices: all that it may be.
        changeable: whether a run that is resumed may have another value: it shapes nothing that is learnt.
        kind: bool, int, float, str or list (a list or tuple of numbers or names); taken from the annotation.
    """

    meaning: str
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    changeable: bool = False
    kind: type = object

    def problem(self, value: object) -> str | None:
        """What is wrong with ``value``, or None."""
        if not self._is_of_kind(value):
            return f"expected {self.kind.__name__}, got {type(value).__name__}"
        if self.choices and value not in self.choices:
            return f"expected one of {', '.join(map(str, self.choices))}"
        if self.minimum is not None and not value >= self.minimum:  # type: ignore[operator]  # NaN fails too
            return f"expected at least {self.minimum:g}"
        if self.above is not None and not value > self.above:  # type: ignore[operator]
            return f"must be above {self.above:g}"
        if self.maximum is not None and not value <= self.maximum:  # type: ignore[operator]
            return f"expected at most {self.maximum:g}"
        return None

    def _is_of_kind(self, value: object) -> bool:
        if self.kind is list:
            return isinstance(value, list | tuple)
        if isinstance(value, bool):  # a bool is an int to Python, not to a user
            return self.kind in (bool, object)
        return isinstance(value, int | float) if self.kind is float else isinstance(value, self.kind)


def declared(target: Callable[..., Any]) -> dict[str, Setting]:
    """The settings that the parameters of a function, or the fields of a dataclass, declare, in their order."""
    in_init = inspect.isclass(target) and not is_dataclass(target)
    owner = vars(target).get("__init__", target) if in_init else target
    hints = typing.get_type_hints(owner, include_extras=True)
    found = {}
    for name, hint in hints.items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Setting):
                found[name] = replace(note, kind=_kind(typing.get_args(hint)[0]))
    return found


def require_declared(target: Callable[..., Any]) -> None:
    """Stop a programmer whose function takes a parameter that no configuration could give.

    Raises:
        TypeError: a parameter declares no setting, has no default, or one that its own setting refuses.
    """
    settings = declared(target)
    for name, parameter in inspect.signature(target).parameters.items():
        of = f"{target.__module__}.{target.__qualname__}: parameter {name!r}"
        default = parameter.default
        if name not in settings:
            kind = "float" if default is parameter.empty else type(default).__name__
            value = "..." if default is parameter.empty else repr(default)
            example = f'{name}: Annotated[{kind}, Setting("what it means", minimum=0)] = {value}'
            raise TypeError(f"{of} declares no setting: write {example}")
        if default is parameter.empty:
            raise TypeError(f"{of} has no default: a configuration may leave it out")
        if problem := settings[name].problem(default):
            raise TypeError(f"{of} = {default!r}: {problem}, by its own setting")


def _kind(annotation: Any) -> type:
    """``Sequence[int]`` and the like are lists to a configuration; ``int | None`` is an int."""
    origin = typing.get_origin(annotation)
    if origin in (list, tuple, collections.abc.Sequence):
        return list
    return annotation if isinstance(annotation, type) else object
