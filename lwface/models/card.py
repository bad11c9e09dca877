"""A model's card: what it was trained on and under which terms, with what, and how well it does.

``PREFIX-0001.card.json`` beside ``PREFIX-0001.safetensors``, JSON of the keys that :func:`model_card` lists. It names
the digest of the model's file, so that a card is not believed of another. Where a model was started from, its card has
the card of that model in it, and so on: what went into it stays known. Nothing in it is a time or a path of the machine
that trained.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.base.origin import file_sha256, versions
from lwface.models.names import PACKAGE, model_file
from lwface.models.shipped import REMEDY

FORMAT = 1
NOT_STATED, NOT_KNOWN = "not stated", "not known"
SUFFIX = ".card.json"
USE_KEYS = ("quality", "not_for", "better")  # how good it is, what it must not be used for, where better ones are
GIT_S = 10  # seconds


def card_path(file: Path) -> Path:
    """Where the card of the model in ``file`` is."""
    return file.with_name(file.stem + SUFFIX)


def data_entry(
    name: str, *, people: int, images: int, index: Path, licence: str, left_out: str | None = None
) -> dict[str, Any]:
    """A data set on a card.

    Args:
        name: as the configuration calls it.
        people, images: what was learnt from, after a list of what is left out.
        index: file whose digest tells one set from another in no time: it has the place of every record.
        licence: as the user states it; empty: not stated.
        left_out: digest of the list, where there is one.
    """
    entry = {"name": name, "people": people, "images": images, "licence": licence.strip() or NOT_STATED}
    entry |= {"index": index.name, "index_sha256": file_sha256(index)}
    return entry | ({"left_out_sha256": left_out} if left_out else {})


def start_entry(model: str) -> dict[str, Any]:
    """The model ``model`` that is started from: the name of its file, its digest, and its own card where it has one.

    A run that goes on needs that file no more: where it is gone, its name is all that is known.
    """
    try:
        file = model_file(model)
    except UserError:
        return {"file": Path(model).name, "sha256": NOT_KNOWN, "card": None}
    try:
        card: dict[str, Any] | None = read_card(model)
    except UserError:
        card = None
    return {"file": file.name, "sha256": file_sha256(file), "card": card}


def model_card(
    settings: Mapping[str, Any],
    *,
    step: int,
    data: Sequence[Mapping[str, Any]],
    verification: Sequence[Mapping[str, Any]],
    start: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The card of a model after ``step`` steps; the digest of its file comes in :func:`write_card`.

    Args:
        settings: of the run, without what is true of the machine alone.
        data: of :func:`data_entry`.
        verification: a dictionary a pack, ``pack`` its name.
        start: of :func:`start_entry`; None: from random weights.
    """
    return {
        "format": FORMAT,
        "name": f"{settings['network']}-{settings['loss']}-{settings['dataset']}",
        "step": step,
        "data": [*data],
        "verification": [*verification],
        "start": start,
        "commit": commit(),
        "versions": versions(),
        "settings": dict(sorted(settings.items())),
    }


def card_of_use(model: str) -> dict[str, Any] | None:
    """The card of ``model`` where it says what its scores mean and what it is for, as the package's own do; else None.

    ``scores`` is what ``eval/tar_far.py --json`` writes, of mirrored features too, with ``set``, what it was measured
    on; ``use`` has :data:`USE_KEYS`.
    """
    try:
        card = read_card(model)
    except UserError:
        if model in PACKAGE:
            path = card_path(model_file(model))
            raise UserError(f"{path}: missing or damaged, though it is a part of the package: {REMEDY}") from None
        return None
    return card if "scores" in card and "use" in card else None


def use_lines(card: Mapping[str, Any] | None) -> list[str]:
    """What a user of a model should know, a line each; none without a card that says it."""
    return [] if card is None else [str(card["use"][key]) for key in USE_KEYS]


def write_card(file: Path, card: Mapping[str, Any]) -> None:
    """Write ``card`` beside the complete model in ``file``."""
    write_json(card_path(file), {"file": file.name, "sha256": file_sha256(file), **card})


