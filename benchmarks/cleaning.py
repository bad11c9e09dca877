"""What datasets/clean.py finds of labels that were spoiled on purpose: precision and recall of each kind.

    python benchmarks/cleaning.py --model PREFIX,EPOCH --input PEOPLE --features PEOPLE.bin

PEOPLE is one folder a person, of aligned faces, and PEOPLE.bin their features by ``gen_image_feature.py``. For each of
``--draws`` seeds, at once: 5 people are split in two labels (the first half of their images in the order of names, and
the second), 5 pairs of other people become one label, 5 % of the images of the others get another person's label, and
copies of 2 % of the images are added, encoded anew (JPEG quality 60) and every other one mirrored. Precision is the
share of what is proposed that was spoiled, recall the share of what was spoiled that is proposed; both over all draws.
What is proposed of the set as it is (which no label of ours says is wrong) is told first, and is not counted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.device import select_device
from lwface.features.embedder import Embedder
from lwface.formats.feature_file import read_features
from lwface.formats.file_list import names_of_rows
from lwface.formats.image import read_rgb
from lwface.formats.person_labels import read_people
from lwface.models.store import load_model
from lwface.scoring.cleaning import DUPLICATES, MISLABELLED, SAME, SECOND, UNLIKE, Cleaning, propose

WRONG, COPIES, SPLIT, MERGED = 0.05, 0.02, 5, 5
QUALITY = 60  # of the copies
KINDS = ("mislabelled", "duplicate", "two people in one folder", "one person in two folders")


class Spoiled(NamedTuple):
    """Labels and what is wrong with them."""

    labels: np.ndarray  # (N,)
    wrong: set[int]  # rows
    second: list[tuple[set[int], set[int]]]  # rows of the two people of a folder
    split: set[frozenset[int]]  # labels
    copied: np.ndarray  # rows of which there is a copy, which come after all others


def spoil(labels: np.ndarray, dice: np.random.Generator) -> Spoiled:
    """Spoil ``labels`` (N,) as the module says."""
    counts = np.bincount(labels)
    chosen = dice.permutation(np.flatnonzero(counts >= 6))[: SPLIT + 2 * MERGED]
    if len(chosen) < SPLIT + 2 * MERGED:
        raise ValueError(f"{len(chosen)} people of 6 images or more: {SPLIT + 2 * MERGED} are needed")
    changed = labels.copy()
    split, second = set(), []
    for number, person in enumerate(chosen[:SPLIT]):
        rows = np.flatnonzero(labels == person)
        changed[rows[len(rows) // 2 :]] = len(counts) + number
        split.add(frozenset((int(person), len(counts) + number)))
    for first, other in chosen[SPLIT:].reshape(-1, 2):
        changed[labels == other] = first
        one, two = (set(np.flatnonzero(labels == who).tolist()) for who in (first, other))
        second.append((one, two))
    free = np.flatnonzero(~np.isin(labels, chosen))
    wrong = dice.permutation(free)[: round(WRONG * len(labels))]
    people = np.unique(labels)
    for row in wrong:
        changed[row] = dice.choice(people[(people != labels[row]) & ~np.isin(people, chosen)])
    copied = np.sort(dice.permutation(np.setdiff1d(np.arange(len(labels)), wrong))[: round(COPIES * len(labels))])
    return Spoiled(np.append(changed, changed[copied]), set(wrong.tolist()), second, split, copied)


def known(found: Cleaning) -> set[tuple[str, frozenset[int]]]:
    """What is proposed: images (beside the other of the two, for duplicates), and pairs of people."""
    told = set()
    for proposal in found.proposals:
        if proposal.kind == SAME:
            told.add((SAME, frozenset((proposal.person, proposal.other))))
        elif proposal.kind == DUPLICATES:
            told.add((DUPLICATES, frozenset((proposal.row, proposal.neighbour))))
        else:
            told.add(("label", frozenset((proposal.row,))))
    return told


def count(found: Cleaning, spoiled: Spoiled, rows: int) -> dict[str, tuple[int, int, int, int]]:
    """By kind: right proposals, all proposals, spoiled that were found, all that were spoiled."""
    of_kind: dict[str, set[int]] = {kind: set() for kind in (MISLABELLED, UNLIKE, SECOND, DUPLICATES)}
    pairs, same = set(), set()
    for proposal in found.proposals:
        if proposal.kind == SAME:
            same.add(frozenset((proposal.person, proposal.other)))
        else:
            of_kind[proposal.kind].add(proposal.row)
            if proposal.kind == DUPLICATES:
                pairs.add(frozenset((proposal.row, proposal.neighbour)))
    labels = of_kind[MISLABELLED] | of_kind[UNLIKE]
    copies = {frozenset((int(row), rows + place)) for place, row in enumerate(spoiled.copied)}
    second = of_kind[SECOND]
    sides = [side for pair in spoiled.second for side in pair]
    parted = [
        any(side <= second | labels and not (other & second) for side, other in (pair, pair[::-1]))
        for pair in spoiled.second
    ]
    right = {row for side in sides for row in side if row in second}
    return {
        KINDS[0]: (len(labels & spoiled.wrong), len(labels), len(labels & spoiled.wrong), len(spoiled.wrong)),
        KINDS[1]: (len(pairs & copies), len(pairs), len(pairs & copies), len(copies)),
        KINDS[2]: (len(right), len(second), sum(parted), len(parted)),
        KINDS[3]: (len(same & spoiled.split), len(same), len(same & spoiled.split), len(spoiled.split)),
    }


def copies(folder: Path, names: list[str]) -> np.ndarray:
    """The images (N, 112, 112, 3) encoded anew, every other one mirrored."""
    found = []
    for place, name in enumerate(names):
        image = read_rgb(folder / name)[:, :: -1 if place % 2 else 1]
        data = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        found.append(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[:, :, ::-1])
    return np.stack(found)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--model", required=True, help="that made the features")
    parser.add_argument("--input", type=Path, required=True, help="folder of people")
    parser.add_argument("--features", type=Path, required=True, help="of the folder")
    parser.add_argument("--draws", type=int, default=5, help="seeds")
    arguments = parser.parse_args()
    features = np.array(read_features(arguments.features))
    labels = read_people(arguments.input, len(features)).labels
    names = names_of_rows(arguments.input, len(features))
    as_it_is = propose(features, labels)
    kinds = Counter(proposal.kind for proposal in as_it_is.proposals)
    print(f"as it is, {len(labels)} images of {len(np.unique(labels))} people: {dict(kinds)}")
    print("\n".join(f"  {line}" for line in as_it_is.told))
    network, _ = load_model(arguments.model)
    embedder = Embedder(network, device=select_device("auto"), batch_size=32)
    totals = {kind: np.zeros(4, dtype=np.int64) for kind in KINDS}
    for seed in range(arguments.draws):
        spoiled = spoil(labels, np.random.default_rng(seed))
        more = embedder.embed(copies(arguments.input, [names[row] for row in spoiled.copied]), flip=True)
        more /= np.linalg.norm(more, axis=1, keepdims=True)
        found = propose(np.concatenate([features, more]), spoiled.labels)
        before = known(as_it_is)
        found.proposals = [
            proposal
            for proposal in found.proposals
            if not (known(Cleaning([proposal])) <= before and proposal.row not in spoiled.wrong)
        ]
        for kind, figures in count(found, spoiled, len(labels)).items():
            totals[kind] += figures
    print("\n| kind | proposed | precision | spoiled | recall |\n|---|---|---|---|---|")
    for kind, figures_of_kind in totals.items():
        right, proposed, hit, there = figures_of_kind.tolist()
        print(f"| {kind} | {proposed} | {right / max(proposed, 1):.3f} | {there} | {hit / max(there, 1):.3f} |")


if __name__ == "__main__":
    run_command(main)
