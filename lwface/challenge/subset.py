"""What a recognition track can be on a platform with a quota: how large a submission is, and a sub-set of its people.

A sub-set is a protocol of its own: its figures cannot be held against those of all rows, and its FAR may not go below
one impostor pair of a half. Both are said, and what would pretend otherwise is refused.
"""

from __future__ import annotations

import dataclasses
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.challenge.definition import DEFINITION, Challenge
from lwface.challenge.halves import sides
from lwface.challenge.kinds import ChallengeTrack
from lwface.challenge.score_features import LABELS, person_names, read_labels
from lwface.challenge.templates import KIT, PAGES, kit_of, sample_of
from lwface.formats.feature_file import FeatureWriter, read_features
from lwface.formats.file_list import LIST_NAME
from lwface.formats.person_labels import DISTRACTOR
from lwface.scoring.exact.pair_counts import pair_counts
from lwface.scoring.parameters import exact_rate

QUOTA = 15 * 10**9  # bytes that a user of the public Codabench may keep


def quota_notes(challenge: Challenge, track: ChallengeTrack) -> list[str]:
    """What is to be said of the sizes and the pairs of a recognition track.

    Raises:
        UserError: the submissions allowed do not fit the quota, or a half is too small for the FAR.
    """
    labels = read_labels(challenge.reference(track))
    size = 16 + 4 * len(labels) * track.widest
    fits = QUOTA // size
    told = f"a submission of {len(labels):,} rows of {track.widest} numbers has {size:,} bytes, and 15 GB a user hold"
    if fits < challenge.submissions_in_all:
        most = (QUOTA // challenge.submissions_in_all - 16) // (4 * track.widest)
        raise UserError(
            f"track {track.name}: {told} {fits:,}, fewer than the {challenge.submissions_in_all} submissions allowed: "
            f"take people of at most {most:,} rows (--people N), allow fewer, or host it yourself: docs/challenge.md"
        )
    notes = [f"{told} {fits:,} of them; {challenge.submissions_in_all} are allowed"]
    far = exact_rate(str(track.settings["far"]), "FAR")
    for side, chosen in sides(track, person_names(labels)).items():
        pairs = pair_counts(labels_as_persons(labels[chosen])).impostor
        if far * pairs < 1:
            least = -(-1 // Fraction(far))
            raise UserError(
                f"track {track.name}: its {side} samples have {pairs:,} impostor pairs; FAR {track.settings['far']} "
                f"needs {least:,}: take more people, or a larger FAR (settings)"
            )
        notes.append(f"{side}: {pairs:,} impostor pairs")
    return notes


def labels_as_persons(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted numbers of persons, each distractor another one."""
    alone = labels == DISTRACTOR
    persons = labels.copy()
    persons[alone] = labels.max(initial=0) + 1 + np.arange(int(alone.sum()))
    return np.sort(persons)


def fewer_people(challenge: Challenge, track: ChallengeTrack, people: int, folder: Path) -> Challenge:
    """A challenge of ``track`` alone and of ``people`` of its people, drawn by its seed, written into ``folder``.

    Raises:
        UserError: there are not so many, or the list of the kit does not fit the labels.
    """
    labels = read_labels(challenge.reference(track))
    names = np.asarray(person_names(labels))
    every = np.unique(names)
    if not 4 <= people <= len(every):
        raise UserError(f"--people {people}: expected 4 to {len(every):,}, the people of track {track.name}")
    drawn = np.random.default_rng(track.seed).permutation(len(every))[:people]
    chosen = np.isin(names, every[drawn])
    reference, kit = folder / track.reference, folder / KIT / Path(track.reference).name
    reference.mkdir(parents=True)
    rows = labels[chosen].tolist()
    (reference / LABELS).write_text("".join(f"{label}\n" for label in rows), encoding="utf-8")
    _copy_kit(challenge, track, kit, chosen)
    shutil.copy(challenge.folder / DEFINITION, folder)
    if (challenge.folder / PAGES).is_dir():
        shutil.copytree(challenge.folder / PAGES, folder / PAGES)
    told = (
        f"\n## A sub-set\n\n{people:,} of {len(every):,} people and {len(rows):,} of {len(labels):,} rows, drawn by "
        f"seed {track.seed}. Its figures cannot be held against those of all rows.\n"
    )
    page = folder / PAGES / "evaluation.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text((page.read_text(encoding="utf-8") if page.is_file() else "# Evaluation\n") + told, encoding="utf-8")
    return dataclasses.replace(challenge, tracks=(track,), folder=folder)


def _copy_kit(challenge: Challenge, track: ChallengeTrack, kit: Path, chosen: NDArray[np.bool_]) -> None:
    """The starting kit with the rows ``chosen`` of its list, their files, and of the sample submission."""
    source, sample = kit_of(challenge, track), sample_of(challenge, track)
    listed = source / "test" / LIST_NAME
    if not listed.is_file():
        return
    lines = listed.read_text(encoding="utf-8").splitlines()
    if len(lines) != len(chosen):
        raise UserError(f"{listed}: {len(lines):,} lines, but {len(chosen):,} labels")
    kept = [line for line, own in zip(lines, chosen.tolist(), strict=True) if own]
    left_out = {source / "test" / line for line in lines} - {source / "test" / line for line in kept}
    shutil.copytree(source, kit, ignore=lambda place, names: [name for name in names if Path(place, name) in left_out])
    (kit / "test" / LIST_NAME).write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    if sample is not None:
        features = np.asarray(read_features(sample))[chosen]
        (kit / sample.name).unlink()
        with FeatureWriter(kit / sample.name, *features.shape, unit_rows=False) as writer:
            writer.write(features)
