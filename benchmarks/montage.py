"""The montage: what ours costs beside the baselines, and how long it takes.

    python datasets/make_montage.py --input ytf-keypoints --output data
    python benchmarks/montage.py --data data
    python benchmarks/montage.py --speed --frames 600000

--data has train/ to index and test/ to follow, each with its videos.csv: all videos of test/ are followed by the
published baseline, the repaired one and ours in its forms, and the costs of all are added up. --speed makes videos of
300x300 out of smooth noise, indexes as many landmarks as --frames says, and follows 240 frames; the search is timed
beside FAISS's exact one where that is installed, and beside Annoy:

    pip install --target build/annoy annoy==1.17.3
    PYTHONPATH=build/annoy python benchmarks/montage.py --search --frames 600000
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.commands import HelpFormatter, run_command
from lwface.base.errors import UserError
from lwface.base.extras import available
from lwface.base.progress import progress
from lwface.formats.montage_video import (
    FaceVideo,
    ListedVideo,
    read_face_video,
    read_video_list,
    write_face_video,
    write_video_list,
)
from lwface.landmarks.head_pose import mean_head
from lwface.montage import index as index_files
from lwface.montage.baseline import PublishedBaseline, RepairedBaseline
from lwface.montage.costs import KINDS, FrameCosts, summary
from lwface.montage.index import FrameIndex, VideoPart, build
from lwface.montage.nearest import Neighbours
from lwface.montage.processor import Processor, index_name, score
from lwface.montage.sequence import MontageOptions, SequenceProcessor

SIDE, QUERY_FRAMES, A_VIDEO, VIDEOS = 300, 240, 60, 24
NEAREST = 64
REPEATS, ONE_BY_ONE = 5, 24
TREES, NODES = 10, (640, 20000, 100000)  # of Annoy: the challenge's; its own default, and what it takes to find most


def forms(table: Path, most: int) -> dict[str, Processor]:
    """What is compared."""
    ours = {
        "ours, as they are": MontageOptions(warp="none"),
        "ours, similarity": MontageOptions(warp="similarity"),
        "ours, points": MontageOptions(),
        "ours, points, own colours": MontageOptions(colour=False),
        "ours, points, at once": MontageOptions(look_ahead=0),
        f"ours, points, at most {most}": MontageOptions(most=most),
    }
    return {
        "published": PublishedBaseline(table),
        "repaired": RepairedBaseline(table),
        **{name: SequenceProcessor(table, options) for name, options in ours.items()},
    }


def compare(data: Path, most: int, wanted: str) -> None:
    """The table of costs, of the forms whose names have ``wanted`` in them."""
    table, asked = data / "train" / "videos.csv", data / "test" / "videos.csv"
    if not index_name(table).exists():
        SequenceProcessor(table).build_index(index_name(table))
    videos = [read_face_video(asked.parent / f"{listed.name}.npz") for listed in read_video_list(asked)]
    people = {listed.person for listed in read_video_list(asked)}
    made = {name: form for name, form in forms(table, most).items() if wanted in name}
    index = index_files.load(index_name(table))
    assert not people & set(index.people)
    print(f"{len(videos)} videos of {len(people)} people who are not in the index of {len(index.people)}")
    print(
        "mean cost a frame               public   signed   honest  pictures  landmarks  dropped  honest, but for those"
    )
    for name, processor in made.items():
        processor.load_index(index_name(table))
        costs: list[FrameCosts] = []
        dropped = 0
        for video in progress(videos, label=name, unit="video"):
            results = processor.process_video(video)
            costs += score(video, results, processor.index, processor.frames)
            dropped += sum(result is None for result in results)
        sums = summary(costs)
        means = "  ".join(f"{sums[kind].mean:7.4f}" for kind in KINDS)
        honest, count = sums["honest"], len(costs)
        without = (honest.total - 9.1 * dropped) / (count - dropped)
        parts = f"{honest.image / count:8.4f}  {honest.points / count:9.4f}  {dropped:7}  {without:7.4f}"
        print(f"{name:30}  {means}  {parts}", flush=True)


def faces(count: int, dice: np.random.Generator) -> NDArray[np.float32]:
    """Faces (count, 68, 2) somewhere in a frame of 300x300: a turned mean head whose width, depth and mouth vary."""
    head = mean_head() * [1, -1, 1]
    head = (head - head.mean(axis=0)) / np.abs(head).max()
    yaw, roll = dice.uniform(-0.7, 0.7, count), dice.uniform(-0.3, 0.3, count)
    x = head[:, 0] * np.cos(yaw)[:, None] + head[:, 2] * np.sin(yaw)[:, None]
    y = head[:, 1] * dice.uniform(0.85, 1.15, count)[:, None]
    y[:, 48:] += dice.uniform(0, 0.1, count)[:, None] * (head[48:, 1] > np.median(head[48:, 1]))
    z = (x + 1j * y) * np.exp(1j * roll)[:, None] * dice.uniform(60, 100, count)[:, None] + 150 + 150j
    points = np.stack([z.real, z.imag], axis=2) + dice.normal(0, 1, (count, 68, 2))
    return points.astype(np.float32)


def picture(number: int) -> NDArray[np.uint8]:
    """A smooth coloured picture (300, 300, 3) of its own."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = [np.sin(x * a + y * b + c) for a, b, c in np.random.default_rng(number).uniform(1, 9, (3, 3))]
    return (128 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def time_index(frames: int, folder: Path) -> FrameIndex:
    """Index so many frames from their landmarks, write and open it."""
    dice = np.random.default_rng(0)
    blocks = [faces(6000, dice) for _ in range(-(-frames // 6000))]
    parts = (
        VideoPart(f"v_{number}", f"v{number % 1000}", (SIDE, SIDE), block[start : start + 300])
        for number, block in enumerate(blocks)
        for start in range(0, len(block), 300)
    )
    begin, used = time.perf_counter(), time.process_time()
    index = build(parts)
    index_files.save(index, folder)
    seconds, processors = time.perf_counter() - begin, time.process_time() - used
    size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    print(f"{index.count} frames indexed from their landmarks and written in {seconds:.1f} s, {size:.0f} MiB")
    print(f"that is {processors:.1f} s of the processors")
    print(f"most memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    begin = time.perf_counter()
    index = index_files.load(folder)
    print(f"opened, with its sums checked, in {time.perf_counter() - begin:.1f} s")
    return index


Search = Callable[[NDArray[np.float32]], NDArray[np.int64]]


def searches(codes: NDArray[np.float32]) -> dict[str, Search]:
    """What finds the nearest 64 rows of ``codes``: ours, and the others that are installed."""
    own = Neighbours(codes)
    found: dict[str, Search] = {"ours": lambda asked: own.nearest(asked, NEAREST)[0]}
    if available("faiss"):
        import faiss

        flat = faiss.IndexFlatL2(codes.shape[1])
        flat.add(codes)
        found["FAISS IndexFlatL2"] = lambda asked: flat.search(asked, NEAREST)[1]
    if available("annoy"):
        import annoy

        begin = time.perf_counter()
        trees = annoy.AnnoyIndex(codes.shape[1], "euclidean")
        for row, code in enumerate(progress(codes, label="annoy", unit="row")):
            trees.add_item(row, code)
        trees.build(TREES)
        print(f"Annoy: {TREES} trees built in {time.perf_counter() - begin:.1f} s")

        def look_at(nodes: int) -> Search:
            return lambda asked: np.array([trees.get_nns_by_vector(one, NEAREST, nodes) for one in asked])

        found |= {f"Annoy, {nodes} nodes": look_at(nodes) for nodes in NODES}
    return found


def time_search(index: FrameIndex) -> None:
    """Searches for the nearest 64, all 240 at once and one by one: the shortest of so many runs, taken by turns."""
    codes = np.ascontiguousarray(index.shapes)
    asked = codes[:: max(1, len(codes) // QUERY_FRAMES)][:QUERY_FRAMES] + np.float32(0.01)
    made = searches(codes)
    right = [set(rows) for rows in made["ours"](asked).tolist()]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for _ in range(REPEATS):
        for name, search in made.items():
            begin = time.perf_counter()
            search(asked)
            between = time.perf_counter()
            for one in asked[:ONE_BY_ONE]:
                search(one[None])
            times[name].append((between - begin, time.perf_counter() - between))
    own = np.min(times["ours"], axis=0)
    print(
        f"the nearest {NEAREST} of {len(codes)}; ours: {QUERY_FRAMES} together {own[0]:.3f} s, {ONE_BY_ONE} one by one"
    )
    print(f"{own[1]:.3f} s. The others' time over ours, and what share of the nearest they find:")
    for name, search in made.items():
        together, single = np.min(times[name], axis=0) / own
        hits = np.mean([len(a & set(b)) / len(a) for a, b in zip(right, search(asked).tolist(), strict=True)])
        print(f"{name:20} together {together:6.2f}, one by one {single:6.2f}, found {100 * hits:.3f} %", flush=True)


def time_video(folder: Path) -> None:
    """Follow 240 frames of 300x300 out of 24 videos of 60, all of them other pictures."""
    dice = np.random.default_rng(1)
    rows = []
    for video in range(VIDEOS):
        images = np.stack([np.roll(picture(video), 2 * shift, axis=1) for shift in range(A_VIDEO)])
        write_face_video(folder / f"p{video}_0.npz", images, faces(A_VIDEO, dice).astype(np.float64))
        rows.append((ListedVideo(f"p{video}_0", f"p{video}"), (SIDE, SIDE), A_VIDEO))
    write_video_list(folder / "videos.csv", iter(rows))
    path = faces(QUERY_FRAMES, dice).astype(np.float64)
    query = FaceVideo(np.stack([picture(number % 9) for number in range(QUERY_FRAMES)], axis=3), path)
    begin = time.perf_counter()
    SequenceProcessor(folder / "videos.csv").build_index(index_name(folder / "videos.csv"))
    print(
        f"{VIDEOS * A_VIDEO} frames of {SIDE}x{SIDE} indexed with their pictures in {time.perf_counter() - begin:.1f} s"
    )
    for options in (MontageOptions(), MontageOptions(warp="similarity"), MontageOptions(most=20)):
        processor = SequenceProcessor(folder / "videos.csv", options)
        processor.load_index(index_name(folder / "videos.csv"))
        begin, used = time.perf_counter(), time.process_time()
        processor.process_video(query)
        seconds, processors = time.perf_counter() - begin, time.process_time() - used
        print(f"{QUERY_FRAMES} frames, {options}: {seconds:.1f} s, {processors:.1f} s of the processors")


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="what datasets/make_montage.py made")
    parser.add_argument("--most", type=int, default=1, metavar="N", help="frames a person, in the last line of --data")
    parser.add_argument("--form", default="", metavar="TEXT", help="of --data: the forms with this in their names")
    parser.add_argument("--speed", action="store_true", help="measure the speeds")
    parser.add_argument("--search", action="store_true", help="of the speeds those of the index and its search alone")
    what = "of the index that --speed and --search make"
    parser.add_argument("--frames", type=int, default=60000, metavar="N", help=what)
    arguments = parser.parse_args()
    if arguments.data is None and not arguments.speed and not arguments.search:
        raise UserError("give --data FOLDER, --speed or --search, or several of them")
    if arguments.data is not None:
        compare(arguments.data, arguments.most, arguments.form)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.speed:
            time_video(Path(folder))
        if arguments.speed or arguments.search:
            time_search(time_index(arguments.frames, Path(folder) / "big.index"))


if __name__ == "__main__":
    run_command(main)
