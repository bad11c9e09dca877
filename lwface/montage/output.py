"""What is written of a montage: videos, a contact sheet and a plot of the costs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lwface.base.files import PathLike, replacing, sync_folder
from lwface.base.progress import progress
from lwface.formats.image import encode_jpeg
from lwface.formats.montage_video import FaceVideo
from lwface.formats.video import TimedFrame, video_writer
from lwface.landmarks.drawing import FOUND, draw_points, draw_text
from lwface.montage.costs import KINDS, FrameCosts
from lwface.montage.index import FrameIndex
from lwface.montage.processor import ProcessorResult

RATE = 25  # frames a second of an .npz, which says none: the published program's
SHEET_FRAMES, SHEET_COLUMNS, SHEET_SIDE = 24, 6, 150
_LEAST_HEIGHT = 240  # pixels, so that the words can be read


def beside(output: Path) -> dict[str, Path]:
    """The files that go with the video ``output``."""
    names = {"alone": "alone.mp4", "sheet": "sheet.jpg", "plot": "costs.png", "record": "json"}
    return {what: output.with_suffix(f".{ending}") for what, ending in names.items()}


@contextlib.contextmanager
def replacing_all(output: Path) -> Iterator[Path]:
    """Where to write ``output`` and what is :func:`beside` it: they get their names together, when the block ends well.

    So the record is never that of another video.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.stem}.", dir=output.parent) as folder:
        part = Path(folder) / output.name
        yield part
        for path, target in zip((part, *beside(part).values()), (output, *beside(output).values()), strict=True):
            os.replace(path, target)
    sync_folder(output.parent)


def write_videos(
    output: Path,
    video: FaceVideo,
    results: list[ProcessorResult | None],
    costs: list[FrameCosts],
    times: NDArray[np.floating] | None = None,
) -> None:
    """The query beside its montage, with landmarks and costs, and the montage alone.

    A frame that is not there keeps the one before on screen, and says so.
    """
    scale = max(1, -(-_LEAST_HEIGHT // video.size[0]))
    height, width = scale * video.size[0], scale * video.size[1]
    shown = np.zeros((*video.size, 3), np.uint8)
    priced = iter(costs)
    stamps = np.arange(video.count) / RATE if times is None else times
    even = times is None or len(times) < 2
    rate = Fraction(RATE if even else (video.count - 1) / float(stamps[-1])).limit_denominator(1000)
    with (
        video_writer(output, (height, 2 * width), rate) as both,
        video_writer(beside(output)["alone"], video.size, rate) as alone,
    ):
        for number in progress(range(video.count), label="video", unit="frame"):
            result, frame = results[number], _enlarged(video.frame(number), scale)
            shown = shown if result is None else result.frame
            answer, text = _enlarged(shown, scale), f"{number}: no frame"
            if video.with_face[number]:
                frame = draw_points(frame, scale * video.points[number])
                honest = next(priced).honest
                text = f"{number}: {honest.image:.3f} + {honest.points:.3f}" if result is not None else text
            if result is not None:
                answer = draw_points(answer, scale * np.asarray(result.landmarks, np.float64), FOUND)
            pair = np.concatenate([frame, answer], axis=1)
            draw_text(pair, text)
            both.write(TimedFrame(float(stamps[number]), pair))
            alone.write(TimedFrame(float(stamps[number]), shown))


def _enlarged(image: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    return image if scale == 1 else np.asarray(cv2.resize(image, None, fx=scale, fy=scale), np.uint8)


def write_contact_sheet(
    path: PathLike, video: FaceVideo, results: list[ProcessorResult | None], index: FrameIndex
) -> None:
    """Up to 24 frames, evenly spread: the query's above, the montage's below, and whose frame that is; a JPEG."""
    chosen = sorted(set(np.linspace(0, video.count - 1, min(video.count, SHEET_FRAMES)).round().astype(int).tolist()))
    columns, line, gap = min(SHEET_COLUMNS, len(chosen)), 14, 6
    height = SHEET_SIDE * video.size[0] // video.size[1]
    cell_height, cell_width = 2 * height + line + gap, SHEET_SIDE + gap
    sheet = np.full((-(-len(chosen) // columns) * cell_height + gap, columns * cell_width + gap, 3), 255, np.uint8)
    for place, number in enumerate(chosen):
        top, left = place // columns * cell_height + gap, place % columns * cell_width + gap
        result, text = results[number], f"{number}: no frame"
        pair = [video.frame(number), np.zeros_like(video.frame(number))]
        if result is not None:
            source, at = index.frame(int(result.frame_idx))
            pair[1], text = result.frame, f"{number}: {source.name} {at}"
        for row, image in enumerate(pair):
            small = cv2.resize(image, (SHEET_SIDE, height), interpolation=cv2.INTER_AREA)
            sheet[top + row * height : top + (row + 1) * height, left : left + SHEET_SIDE] = small
        shown = text.encode("ascii", "replace").decode()[:24]
        where = (left, top + 2 * height + line - 3)
        cv2.putText(sheet, shown, where, cv2.FONT_HERSHEY_SIMPLEX, 0.33, (0, 0, 0), 1, cv2.LINE_AA)
    with replacing(path) as file:
        file.write(encode_jpeg(sheet))


def write_cost_plot(path: PathLike, costs: list[FrameCosts]) -> None:
    """What each frame costs by each definition, pictures and landmarks apart; a PNG."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    for number, part in enumerate(("pictures", "landmarks")):
        axes = figure.add_subplot(2, 1, number + 1)
        for kind, name in enumerate(KINDS):
            axes.plot(
                [frame[kind][number] for frame in costs], label=name, linewidth=1, linestyle=("-", "--", ":")[kind]
            )
        axes.set_ylabel(f"cost of {part}")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    axes.set_xlabel("frame with a face")
    figure.axes[0].legend()
    with replacing(path) as file:
        FigureCanvasAgg(figure).print_png(file)
