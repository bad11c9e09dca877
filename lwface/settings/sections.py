"""The sections of a configuration as the user wrote them: ``sample_config.py``, and ``config.py`` on top.

Nothing is checked here and nothing heavy imported, so that ``--help`` can show what a run would do.
"""

from __future__ import annotations

import copy
import difflib
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lwface.base.errors import UserError, unknown_name
from lwface.settings.dataset_folder import folder_entry, is_folder, several, short_name
from lwface.settings.places import Places

LIBRARY = Path(__file__).resolve().parents[1]
# Of each section, the key that names the kind, where the kinds are registered, and how a file registers one.
KINDS = {
    "network": ("net_name", "lwface.networks", re.compile(r"^@NETWORKS\.register\ndef (\w+)", re.MULTILINE)),
    "loss": ("loss_name", "lwface.losses", re.compile(r"^@LOSSES\.register_as\(\"(\w+)\"\)", re.MULTILINE)),
}
SAMPLE = Path(__file__).with_name("sample_config.py")  # in a checkout, a link to the one at the root
NAMED = ("network", "dataset", "loss")  # sections of entries by name


@dataclass(frozen=True)
class Sections:
    """The parts of a configuration, each a mapping of keys or of named entries.

    Attributes:
        config, default: keys of every run.
        network, dataset, loss: entries by name, each with its keys.
    """

    config: Mapping[str, Any]
    default: Mapping[str, Any]
    network: Mapping[str, Mapping[str, Any]]
    dataset: Mapping[str, Mapping[str, Any]]
    loss: Mapping[str, Mapping[str, Any]]

    def entry(self, section: str, name: str) -> Mapping[str, Any]:
        """Entry ``name`` of ``network``, ``dataset`` or ``loss``; a family, or a kind of loss, is one of its own name.

        A data set that is not in the configuration may be a folder: :mod:`lwface.settings.dataset_folder`. Several,
        separated by commas, are one.

        Raises:
            UserError: there is none, with the nearest name; or it is no mapping.
        """
        entries = getattr(self, section)
        if name in entries:
            if not isinstance(entries[name], Mapping):
                key = KINDS.get(section, ("dataset_path",))[0]
                gave = type(entries[name]).__name__
                raise UserError(f"{section}.{name} is a {gave}: expected edict({key}=..., ...)")
            return entries[name]
        if section == "dataset" and len(several(name)) > 1:
            return self._joined(several(name))
        if section == "dataset" and is_folder(name):
            return folder_entry(name)
        known = registered(section)
        if name in known:
            return {KINDS[section][0]: name}
        error = unknown_name(section, name, {*entries, *known})
        raise (
            UserError(f"{error}; or give the folder of one, such as datasets/{name}") if section == "dataset" else error
        )

    def _joined(self, names: list[str]) -> Mapping[str, Any]:
        """The entry of several data sets: the settings of the first, with the places and packs of the others."""
        first, *others = (self.entry("dataset", name) for name in names)
        return {
            **first,
            "num_classes": 0,
            "more_paths": [other["dataset_path"] for other in others],
            "more_targets": [list(other["val_targets"]) for other in others],
        }

    def merged(self, network: str, dataset: str, loss: str) -> dict[str, Any]:
        """All keys of a run, unchecked: ``config`` and ``default``, then loss, network and data set, the later winning.

        Raises:
            UserError: an unknown name.
        """
        merged = {**self.config, **self.default}
        for section, name in (("loss", loss), ("network", network), ("dataset", dataset)):
            merged.update(self.entry(section, name))
        return {**merged, "network": network, "dataset": short_name(dataset), "loss": loss}


def registered(section: str) -> list[str]:
    """Names of network families or of losses: as registered, or as their files say where importing them takes long."""
    if section not in KINDS:
        return []
    _, package, pattern = KINDS[section]
    if package in sys.modules:
        module = sys.modules[package]
        return list(module.NETWORKS if section == "network" else module.LOSSES)
    folder = LIBRARY / package.partition(".")[2]
    sources = (path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
    return [name for source in sources for name in pattern.findall(source)]


def load_sections(places: Places | None = None) -> Sections:
    """The user's configuration; what it does not define is taken from ``sample_config.py``.

    Args:
        places: whose; None: the usual ones.

    Raises:
        UserError: the user's file does not load, with its line.
    """
    places = places or Places.of()
    sample = _run(SAMPLE, {})
    user = _run(places.config, {"sample_config": sample}) if places.config else sample
    names = ("config", "default", *NAMED)
    return Sections(**{name: copy.deepcopy(getattr(user, name, getattr(sample, name))) for name in names})


def _run(path: Path, modules: dict[str, ModuleType]) -> ModuleType:
    """The module of a file, which sees ``modules`` under their names while it runs, and no other file beside it."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except Exception as error:  # whatever a user's file can raise
        line, text = _line_in(path, error), str(error)
        if isinstance(error, SyntaxError):
            line, text = error.lineno, error.msg
        elif isinstance(error, AttributeError) and isinstance(error.obj, Mapping):
            nearest = difflib.get_close_matches(str(error.name), map(str, error.obj), n=1)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            text = f"there is no {error.name!r}: {hint}a new entry begins with NAME = edict()"
        raise UserError(f"{path.name}, line {line}: {type(error).__name__}: {text}") from None
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old
    return module


def _line_in(path: Path, error: Exception) -> int | None:
    """The last line of ``path`` that led to ``error``."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None
