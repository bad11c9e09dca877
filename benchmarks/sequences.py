"""The faceless challenge on procedural people: the challenge's naive solution and a trained one, on the same splits.

    python benchmarks/sequences.py --run people0 people-masked0 models/parts_s-people0/model,1 --steps

A --run is two folders of sequences/make_people.py, with faces shown and masked, of one seed, and a model of
sequences/train.py that learnt from the first half of the videos of the first folder. Each folder also needs
signatures.pkl of an ImageNet network, which the naive solution goes by. Several runs (other seeds are other people) are
put together; intervals are 95 %, by a bootstrap over all their people. mAP is of each judged video among the
learnt ones.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.device import select_device
from lwface.formats.sequence_pickles import Signatures, read_signatures
from lwface.scoring.drawn_groups import Estimate, share_interval
from lwface.sequences.clip_options import PARTS, STEPS
from lwface.sequences.clip_training import load_sequence_network
from lwface.sequences.clips import clips_of, halves_of, read_points
from lwface.sequences.evidence import SequenceEvidence, gather
from lwface.sequences.images import Images
from lwface.sequences.naive import group_means, solve, unit_means
from lwface.sequences.retrieval import average_precision
from lwface.sequences.scoring import BEST, places_of_hits, points
from lwface.sequences.solver import Ranking, rank

FIGURES = ("top 1", "top 5", "score", "mAP")
NAIVE, OURS = "naive", "ours"
CLOTHES = ("same", "changed", "unknown")


@dataclass(frozen=True, eq=False)
class Judged:
    """What one solution is worth, a row a sample.

    Attributes:
        values: (S, 4) from 0 to 1, by :data:`FIGURES`.
        people: whose. ``clothes``: what they wear to those who learnt.
    """

    values: NDArray[np.float64]
    people: NDArray[np.str_]
    clothes: NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Side:
    """One folder: evidence with and without frames weighted, and signatures."""

    learnt: dict[bool, SequenceEvidence]
    asked: dict[bool, SequenceEvidence]
    signatures: Signatures
    clothes: dict[str, str]

    def ours(self, without: frozenset[str]) -> Judged:
        """The trained solution less some steps."""
        weigh = "quality" not in without
        found = rank(self.learnt[weigh], self.asked[weigh], signatures=[self.signatures], without=without)
        return self._judged(found)

    def naive(self) -> Judged:
        """The challenge's own."""
        videos = [{clip.video for clip in part[True].clips} for part in (self.learnt, self.asked)]
        parts = []
        for some in videos:
            rows = [row for row, path in enumerate(self.signatures.paths) if path.rpartition("/seq_")[0] in some]
            parts.append(Signatures([self.signatures.paths[row] for row in rows], self.signatures.signatures[rows]))
        means = [group_means([path.rpartition("/seq_")[0] for path in part.paths], part.signatures) for part in parts]
        (names, learnt), (asked_names, asked) = ((names, unit_means(rows, names)) for names, rows in means)
        solution = solve(*parts)
        if solution.samples != asked_names:
            raise ValueError("samples of another order")
        return self._judged(Ranking(solution, asked @ learnt.T, [name.rpartition("/")[0] for name in names]))

    def _judged(self, found: Ranking) -> Judged:
        truth = found.solution.truth
        if truth is None:
            raise ValueError("paths tell no people")
        places = places_of_hits(found.solution.guesses, truth.indices)
        owners = np.array(found.learnt)
        precision = [
            average_precision(row, owners == who) for row, who in zip(found.likeness, truth.people, strict=True)
        ]
        values = np.stack([places == 0, places >= 0, points(places) / BEST, precision], axis=1).astype(float)
        clothes = np.array([self.clothes[name] for name in truth.samples])
        return Judged(values, np.array(truth.people), clothes)


def read_side(folder: Path, model: str, device: str) -> Side:
    """The evidence of all videos of a folder."""
    network, place = load_sequence_network(model), select_device(device)
    with Images(folder / "images.tar") as images:
        halves = halves_of(clips_of(images.paths, folder), 0.5)
        known = read_points(folder / "pose.pkl", images.paths)
        learnt, asked = (
            {weigh: gather(network, images, known, clips, place, weigh=weigh) for weigh in (True, False)}
            for clips in halves
        )
    with open(folder / "outings.csv", encoding="utf-8", newline="") as file:
        clothes = {row["video"]: row["clothes"] for row in csv.DictReader(file)}
    return Side(learnt, asked, read_signatures(folder / "signatures.pkl"), clothes)


