"""TAR of each ``--aggregate`` on labelled videos: as they are, with degraded frames, and with frames of other people.

    python benchmarks/aggregation.py --model PREFIX,EPOCH --input datasets/ytf/videos --quality-model q.safetensors

Features of frames are computed once, of each frame three times: as it is; degraded as the quality head was taught; and
in ways it has not seen (covered, dark, misplaced). Then, ``--draws`` times: *degraded* videos have half of their frames
replaced by their degraded version; *mixed* ones have got frames of one other person, a quarter to a third of all. The
table shows the mean TAR over the draws. A second table tells where ``--cluster-threshold`` can lie: which pairs of
frames it parts and joins.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.device import select_device
from lwface.base.progress import progress
from lwface.features.aggregation import (
    CLUSTER_THRESHOLD,
    MEAN,
    Aggregation,
    DominantCluster,
    NormWeighted,
    aggregate,
    normalise,
)
from lwface.features.embedder import Embedder
from lwface.features.quality import load_quality
from lwface.features.quality_training import degraded
from lwface.features.writing import Listing, look_through
from lwface.formats.image import read_rgb
from lwface.formats.person_labels import read_labels
from lwface.models.store import load_model, model_sha256
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.operating_points import operating_points
from lwface.scoring.parameters import parse_fars

THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
COMPARED_FRAMES = 5000  # of the threshold table, evenly spaced
Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]  # features (n, D) and frames of each video


def spoiled(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """``image`` (H, W, 3) uint8 partly covered, dark, or badly aligned: no head is taught this."""
    height, width = image.shape[:2]
    kind = generator.integers(3)
    if kind == 0:
        covered = image.copy()
        tall, wide = (int(side * generator.uniform(0.3, 0.6)) for side in (height, width))
        top, left = generator.integers(height - tall), generator.integers(width - wide)
        covered[top : top + tall, left : left + wide] = generator.integers(0, 256, 3)
        return covered
    if kind == 1:
        return (image * generator.uniform(0.03, 0.15)).astype(np.uint8)
    turn, zoom = generator.uniform(-30, 30), generator.uniform(0.7, 1.4)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, zoom)
    angle, shift = generator.uniform(0, 2 * np.pi), width * generator.uniform(0.13, 0.27)
    matrix[:, 2] += shift * np.cos(angle), shift * np.sin(angle)
    return cv2.warpAffine(image, matrix, (width, height))


def embed(listing: Listing, embedder: Embedder) -> np.ndarray:
    """Features (3, n, D) float32 of all frames: as they are, degraded, spoiled."""
    paths = list(listing.paths(0))
    features = np.empty((3, len(paths), embedder.embedding_size), np.float32)
    with progress(total=len(paths), label="features", unit="frame") as bar:
        for start in range(0, len(paths), embedder.batch_size):
            places = range(start, min(start + embedder.batch_size, len(paths)))
            images = [read_rgb(paths[place]) for place in places]
            # not the draws of train_quality.py, whose generators are seeded by the place alone
            worse = [
                [change(image, np.random.default_rng((1, place))) for place, image in zip(places, images, strict=True)]
                for change in (degraded, spoiled)
            ]
            for version, each in enumerate([images, *worse]):
                features[version, places.start : places.stop] = embedder.embed(np.stack(each), flip=False)
            bar.update(len(images))
    return features


def half_replaced(features: np.ndarray, worse: np.ndarray, frames: np.ndarray) -> Draw:
    """Videos in which half of the frames, rounded down, are their ``worse`` version (n, D)."""

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        changed = features.copy()
        for start, count in zip(np.cumsum(frames) - frames, frames, strict=True):
            places = start + generator.permutation(count)[: count // 2]
            changed[places] = worse[places]
        return changed, frames

    return draw


def mixed(features: np.ndarray, frames: np.ndarray, people: np.ndarray) -> Draw:
    """Videos with frames of one other person's video added, half as many as there are, rounded down."""
    ends = np.cumsum(frames)
    videos = [features[end - count : end] for end, count in zip(ends, frames, strict=True)]

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        tracks = []
        for video, person in zip(videos, people, strict=True):
            other = videos[generator.choice(np.flatnonzero(people != person))]
            added = other[generator.permutation(len(other))[: len(video) // 2]]
            tracks.append(np.concatenate([video, added]))
        return np.concatenate(tracks), np.array(list(map(len, tracks)))

    return draw


def mean_tars(
    draw: Draw, draws: int, aggregations: dict[str, Aggregation], people: np.ndarray, fars: list[Fraction]
) -> dict[str, list[float]]:
    """The mean TAR of each aggregation at each FAR; NaN where it cannot be resolved."""
    found: dict[str, list[list[float]]] = {name: [] for name in aggregations}
    for seed in range(draws):
        features, frames = draw(np.random.default_rng(seed))
        for name, aggregation in aggregations.items():
            rows = aggregate(features, frames, aggregation).astype(np.float32)
            points = operating_points(Grid(FeatureSet(rows, people, name), None), fars)
            found[name].append([np.nan if point.tar is None else point.tar for point in points])
    return {name: np.mean(tars, axis=0).tolist() for name, tars in found.items()}


def threshold_table(features: np.ndarray, frames: np.ndarray, people: np.ndarray) -> str:
    """Which pairs of frames each threshold parts and joins."""
    taken = np.arange(min(len(features), COMPARED_FRAMES)) * len(features) // min(len(features), COMPARED_FRAMES)
    units = normalise(features[taken], str)
    cosines, above = units @ units.T, np.triu(np.ones((len(taken), len(taken)), bool), 1)
    video = np.repeat(np.arange(len(frames)), frames)[taken]
    owner = np.repeat(people, frames)[taken]
    one_video = cosines[above & (video[:, None] == video)]
    others = cosines[above & (owner[:, None] != owner)]
    lines = ["threshold   parts pairs of one video   joins pairs of two people"]
    lines += [f"{t:9.2f}   {(one_video < t).mean():24.4%}   {(others >= t).mean():24.4%}" for t in THRESHOLDS]
    return "\n".join(lines)


def main() -> None:
    """Embed, draw, aggregate, score, print."""
    parser = argparse.ArgumentParser(
        description="TAR of each --aggregate on labelled videos, as they are and spoiled.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--model", required=True, help="trained model: PREFIX,EPOCH (ours or MXNet's) or FILE.onnx")
    parser.add_argument("--layer", help="the output of an MXNet or ONNX model that is the embedding")
    parser.add_argument("--input", type=Path, required=True, help="folder with filelist.txt and labels.txt of videos")
    parser.add_argument("--quality-model", help="head of recognition/train_quality.py; without it quality is left out")
    parser.add_argument("--cluster-threshold", type=float, default=CLUSTER_THRESHOLD, help="cosine, for cluster")
    parser.add_argument("--far", default="1e-2,1e-3,1e-4", help="false accept rates")
    parser.add_argument("--draws", type=int, default=10, help="how often videos are spoiled; the mean TAR is shown")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = parser.parse_args()
    fars, device = parse_fars(args.far), select_device(args.device)
    network, config = load_model(args.model, layer=args.layer)
    aggregations: dict[str, Aggregation] = {"mean": MEAN, "norm": NormWeighted()}
    if args.quality_model:
        head = load_quality(args.quality_model, model_sha256(network, config, args.layer), args.model)
        aggregations["quality"] = head.weighting()
    aggregations["cluster"] = DominantCluster(args.cluster_threshold)
    listing = look_through(args.input, videos=True)
    people = read_labels(args.input / "labels.txt", len(listing.names))
    frames = np.array(list(listing.images_of_rows(0)), np.int64)
    plain, worse, spoilt = embed(listing, Embedder(network, device=device, batch_size=32))
    draws: dict[str, tuple[int, Draw]] = {
        "as they are": (1, lambda generator: (plain, frames)),
        "half degraded, as taught": (args.draws, half_replaced(plain, worse, frames)),
        "half spoiled otherwise": (args.draws, half_replaced(plain, spoilt, frames)),
        "mixed with another": (args.draws, mixed(plain, frames, people)),
    }
    counts = f"{len(frames)} videos of {len(set(people.tolist()))} people, {len(plain)} frames"
    print(f"{counts}; TAR, mean of {args.draws} draws")
    print(f"{'videos':26}{'aggregate':11}" + "".join(f"FAR {float(far):<8g}" for far in fars))
    for title, (count, draw) in draws.items():
        for name, tars in mean_tars(draw, count, aggregations, people, fars).items():
            print(f"{title:26}{name:11}" + "".join(f"{tar:<12.4f}" for tar in tars), flush=True)
    print(f"\n{threshold_table(plain, frames, people)}")


if __name__ == "__main__":
    run_command(main)
