"""Who is on each sample: the evidence of a network, weighed, shared, fused and re-ranked. Each step can be left out.

All scores are counted in deviations of how alike different people's learnt videos look, part by part, so that parts and
signatures can be added up; a part that one of two does not show says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.sequence_pickles import Signatures
from lwface.formats.sequence_submission import SequenceTruth, guess_count
from lwface.sequences.clip_options import PARTS, STEPS
from lwface.sequences.clips import Clip
from lwface.sequences.evidence import SequenceEvidence
from lwface.sequences.naive import Solution, group_means

NEIGHBOURS, EXPANDED, ORIGINAL = 6, 3, 0.3  # of the re-ranking; the last is the paper's
SHARPNESS = 1.0  # of the nearest: how much more a better video of a person counts, in deviations


class Units(NamedTuple):
    """What is compared: videos, or sequences where evidence is not shared.

    Attributes:
        names: U of them. ``people``: whose; empty where not told. ``samples``: what a guess is made for.
        parts: (U, parts, D) of length 1, or 0 where there is none.
        sure: (U,) how much was seen, to choose between sequences of a video.
    """

    names: list[str]
    people: list[str]
    samples: list[str]
    parts: list[NDArray[np.float64]]
    sure: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """What was found.

    Attributes:
        solution: five guesses a sample.
        likeness: (S, V) of samples and learnt videos, by which a search ranks them.
        learnt: V names of the owners.
    """

    solution: Solution
    likeness: NDArray[np.float64]
    learnt: list[str]


def rank(
    learnt: SequenceEvidence,
    asked: SequenceEvidence,
    *,
    signatures: Sequence[Signatures] = (),
    without: frozenset[str] = frozenset(),
) -> Ranking:
    """Rank the people of ``learnt`` for each sample of ``asked``.

    Args:
        signatures: of frames of either, where there are any: compared too.
        without: steps to leave out, of :data:`~lwface.sequences.clip_options.STEPS`; ``quality`` is left out where the
            evidence is gathered.

    Raises:
        UserError: the sequences to learn from do not tell people, or nothing of one is known.
    """
    if unknown := without - set(STEPS):
        raise ValueError(f"no such step: {unknown}")
    chosen = [place for place, part in enumerate(PARTS) if part not in without]
    if not chosen:
        raise UserError(f"--without {','.join(PARTS)}: nothing is left to go by")
    shared = "share" not in without
    table = _signature_table(signatures) if "signatures" not in without else {}
    gallery, queries = (_units(evidence, chosen, table, shared) for evidence in (learnt, asked))
    if not gallery.people[0]:
        raise UserError(f"{gallery.names[0]}: does not say whose it is, which is to be learnt")
    scales = _scales(gallery)
    likeness = _likeness(queries, gallery, scales)
    if "rerank" not in without:
        likeness = _again(likeness, queries, gallery, scales)
    people, owners = sorted(set(gallery.people)), np.array(gallery.people)
    nearest = "nearest" not in without
    scores = np.stack([_person(likeness[:, owners == name], nearest=nearest) for name in people], axis=1)
    names, rows = _surest(queries)
    guesses = np.argsort(-scores[rows], axis=1, kind="stable")[:, : guess_count(len(people))]
    truth = _truth(names, [queries.people[row] for row in rows], people)
    return Ranking(Solution(people, names, guesses, truth), likeness[rows], gallery.people)


def _surest(units: Units) -> tuple[list[str], NDArray[np.int64]]:
    """The samples, sorted, and the row of each: of several sequences the one that shows most."""
    best: dict[str, int] = {}
    for row, name in enumerate(units.samples):
        if name not in best or units.sure[row] > units.sure[best[name]]:
            best[name] = row
    names = sorted(best)
    return names, np.array([best[name] for name in names])


def _truth(samples: list[str], owners: list[str], people: list[str]) -> SequenceTruth | None:
    if not owners[0]:
        return None
    places = {name: place for place, name in enumerate(people)}
    return SequenceTruth(samples, np.array([places.get(name, -1) for name in owners], np.int64), owners)


def _signature_table(signatures: Sequence[Signatures]) -> dict[str, NDArray[np.float64]]:
    """The mean signature of each sequence's folder."""
    found: dict[str, NDArray[np.float64]] = {}
    for one in signatures:
        names, means = group_means([path.rpartition("/")[0] for path in one.paths], one.signatures)
        found |= dict(zip(names, means, strict=True))
    return found