def joined(parts: list[Judged], clothes: str) -> list[Estimate]:
    """The figures over all runs, of those in these clothes."""
    chosen = [part.clothes == clothes for part in parts]
    values = np.concatenate([part.values[mask] for part, mask in zip(parts, chosen, strict=True)])
    people = [f"{run}/{name}" for run, part in enumerate(parts) for name in part.people[chosen[run]]]
    return [share_interval(values[:, place], people) for place in range(len(FIGURES))]


def cells(found: list[Estimate]) -> str:
    """Figures in per cent with their intervals."""
    texts = []
    for one in found:
        span = ""
        if one.low is not None and one.high is not None:
            span = f" ({100 * one.low:.1f} to {100 * one.high:.1f})"
        texts.append(f"{100 * one.value:.1f}{span}")
    return " | ".join(texts)


def removed(found: list[Estimate], base: list[Estimate]) -> str:
    """How much of what the score of ``base`` lacks to 100 is there."""
    mine, theirs = (figures[FIGURES.index("score")].value for figures in (found, base))
    return f"{100 * (mine - theirs) / (1 - theirs):.0f} %" if theirs < 1 else "nothing to remove"


def worn(sides: list[Side]) -> list[str]:
    """What is known of the clothes of the judged videos."""
    return [kind for kind in CLOTHES if any(kind in side.clothes.values() for side in sides)]


def rows(sides: dict[str, list[Side]]) -> Iterator[str]:
    """The table of naive and ours."""
    yield f"| face | clothes | solution | {' | '.join(FIGURES)} | of the naive distance to 100, removed |"
    yield f"|{'---|' * (4 + len(FIGURES))}"
    for face, some in sides.items():
        naive, ours, alone = (
            [side.naive() for side in some],
            [side.ours(frozenset()) for side in some],
            [side.ours(frozenset({"signatures"})) for side in some],
        )
        for clothes in worn(some):
            base = joined(naive, clothes)
            yield f"| {face} | {clothes} | {NAIVE} | {cells(base)} | |"
            for name, judged in ((f"{OURS}, no signatures", alone), (f"{OURS}, fused", ours)):
                found = joined(judged, clothes)
                pairs = zip(judged, naive, strict=True)
                each = [removed(joined([mine], clothes), joined([theirs], clothes)) for mine, theirs in pairs]
                gone = f"{removed(found, base)} (runs: {', '.join(each)})"
                yield f"| {face} | {clothes} | {name} | {cells(found)} | {gone} |"


def steps(sides: dict[str, list[Side]]) -> Iterator[str]:
    """The table of what each step brings: score and mAP."""
    kinds = [(face, clothes) for face, some in sides.items() for clothes in worn(some)]
    heads = " | ".join(f"{face}, {clothes}: score | mAP" for face, clothes in kinds)
    yield f"| left out | {heads} |"
    yield f"|{'---|' * (1 + 2 * len(kinds))}"
    tried = {"nothing": frozenset[str](), **{step: frozenset({step}) for step in STEPS}}
    tried["all but the parts"] = frozenset(STEPS) - frozenset(PARTS)
    for part in PARTS:
        tried[f"all but {part}"] = frozenset(STEPS) - {part}
    for name, without in tried.items():
        found = []
        for face, clothes in kinds:
            figures = joined([side.ours(without) for side in sides[face]], clothes)
            found += [f"{100 * figures[2].value:.1f}", f"{100 * figures[3].value:.1f}"]
        yield f"| {name} | {' | '.join(found)} |"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    what = "folder with faces shown, folder with faces masked, model"
    names = ("SHOWN", "MASKED", "MODEL")
    parser.add_argument("--run", nargs=3, action="append", metavar=names, required=True, help=what)
    parser.add_argument("--steps", action="store_true", help="also what each step of the solution brings")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args()


def main() -> None:
    """Print the tables."""
    arguments = parse_arguments()
    sides: dict[str, list[Side]] = {"shown": [], "masked": []}
    for shown, masked, model in arguments.run:
        for face, folder in (("shown", shown), ("masked", masked)):
            sides[face].append(read_side(Path(folder), model, arguments.device))
    print("\n".join(rows(sides)), flush=True)
    if arguments.steps:
        print("\n" + "\n".join(steps(sides)))


if __name__ == "__main__":
    run_command(main)
