"""The sections of a configuration as the user wrote them: ``sample_config.py``, and ``config.py`` on top.

Nothing is checked here and nothing heavy imported, so that ``--help`` can show what a run would do.
"""

from __future__ import annotations

import copy
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lwface.base.errors import UserError, unknown_name
from lwface.settings.places import Places

NETWORK_FILES = Path(__file__).resolve().parents[1] / "networks"
REGISTERED = re.compile(r"^@NETWORKS\.register\ndef (\w+)", re.MULTILINE)
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
        """Entry ``name`` of ``network``, ``dataset`` or ``loss``; a family is a network of its own name, too.

        Raises:
            UserError: there is none, with the nearest name.
        """
        entries = getattr(self, section)
        if name in entries:
            return entries[name]
        if section == "network" and name in families():
            return {"net_name": name}
        raise unknown_name(section, name, {*entries, *(families() if section == "network" else ())})

    def merged(self, network: str, dataset: str, loss: str) -> dict[str, Any]:
        """All keys of a run, unchecked: ``config`` and ``default``, then loss, network and data set, the later winning.

        Raises:
            UserError: an unknown name.
        """
        merged = {**self.config, **self.default}
        for section, name in (("loss", loss), ("network", network), ("dataset", dataset)):
            merged.update(self.entry(section, name))
        return {**merged, "network": network, "dataset": dataset, "loss": loss}


def families() -> list[str]:
    """Names of the network families: as registered, or as their files say where importing them would take long."""
    if "lwface.networks" in sys.modules:
        return list(sys.modules["lwface.networks"].NETWORKS)
    sources = (path.read_text(encoding="utf-8") for path in sorted(NETWORK_FILES.glob("*.py")))
    return [name for source in sources for name in REGISTERED.findall(source)]


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
        line = error.lineno if isinstance(error, SyntaxError) else _line_in(path, error)
        raise UserError(f"{path.name}, line {line}: {type(error).__name__}: {error}") from None
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
