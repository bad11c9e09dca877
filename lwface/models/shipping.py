"""A trained model made one that comes inside the package: float16 on disk, a card, and a line in the list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.base.origin import file_sha256
from lwface.models.card import card_path, model_card, read_card, write_card
from lwface.models.names import parse_model
from lwface.models.saved import write_tensors
from lwface.models.shipped import DIGESTS, RENDERED, shipped_file
from lwface.models.sources import read_safetensors

NOTES = ("scores", "use", "data")  # the last where training wrote no card


def ship(name: str, model: Path, folder: Path) -> Path:
    """Write ``model`` into ``folder`` as the package has it; returns the new file.

    Args:
        name: what it does: ``detector``, ``landmarks`` or ``face``.
        model: ``PREFIX-0001.safetensors`` of this project, float32.
        folder: gets the file, its card, and its line in the list of digests.

    Raises:
        UserError: ``model`` is no model of this project.
    """
    tensors, config = read_safetensors(model)
    if config is None:
        raise UserError(f"{model}: holds no settings; expected a model that this project trained")
    file = write_tensors(shipped_file(name, folder), tensors, _without_places(config), half=True)
    write_card(file, {**_without_places(_card(model, config)), "name": name})
    listed = folder / DIGESTS
    known = json.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else {}
    write_json(listed, dict(sorted({**known, name: file_sha256(file)}.items())))
    return file


def _without_places(value: Any) -> Any:
    """``value`` with the name alone of every absolute path in it: folders of a machine are nobody's business."""
    if isinstance(value, Mapping):
        return {key: _without_places(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [_without_places(of) for of in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def write_notes(file: Path, notes: Mapping[str, Any]) -> None:
    """Put the :data:`NOTES` (:func:`lwface.models.card.card_of_use`) on the card of the shipped model ``file``."""
    write_card(file, {**read_card(str(file)), **{key: notes[key] for key in NOTES if key in notes}})


class PackageModel(NamedTuple):
    """A model of the package, as one that is made again is held against it."""

    digest: str  # SHA-256 of the file
    weights: dict[str, Tensor]
    settings: dict[str, Any]
    notes: dict[str, Any]  # the :data:`NOTES` of its card

    def likeness(self, file: Path) -> tuple[bool, str]:
        """Whether the model ``file`` has these weights to the bit, and what is said of it.

        A file holds the settings of its run too, so that one more setting makes other bytes of the same weights.
        """
        if file_sha256(file) == self.digest:
            return True, "the package's own, byte for byte"
        weights, config = read_safetensors(file)
        if weights.keys() != self.weights.keys() or not all(_equal(weights[key], self.weights[key]) for key in weights):
            return False, "not the package's weights: measure it, docs/models.md"
        settings, missing = config or {}, object()
        differing = [
            key
            for key in sorted({*settings, *self.settings})
            if settings.get(key, missing) != self.settings.get(key, missing)
        ]
        return True, f"all weights are the package's own, to the bit; other settings in it: {', '.join(differing)}"


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def package_model(name: str) -> PackageModel | None:
    """The package's own model ``name``; None where there is no such model."""
    own = shipped_file(name)
    if not own.is_file():
        return None
    weights, config = read_safetensors(own)
    card = read_card(str(own))
    return PackageModel(file_sha256(own), weights, config or {}, {key: card[key] for key in NOTES if key in card})


def _card(model: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The card that training wrote, or one of what a model of points says of itself."""
    if card_path(model).is_file():
        card = read_card(str(model))
        return {key: value for key, value in card.items() if key not in ("file", "sha256")}
    settings = {"loss": "", "dataset": "", "network": "", **config}
    data = [_entry(described) for described in config.get("data", ())]
    steps = int(config.get("max_steps", parse_model(str(model))[1]))
    return model_card(settings, step=steps, data=data, verification=[], start=None)


def _entry(described: Mapping[str, Any]) -> dict[str, Any]:
    """A set of pictures with points on a card: what a model of points keeps of it."""
    people = described.get("people", 0)
    told = {"name": described["name"], "people": people, "images": described["pictures"], "licence": RENDERED}
    return {**told, "index": described.get("index", "annotations.csv"), "index_sha256": described["sha256"]}