def _units(evidence: SequenceEvidence, chosen: list[int], table: dict[str, NDArray[np.float64]], shared: bool) -> Units:
    """Sequences joined to videos by how much each shows, or as they are."""
    clips = evidence.clips
    names = [clip.video if shared else clip.name for clip in clips]
    groups, place = np.unique(names, return_inverse=True)
    first: list[Clip] = [clips[int(np.flatnonzero(place == group)[0])] for group in range(len(groups))]
    parts = []
    for part in chosen:
        weighted = evidence.embeddings[:, part] * evidence.weights[:, part, None]
        parts.append(_unit(_summed(weighted, place, len(groups))))
    if table:
        parts.append(_signature_part(clips, table, place, len(groups)))
    sure = _summed(evidence.weights[:, chosen], place, len(groups)).sum(axis=1)
    return Units(groups.tolist(), [c.person for c in first], [c.video for c in first], parts, sure)


def _signature_part(
    clips: list[Clip], table: dict[str, NDArray[np.float64]], place: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    width = len(next(iter(table.values())))
    rows = np.stack([table.get(clip.name, np.zeros(width)) for clip in clips])
    if not rows.any():
        raise UserError(f"the signatures are of none of the sequences; the first asked for is {clips[0].name}")
    return _unit(_summed(rows, place, count))


def _summed(rows: NDArray[np.float64], place: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    found = np.zeros((count, rows.shape[1]))
    np.add.at(found, place, rows)
    return found


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))


def _there(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether a row is not zero."""
    return np.asarray(rows.any(axis=1))


def _scales(gallery: Units) -> list[tuple[float, float]]:
    """For each part mean and deviation of the cosines of different people's learnt videos."""
    people = np.unique(gallery.people, return_inverse=True)[1]
    others = people[:, None] != people[None, :]
    found = []
    for rows in gallery.parts:
        there = _there(rows)
        pairs = others & there[:, None] & there[None, :]
        values = (rows @ rows.T)[pairs]
        found.append((float(values.mean()), float(values.std()) or 1.0) if len(values) else (0.0, 1.0))
    return found


def _likeness(first: Units, second: Units, scales: list[tuple[float, float]]) -> NDArray[np.float64]:
    """(A, B) the sum over the parts of the cosines, in deviations; 0 of what either does not show."""
    total = np.zeros((len(first.names), len(second.names)))
    for mine, theirs, (mean, deviation) in zip(first.parts, second.parts, scales, strict=True):
        both = _there(mine)[:, None] & _there(theirs)[None, :]
        total += np.where(both, (mine @ theirs.T - mean) / deviation, 0.0)
    return total / np.sqrt(len(scales))


def _again(
    likeness: NDArray[np.float64], queries: Units, gallery: Units, scales: list[tuple[float, float]]
) -> NDArray[np.float64]:
    """``likeness`` (Q, G) after re-ranking all queries and all of the gallery among each other, in deviations again."""
    from lwface.sequences.reranking import reranked

    whole = np.block(
        [[_likeness(queries, queries, scales), likeness], [likeness.T, _likeness(gallery, gallery, scales)]]
    )
    np.fill_diagonal(whole, whole.max())
    found = reranked(whole.max() - whole, neighbours=NEIGHBOURS, expanded=EXPANDED, original=ORIGINAL)
    asked = -found[: len(likeness), len(likeness) :]
    return np.asarray((asked - asked.mean()) / (asked.std() or 1.0))


def _person(likeness: NDArray[np.float64], *, nearest: bool) -> NDArray[np.float64]:
    """(Q,) how much a person is meant, by likeness (Q, K) to their videos: the nearest count most, or all alike."""
    if not nearest:
        return np.asarray(likeness.mean(axis=1))
    top = likeness.max(axis=1, keepdims=True)
    return np.asarray(top[:, 0] + np.log(np.exp(SHARPNESS * (likeness - top)).mean(axis=1)) / SHARPNESS)