def read_card(model: str) -> dict[str, Any]:
    """The card of ``model``, named as on a command line.

    Raises:
        UserError: there is no such model, it has no card, or one of another file.
    """
    file = model_file(model)
    path = card_path(file)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        told, form, complete = card["sha256"], card["format"], {"data", "verification", "settings"} <= card.keys()
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file: {file.name} has no card (recognition/train.py writes one with each model)"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not the card of a model: delete it, or get it anew with the model") from None
    if form != FORMAT or not complete:
        raise UserError(f"{path}: a card of format {form!r}, expected {FORMAT}: read it with the version that wrote it")
    if told != file_sha256(file):
        raise UserError(f"{path}: is the card of another file than {file.name}: get the two from one place")
    return dict(card)


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that runs, ``-dirty`` behind it where files differ; None where it is none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude", "*", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_S, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, another owner, too large a tree
        return None
    return done.stdout.strip() or None


def card_text(card: Mapping[str, Any]) -> str:
    """``card`` to be read, as Markdown."""
    lines = [f"# {card['name']}", "", *_trained(card), "", "## Data", "", *_data(card)]
    lines += ["", "## Verification", "", *_verification(card["verification"])]
    if "use" in card:
        lines += ["", "## Use", "", *(f"* {line}" for line in (*use_lines(card), card["use"]["licence"]))]
    if "scores" in card:
        lines += ["", "## Scores", "", *_scored(card["scores"])]
    start, depth = card["start"], 0
    while start is not None:
        depth += 1
        lines += ["", f"## Started from {start['file']}" + ("" if depth == 1 else f", {depth} models back"), ""]
        lines += [f"SHA-256 {start['sha256']}"]
        before = start["card"]
        if before is None:
            lines += ["", "It has no card: what it was trained on, and under which terms, is not known here."]
            break
        lines += ["", *_trained(before), "", *_data(before)]
        start = before["start"]
    lines += ["", "## Settings", "", "```json", json.dumps(card["settings"], indent=1, sort_keys=True), "```"]
    return "\n".join(lines)


def _trained(card: Mapping[str, Any]) -> list[str]:
    made = card.get("versions", {})
    told = ", ".join(f"{name} {version}" for name, version in made.items())
    begun = "from random weights" if card["start"] is None else f"started from {card['start']['file']}"
    return [
        f"* {card['step']:,} steps, {begun}",
        f"* file {card['file']}, SHA-256 {card['sha256']}",
        f"* commit {card.get('commit') or NOT_KNOWN}; {told}",
    ]


def _data(card: Mapping[str, Any]) -> list[str]:
    lines = ["| data set | people | images | licence, as stated | SHA-256 of its index |", "|---|---|---|---|---|"]
    for entry in card["data"]:
        licence = " ".join(entry["licence"].replace("|", "\\|").split())
        name = entry["name"] + (" (with a list of what is left out)" if "left_out_sha256" in entry else "")
        lines.append(f"| {name} | {entry['people']:,} | {entry['images']:,} | {licence} | {entry['index_sha256']} |")
    return lines


def _scored(scores: Mapping[str, Any]) -> list[str]:
    lines = [f"{scores['set']}: {scores['genuine_pairs']:,} genuine, {scores['impostor_pairs']:,} impostor pairs", ""]
    lines += ["| FAR | threshold | TAR | 95 % |", "|---|---|---|---|"]
    for entry in scores["results"]:
        if entry["threshold"] is not None:
            low, high = entry["tar_interval"] or (float("nan"), float("nan"))
            figures = f"{entry['threshold']:.4f} | {entry['tar']:.3f} | {low:.3f} to {high:.3f}"
            lines.append(f"| {entry['far']:g} | {figures} |")
    return lines


def _verification(found: Sequence[Mapping[str, Any]]) -> list[str]:
    if not found:
        return ["Not verified in training."]
    figures = [key for key in found[0] if key != "pack"]
    lines = [f"| pack | {' | '.join(figures)} |", "|---" * (1 + len(figures)) + "|"]
    for entry in found:
        cells = (f"{entry[key]:.5g}" if key in entry else "" for key in figures)
        lines.append(f"| {entry['pack']} | {' | '.join(cells)} |")
    return lines
