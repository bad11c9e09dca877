"""Parts of a network that stay as they are while the rest learns: weights, running statistics, and no dropout."""

from __future__ import annotations

from torch import nn

from lwface.base.errors import UserError
from lwface.networks import FaceNetwork

ALL = "all"
UP_TO = ".."  # before the name of a part: that one and all before it
LISTED = 40  # parts named in an error


def freeze(network: FaceNetwork, wanted: str) -> list[nn.Module]:
    """Take the gradient from the parts that ``wanted`` names; the modules to be kept in evaluation mode.

    Args:
        network: its parts are the children of body and head, in their order.
        wanted: comma-separated. A name is that of a module or its beginning, up to a dot or an underscore: ``stage1``
            is ``body.stage1_unit1``, ``body.stage1_unit2``, ...; ``body.`` or ``head.`` may be left out. ``..NAME``:
            all parts up to that one. ``all``: the whole network.

    Raises:
        UserError: the network has no such part.
    """
    modules: dict[str, nn.Module] = {}
    for word in filter(None, (word.strip() for word in wanted.split(","))):
        for name in _named(network, word):
            modules[name] = network.get_submodule(name)
    for module in modules.values():
        module.requires_grad_(False)
    return list(modules.values())


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """The modules with running statistics."""
    return [module for module in network.modules() if getattr(module, "running_mean", None) is not None]


def parts(network: FaceNetwork) -> list[str]:
    """The children of body and head, as ``body.NAME`` and ``head.NAME``, in the order in which an image meets them."""
    return [f"{half}.{name}" for half in ("body", "head") for name, _ in getattr(network, half).named_children()]


def _named(network: FaceNetwork, word: str) -> list[str]:
    if word == ALL:
        return ["body", "head"]
    if word.startswith(UP_TO):
        order, name = parts(network), word.removeprefix(UP_TO)
        found = [place for place, part in enumerate(order) if _begins(part, name)]
        names = order[: found[-1] + 1] if found else []
    else:
        names = [name for name, _ in network.named_modules() if name and _begins(name, word)]
    if not names:
        known = parts(network)
        more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
        there = ", ".join(known[:LISTED]) + more
        raise UserError(f"freeze = {word!r}: the network has no such part; there are {ALL}, body, head, {there}")
    return names


def _begins(name: str, word: str) -> bool:
    """Whether ``name`` is ``word`` or begins with it, with or without its half of the network."""
    return any(f"{each}.".startswith((f"{word}.", f"{word}_")) for each in (name, name.partition(".")[2]))
