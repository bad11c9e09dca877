"""The approaches to the gaps of the facial keypoints challenge, compared on faces whose points are all known.

    python benchmarks/keypoints.py --data datasets/keypoints --work build/keypoints --page docs/keypoints.md

--data is what datasets/make_keypoints.py made. Each network is trained with each approach and seed, every model with
the same number of steps, and scored on two truths: the coordinates that are asked for, as in the challenge, and all
fifteen points of every image. ``ffill-shuffled`` is forward-fill on the same rows in an order drawn by the seed, of
the first network and seed. Intervals are over people, and differences from drop are of the same people. Models are
kept in --work, so that the same command goes on; --page gets the tables between its marks.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.errors import UserError
from lwface.base.files import write_text
from lwface.base.progress import progress
from lwface.formats.keypoint_images import AskedFaces, KeypointFaces, read_test, read_training
from lwface.formats.keypoint_lookup import Lookup, read_lookup
from lwface.formats.keypoint_tables import FOUR, HIGHEST, LOWEST, POINTS, TEST, TRAINING, challenge_file
from lwface.gate.flops import count_flops
from lwface.landmarks.keypoint_choices import DROP, FFILL, INPUT_SHAPE, MASKED, NETWORKS, TWO_MODELS, KeypointSettings
from lwface.landmarks.keypoint_data import parts_of
from lwface.landmarks.keypoint_making import PEOPLE, TRUTH, TRUTH_ALL
from lwface.landmarks.keypoint_models import load_keypoint_model, locations_of, predict_all
from lwface.landmarks.keypoint_networks import create_keypoint_network
from lwface.landmarks.keypoint_scoring import difference, read_people, score
from lwface.landmarks.keypoint_training import prepare_keypoints

MEAN, SHUFFLED = "mean face", "ffill-shuffled"
APPROACHES_HERE = (DROP, FFILL, SHUFFLED, TWO_MODELS, MASKED)
COSTS = "networks"  # the name of the table of costs on the page; that of scores is called as the data set


class Plan(NamedTuple):
    """How one network is tried: with seeds 0 to ``seeds - 1``, so many steps of a model, a learning rate."""

    network: str
    seeds: int
    steps: int
    lr: float


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all comparisons share: the faces, and the truths by name."""

    faces: KeypointFaces
    test: AskedFaces
    truths: dict[str, Lookup]
    people: dict[int, str]

    def locations(self, truth: str, points: np.ndarray) -> np.ndarray:
        """What points (N, 15, 2) of the test images answer to a truth."""
        return np.clip(locations_of(self.truths[truth], self.test.ids, points), LOWEST, HIGHEST)

    def scores(self, points: np.ndarray, dropped: np.ndarray | None) -> dict[str, Any]:
        """The scores of points (N, 15, 2) on each truth, and how far the first is from that of ``drop``."""
        found = {
            name: score(truth, self.locations(name, points), people=self.people) for name, truth in self.truths.items()
        }
        if dropped is not None:
            both = (self.locations("asked", points), self.locations("asked", dropped))
            found["asked"] |= difference(self.truths["asked"], *both, people=self.people)
        return found


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    add = parser.add_argument
    add("--data", type=Path, metavar="FOLDER", required=True, help="what datasets/make_keypoints.py made")
    add("--work", type=Path, metavar="FOLDER", required=True, help="for models and scores; kept to go on")
    add("--networks", default="mobileface,net2", metavar="NAMES", help="networks, comma-separated")
    add("--approaches", default=",".join(APPROACHES_HERE), metavar="NAMES", help="approaches, comma-separated")
    add("--seeds", default="3,1", metavar="N,N", help="of each network, seeds 0 to N - 1")
    add("--steps", default="600,200", metavar="N,N", help="steps of each model, a number a network")
    add("--lr", default="0.003,0.001", metavar="X,X", help="learning rate, a number a network")
    add("--per-batch-size", type=int, default=32, metavar="N", help="images a step")
    add("--page", type=Path, metavar="FILE", help="page whose table to write; not given: print it")
    arguments = parser.parse_args()
    networks, arguments.approaches = arguments.networks.split(","), arguments.approaches.split(",")
    try:
        seeds, steps = ([int(word) for word in text.split(",")] for text in (arguments.seeds, arguments.steps))
        rates = [float(word) for word in arguments.lr.split(",")]
    except ValueError:
        told = f"--seeds {arguments.seeds}, --steps {arguments.steps}, --lr {arguments.lr}"
        raise UserError(f"{told}: expected numbers, comma-separated") from None
    if not len(networks) == len(seeds) == len(steps) == len(rates) or not set(networks) <= set(NETWORKS):
        expected = f"some of {', '.join(NETWORKS)}, with a number of --seeds, --steps and --lr each"
        raise UserError(f"--networks {arguments.networks}: expected {expected}")
    if not set(arguments.approaches) <= set(APPROACHES_HERE):
        raise UserError(f"--approaches: expected some of {', '.join(APPROACHES_HERE)}")
    arguments.plans = [Plan(*plan) for plan in zip(networks, seeds, steps, rates, strict=True)]
    return arguments


