"""Settings declared in signatures: what they take, and what a programmer is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import pytest

from lwface.base.registry import Registry
from lwface.base.setting import Setting, declared, require_declared


def family(
    *,
    width: Annotated[int, Setting("channels", minimum=1, maximum=8)] = 4,
    rate: Annotated[float, Setting("a rate", above=0)] = 0.5,
    kinds: Annotated[Sequence[int], Setting("kinds")] = (1, 2),
    name: Annotated[str, Setting("a name", choices=("a", "b"))] = "a",
    on: Annotated[bool, Setting("a switch")] = False,
) -> None:
    """Nothing."""


@dataclass(frozen=True)
class Run:
    lr: Annotated[float, Setting("learning rate", minimum=0, changeable=True)]
    plain: int = 0


def test_types_come_from_the_annotation():
    assert {name: setting.kind for name, setting in declared(family).items()} == {
        "width": int,
        "rate": float,
        "kinds": list,
        "name": str,
        "on": bool,
    }
    assert declared(Run)["lr"].changeable
    assert list(declared(Run)) == ["lr"]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("width", 8, None),
        ("width", 9, "expected at most 8"),
        ("width", 0, "expected at least 1"),
        ("width", True, "expected int, got bool"),
        ("width", 2.0, "expected int, got float"),
        ("rate", 1, None),
        ("rate", 0, "must be above 0"),
        ("rate", float("nan"), "must be above 0"),
        ("kinds", [3], None),
        ("kinds", 3, "expected list, got int"),
        ("name", "c", "expected one of a, b"),
        ("on", 1, "expected bool, got int"),
    ],
)
def test_values(name, value, problem):
    assert declared(family)[name].problem(value) == problem


def bare(*, width: int = 4) -> None:
    """No setting."""


def required(*, width: Annotated[int, Setting("channels")]) -> None:
    """No default."""


def outside(*, width: Annotated[int, Setting("channels", minimum=1)] = 0) -> None:
    """A default that its setting refuses."""


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bare, r"bare: parameter 'width' declares no setting: write width: Annotated\[int, Setting\(.*\)\] = 4"),
        (required, r"required: parameter 'width' has no default"),
        (outside, r"outside: parameter 'width' = 0: expected at least 1"),
    ],
)
def test_what_no_configuration_could_give_is_told_to_the_programmer(function, message):
    with pytest.raises(TypeError, match=message):
        require_declared(function)


def test_a_name_registered_twice_names_both_files():
    registry: Registry[object] = Registry("thing")
    registry.register(family)
    with pytest.raises(ValueError, match=r"thing 'family' is registered twice: in .*test_setting and .*test_setting"):
        registry.register(family)
