"""Who is on each sample: the evidence of a network, weighed, shared, fused and re-ranked. Each step can be left out.

What differs between one person's learnt videos is made to count less. Then a cosine counts by how likely it is of one
person, and how likely of two, on a logarithmic scale: both are taken to be normal, of the deviation that different
people's learnt videos have among each other, and a number of these apart that was chosen on other people. A part that
either does not show says nothing. Clothes are worn again or they are not: where they are, what is worn counts, where
not it is as good as anybody's.
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
from lwface.sequences.clip_options import LASTING, PARTS, STEPS
from lwface.sequences.clips import Clip
from lwface.sequences.evidence import SequenceEvidence
from lwface.sequences.naive import Solution, group_means
from lwface.sequences.within import steadying

NEIGHBOURS, EXPANDED, ORIGINAL = 8, 6, 0.7  # of the re-ranking, chosen on other people as well
WORN_AGAIN = 0.02  # how likely somebody wears what they wore in one learnt video, before anything is seen
# How far one person's cosines are above two people's, in deviations, and so how much each counts.
APART = {"head": 4.0, "trunk": 2.0, "legs": 2.0, "whole": 0.1, "pose": 0.2, "signatures": 0.3}


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
    names = [PARTS[place] for place in chosen] + ["signatures"] * bool(table)
    gallery, queries = _units(learnt, chosen, table, True), _units(asked, chosen, table, shared)
    if not gallery.people[0]:
        raise UserError(f"{gallery.names[0]}: does not say whose it is, which is to be learnt")
    if "within" not in without:
        gallery, queries = _steadied(gallery, queries)
    measures = [_measure(name, rows, gallery.people) for name, rows in zip(names, gallery.parts, strict=True)]
    likeness = _likeness(queries, gallery, measures)
    if "rerank" not in without:
        likeness = _again(likeness, queries, gallery, measures)
    people = sorted(set(gallery.people))
    scores = _scores(queries, gallery, measures, people, nearest="nearest" not in without)
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


def _steadied(gallery: Units, queries: Units) -> tuple[Units, Units]:
    """Both, with what differs between learnt videos of one person counting less in each part."""
    matrices = [steadying(rows, gallery.people) for rows in gallery.parts]
    first, second = (
        one._replace(parts=[_unit(rows @ matrix) for rows, matrix in zip(one.parts, matrices, strict=True)])
        for one in (gallery, queries)
    )
    return first, second


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


class Measure(NamedTuple):
    """What cosines of one part say.

    Attributes:
        mean, deviation: of two people.
        apart: by how many deviations one person's are above that.
        lasts: whether it is who somebody is, not what they wear.
    """

    mean: float
    deviation: float
    apart: float
    lasts: bool

    def ratio(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        """(A, B) the logarithm of how much likelier rows are of one person than of two; 0 where either is zero."""
        both = _there(first)[:, None] & _there(second)[None, :]
        above = (first @ second.T - self.mean) / self.deviation
        return np.where(both, self.apart * above - self.apart**2 / 2, 0.0)


def _measure(name: str, rows: NDArray[np.float64], people: list[str]) -> Measure:
    """Of the part ``name``, by learnt videos (V, D)."""
    codes = np.unique(people, return_inverse=True)[1]
    both = _there(rows)[:, None] & _there(rows)[None, :] & (codes[:, None] != codes[None, :])
    cosines = (rows @ rows.T)[both]
    mean, deviation = (float(cosines.mean()), float(cosines.std()) or 1.0) if len(cosines) else (0.0, 1.0)
    return Measure(mean, deviation, APART[name], name in LASTING or name == "signatures")


def _likeness(first: Units, second: Units, measures: list[Measure]) -> NDArray[np.float64]:
    """(A, B) how much likelier they are one person than two, as a logarithm, whatever else is known of either."""
    lasting, worn = (np.zeros((len(first.names), len(second.names))) for _ in range(2))
    for mine, theirs, measure in zip(first.parts, second.parts, measures, strict=True):
        (lasting if measure.lasts else worn)[:] += measure.ratio(mine, theirs)
    return lasting + _worn(worn)


def _worn(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """What clothes say, which may be the same ones or not."""
    return np.asarray(np.logaddexp(np.log(WORN_AGAIN) + ratio, np.log(1 - WORN_AGAIN)))


def _again(
    likeness: NDArray[np.float64], queries: Units, gallery: Units, measures: list[Measure]
) -> NDArray[np.float64]:
    """``likeness`` (Q, G) after re-ranking all queries and all of the gallery among each other."""
    from lwface.sequences.reranking import reranked

    own = [_likeness(one, one, measures) for one in (queries, gallery)]
    whole = np.block([[own[0], likeness], [likeness.T, own[1]]])
    np.fill_diagonal(whole, whole.max())
    found = reranked(whole.max() - whole, neighbours=NEIGHBOURS, expanded=EXPANDED, original=ORIGINAL)
    return -found[: len(likeness), len(likeness) :]


def _scores(
    queries: Units, gallery: Units, measures: list[Measure], people: list[str], *, nearest: bool
) -> NDArray[np.float64]:
    """(Q, P) how much each of ``people`` is meant.

    What lasts is compared with the mean of a person's videos, what is worn with each of them, of which the nearest
    count most; without ``nearest`` everything is compared with each, and all count alike.
    """
    places = {name: at for at, name in enumerate(people)}
    place = np.array([places[name] for name in gallery.people])
    counts = np.bincount(place)
    if not nearest:
        return _summed(_likeness(queries, gallery, measures).T, place, len(people)).T / counts
    lasting, worn = np.zeros((len(queries.names), len(people))), np.zeros((len(queries.names), len(place)))
    for mine, theirs, measure in zip(queries.parts, gallery.parts, measures, strict=True):
        if measure.lasts:
            lasting += measure.ratio(mine, _unit(_summed(theirs, place, len(people))))
        else:
            worn += measure.ratio(mine, theirs)
    chances = np.exp(_worn(worn))  # a video's is at least 1 - WORN_AGAIN, so that no mean is 0
    return np.asarray(lasting + np.log(_summed(chances.T, place, len(people)).T / counts))