def train(settings: KeypointSettings, faces: KeypointFaces, folder: Path) -> list[Path]:
    """The model files of an approach, of the last step each; trained where they are not there yet."""
    files = []
    for part in parts_of(settings.approach, faces, held_out=settings.held_out, seed=settings.seed):
        # The first model of two-models is drop's: it learns the same, in the same order, from the same weights.
        name = (
            DROP
            if settings.approach == TWO_MODELS and not part.name
            else "-".join(filter(None, (folder.name, part.name)))
        )
        own = folder.with_name(name)
        files.append(own / "model-0001.safetensors")
        if not files[-1].is_file():
            with contextlib.redirect_stdout(io.StringIO()):
                loop = prepare_keypoints(settings, part, torch.device("cpu"))
            label = f"{settings.network} {name} {settings.seed}"
            for _ in progress(loop.updates(), total=loop.last_step, label=label, unit="step"):
                pass
            loop.task.save(own, 1, loop.run.as_dict())
    return files


def points_of(bench: Bench, plan: Plan, approach: str, seed: int, arguments: argparse.Namespace) -> np.ndarray:
    """What one network with one approach and seed puts on the test images: points (N, 15, 2)."""
    folder = arguments.work / f"{plan.network}-{seed}" / approach
    faces = bench.faces
    if approach == SHUFFLED:
        faces = faces.rows(np.random.default_rng(seed).permutation(len(faces.images)))
    settings = KeypointSettings(
        network=plan.network,
        approach=FFILL if approach == SHUFFLED else approach,
        max_steps=plan.steps,
        per_batch_size=arguments.per_batch_size,
        lr=plan.lr,
        seed=seed,
    )
    models = [load_keypoint_model(str(file)) for file in train(settings, faces, folder)]
    return predict_all(models, bench.test.images, torch.device("cpu"))


def comparison(results: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    """The comparison in Markdown. Figures are means over the seeds, of intervals too."""
    head = (
        "network",
        "approach",
        "RMSE, asked for",
        "95 %",
        "seeds",
        "minus drop, 95 %",
        "RMSE, all 15",
        "the 4",
        "the 11",
    )
    rows = []
    for (network, approach), found in results.items():
        asked = [one["asked"] for one in found]
        seeds = " ".join(f"{one['rmse']:.2f}" for one in asked)
        minus = ""
        if "rmse_difference" in asked[0] and approach != DROP:
            low, high = np.mean([one["rmse_difference_interval"] for one in asked], axis=0)
            minus = f"{np.mean([one['rmse_difference'] for one in asked]):+.2f}, {low:+.2f} to {high:+.2f}"
        low, high = np.mean([one["rmse_interval"] for one in asked], axis=0)
        means = (
            np.mean([one["all"]["rmse"] for one in found]),
            *(np.mean([_rmse_of(one["all"], four=four) for one in found]) for four in (True, False)),
        )
        rmse = f"{np.mean([one['rmse'] for one in asked]):.2f}"
        figures = (rmse, f"{low:.2f} to {high:.2f}", seeds, minus, *(f"{mean:.2f}" for mean in means))
        rows.append((network, approach, *figures))
    return _markdown(head, rows)


def _rmse_of(scores: dict[str, Any], *, four: bool) -> float:
    """RMSE over the four points that most rows have, or over the eleven others."""
    chosen = [one for name, one in scores["points"].items() if (name in FOUR) == four]
    total = sum(one["known"] * one["rmse"] ** 2 for one in chosen)
    return float(np.sqrt(total / sum(one["known"] for one in chosen)))


def costs() -> str:
    """What each network costs by the gate's count, in Markdown."""
    rows = []
    for network in NETWORKS:
        report = count_flops(create_keypoint_network(network, POINTS), INPUT_SHAPE)
        rows.append((network, f"{report.flops}", f"{report.params}", f"{report.model_bytes}"))
    return _markdown(("network", "FLOPs", "parameters", "bytes"), rows)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def into_page(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the lines of ``page`` that mark the table ``name``.

    Raises:
        UserError: it has no such lines.
    """
    marks = [f"<!-- benchmarks/keypoints.py {name}: {what} -->" for what in ("begin", "end")]
    before, begin, rest = page.read_text(encoding="utf-8").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise UserError(f"{page}: has no lines {' and '.join(marks)}")
    write_text(page, f"{before}{begin}\n\n{text}\n\n{end}{after}")


def main() -> None:
    """Train what is missing, and make the tables."""
    arguments = parse_arguments()
    bench = Bench(
        read_training(challenge_file(arguments.data, TRAINING)),
        read_test(challenge_file(arguments.data, TEST)),
        {"asked": read_lookup(arguments.data / TRUTH), "all": read_lookup(arguments.data / TRUTH_ALL)},
        read_people(arguments.data / PEOPLE),
    )
    mean = np.broadcast_to(np.nanmean(bench.faces.points, axis=0), (len(bench.test.images), len(POINTS), 2))
    results: dict[tuple[str, str], list[dict[str, Any]]] = {("", MEAN): [bench.scores(mean, None)]}
    for plan in arguments.plans:
        for seed in range(plan.seeds):
            dropped = points_of(bench, plan, DROP, seed, arguments)
            approaches = [one for one in APPROACHES_HERE if one in arguments.approaches]
            if plan is not arguments.plans[0] or seed:  # one run tells what the order of rows does
                approaches = [one for one in approaches if one != SHUFFLED]
            for approach in approaches:
                found = bench.scores(points_of(bench, plan, approach, seed, arguments), dropped)
                results.setdefault((plan.network, approach), []).append(found)
    for name, text in ((arguments.data.absolute().name, comparison(results)), (COSTS, costs())):
        print(f"{text}\n")
        if arguments.page:
            into_page(arguments.page, name, text)


if __name__ == "__main__":
    run_command(main)
