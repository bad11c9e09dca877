"""One function turns the names of a network, a data set and a loss into the checked settings of a run.

What a key means and may hold is declared where it is read: by :class:`lwface.settings.run.Run`, by each network family
and by each loss. Keys of the original program that have no counterpart are in ``RETIRED``: a configuration written for
it still loads as long as those ask for nothing special.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lwface.base.errors import UserError
from lwface.base.setting import Setting, declared
from lwface.losses import LOSSES
from lwface.losses.distillation import DISTILLATIONS
from lwface.networks import NETWORKS
from lwface.settings.dataset_folder import short_name
from lwface.settings.places import Places
from lwface.settings.run import RETIRED, RUN_SETTINGS, Run, step_list
from lwface.settings.sections import Sections, load_sections

# On 30 steps of real faces, a checkpoint of accuracy 0.955 fell to 0.835 at the rate of a network that begins from
# random weights, 0.1, and rose to 0.960 at a tenth of it.
FINETUNING_RATE = 0.1
BEST_DISTILLATION = "relational"  # docs/distillation.md has the measurements
DATA_KEYS = ("dataset_path", "num_classes", "image_shape", "val_targets")  # what an entry of a data set says


def resolve(network: str, dataset: str, loss: str, *, places: Places | None = None, **overrides: Any) -> Run:
    """The run of a configuration: ``config`` and ``default``, then loss, network, data set, then ``overrides``.

    Args:
        network, dataset, loss: names in the configuration; a data set may be a folder.
        places: where relative paths start and whose configuration it is; None: the usual ones.
        overrides: settings that win over all others, such as those of command-line flags; None means not given.

    Returns:
        With ``pretrained``, ``lr`` is ``FINETUNING_RATE`` of the configuration's, which is ``usual_lr``, unless it is
        among the overrides.
        ``dataset_path`` and ``models_root`` are absolute: relative ones start at the root, except that a
        ``models_root`` among the overrides starts at the current folder, where the user typed it.

    Raises:
        UserError: an unknown name or key, or a value of the wrong type or range, with the nearest valid one.
    """
    places = places or Places.of()
    sections = load_sections(places)
    given = {key: value for key, value in overrides.items() if value is not None}
    merged = {**sections.merged(network, dataset, loss), **given}
    for key, where, known in (("net_name", f"network.{network}", NETWORKS), ("loss_name", f"loss.{loss}", LOSSES)):
        if key not in merged:
            raise UserError(f"{where}.{key} is missing: one of {', '.join(known)}")
    rules = _Rules(merged["net_name"], merged["loss_name"])
    entries = {
        "config": sections.config,
        "default": sections.default,
        f"loss.{loss}": sections.entry("loss", loss),
        f"network.{network}": _network_entry(sections, network),
        f"dataset.{dataset}": sections.entry("dataset", dataset),
        "command line": given,
    }
    checked: dict[str, Any] = {}
    for place, entry in entries.items():
        of_nobody = place == f"network.{network}" and network not in sections.network  # a family's own defaults
        checked.update(entry if of_nobody else rules.checked(entry, place))
    checked.update(network=network, dataset=short_name(dataset), loss=loss)
    for one in dataclasses.fields(Run):
        if one.name not in checked and one.default is one.default_factory is dataclasses.MISSING:
            place = "dataset." + dataset if one.name in DATA_KEYS else "default"
            raise UserError(f"{place}.{one.name} is missing: {RUN_SETTINGS[one.name].meaning}")
    base = Path.cwd() if "models_root" in given else places.root
    checked["dataset_path"] = str(places.dataset_folder(checked["dataset_path"]))
    if more := checked.get("more_paths"):
        checked["more_paths"] = [str(places.dataset_folder(path)) for path in more]
    checked["models_root"] = str((base / Path(checked["models_root"]).expanduser()).resolve())
    usual_lr = None
    if checked.get("pretrained") and "lr" not in given:
        usual_lr = checked["lr"]
        checked["lr"] *= FINETUNING_RATE
    _check_together(checked)
    _choose_distillation(checked)
    own = {key: checked.pop(key) for key in RUN_SETTINGS if key in checked}
    return Run(**own, declared=checked, usual_lr=usual_lr)


def network_settings(name: str, places: Places | None = None) -> dict[str, Any]:
    """The settings with which network ``name`` is built, checked.

    Raises:
        UserError: unknown name, key or value.
    """
    sections = load_sections(places)
    entry = _network_entry(sections, name)
    if "net_name" not in entry:
        raise UserError(f"network.{name}.net_name is missing: one of {', '.join(NETWORKS)}")
    rules = _Rules(entry["net_name"], None)
    own = rules.checked(entry, f"network.{name}") if name in sections.network else entry
    return {**rules.checked(sections.config, "config"), **own, "network": name}


def all_settings() -> dict[str, Setting]:
    """Every key that a configuration may hold."""
    found: dict[str, Setting] = {}
    registries: tuple[Mapping[str, Callable[..., Any]] | Any, ...] = (NETWORKS, LOSSES, DISTILLATIONS)
    targets: list[Callable[..., Any]] = [registry[name] for registry in registries for name in registry]
    for target in targets:
        found = {**declared(target), **found}
    if taken := found.keys() & RUN_SETTINGS.keys():
        raise TypeError(
            f"a network, a loss or a way to distil declares {', '.join(sorted(taken))}, which is a setting of every run"
        )
    return {**found, **RUN_SETTINGS}


class _Rules:
    """What the keys of a run may hold, given its family and its loss; the run of a network alone has no loss."""

    def __init__(self, family: str, loss: str | None) -> None:
        network = NETWORKS[family]  # an unknown family is reported here, with the nearest name
        self.family, self.loss = family, loss
        self.of_family = declared(network)
        self.of_loss = declared(LOSSES[loss]) if loss is not None else {}
        self.known = {**all_settings(), **self.of_loss, **self.of_family}

    def checked(self, entry: Mapping[str, Any], place: str) -> dict[str, Any]:
        """``entry`` without harmless retired keys; the first wrong key or value is an error that names ``place``."""
        kept = {}
        for key, value in entry.items():
            if key in RETIRED:
                harmless, remedy = RETIRED[key]
                if value != harmless:
                    raise UserError(
                        f"{place}.{key} = {value!r}: this setting of the original has no effect here: {remedy}"
                    )
                continue
            if key not in self.known:
                nearest = difflib.get_close_matches(key, self.known, n=1, cutoff=0.7)
                hint = f"did you mean {nearest[0]!r}?" if nearest else "no network, no loss and no run has it"
                raise UserError(f"{place}.{key}: unknown key: {hint}")
            self._check_read(key, place)
            problem = self.known[key].problem(value)
            if problem:
                raise UserError(f"{place}.{key} = {value!r}: {problem} ({self.known[key].meaning})")
            kept[key] = value
        return kept

    def _check_read(self, key: str, place: str) -> None:
        """A key of another family in a network's own entry, or of another loss in a loss's, would be read by nobody."""
        section = place.partition(".")[0]
        if key in RUN_SETTINGS:
            return
        for name, of, owner, others in (
            ("network", self.of_family, f"family {self.family}", (declared(NETWORKS[other]) for other in NETWORKS)),
            ("loss", self.of_loss, f"loss {self.loss}", (declared(LOSSES[other]) for other in LOSSES)),
        ):
            if section == name and key not in of and any(key in other for other in others):
                has = ", ".join(of) or "none of its own"
                raise UserError(f"{place}.{key}: the {owner} does not read it; its settings are {has}")


def _network_entry(sections: Sections, name: str) -> Mapping[str, Any]:
    """The settings of network ``name``; a family is also a network of its own name, with its own defaults."""
    entry = sections.entry("network", name)
    if name in sections.network:
        return entry
    return {**entry, **_defaults(NETWORKS[name])}


def _defaults(target: Callable[..., Any]) -> dict[str, Any]:
    """What the parameters of a family or a loss are where nobody says otherwise."""
    parameters = inspect.signature(target).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _check_together(merged: Mapping[str, Any]) -> None:
    """What no single key can show."""
    if list(merged["image_shape"]) != [112, 112, 3]:
        raise UserError(
            f"image_shape = {merged['image_shape']!r}: expected (112, 112, 3), the size of all aligned faces"
        )
    step_list(merged["lr_steps"])


def _choose_distillation(merged: dict[str, Any]) -> None:
    """Fill in how to learn from a teacher, where there is one.

    Raises:
        UserError: no teacher, and yet it is said how to learn from one; an unknown way.
    """
    way = merged.get("distill", "")
    if merged.get("teacher"):
        merged["distill"] = way or BEST_DISTILLATION
        _ = DISTILLATIONS[merged["distill"]]  # an unknown way is reported here, with the nearest name
        return
    for key, usual in (("distill", ""), ("distill_rounds", 1), ("distill_weight", 0.0), ("identity_weight", 1.0)):
        if merged.get(key, usual) != usual:
            raise UserError(f"{key} = {merged[key]!r}, and there is no teacher: name one, --teacher MODEL")
