"""What the One-Euro filter gives and costs: error, trembling and lag of smoothed points, by its two parameters.

    python benchmarks/point_smoothing.py

Procedural faces move as in ``lwface/synthetic/video.py``; their true 68 points get independent noise of 0.5 and of 1 %
of the face's size, as a predictor's have. Errors are root mean square, per coordinate, in % of the face's size;
trembling is that of the change of the error from frame to frame; the lag is that of a point that moves by so many face
sizes a second, in frames at 25 a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lwface.base.commands import HelpFormatter, run_command
from lwface.landmarks.cropping import box_of
from lwface.landmarks.one_euro import OneEuroFilter, ramp_lag
from lwface.synthetic.landmarks import landmark_points
from lwface.synthetic.person import person
from lwface.synthetic.render import Camera, Pose, posed_head
from lwface.synthetic.shot import FRAME_SIZE
from lwface.synthetic.video import shots

RATE, FRAMES, SEED = 25.0, 75, 3
SETTLED = 10  # frames that do not count: the filter starts
CUTOFFS, SLOPES, NOISES = (0.5, 1.0, 2.0, 4.0), (0.0, 5.0, 10.0, 20.0, 40.0), (0.5, 1.0)
SPEEDS = (0.1, 0.5)
Track = NDArray[np.float64]  # (T, 68, 2), in face sizes


def tracks(people: int) -> Iterator[Track]:
    """The true points of two videos of each person, over the mean size of the face."""
    for identity in range(people):
        who = person(SEED, identity)
        for index in range(2):
            points = []
            for shot in shots(SEED, identity, index, frames=FRAMES, fps=RATE):
                pose, head = Pose(shot), posed_head(who, shot)
                placed, _ = Camera(shot, FRAME_SIZE).project(pose(landmark_points(head, who.look, shot.lids)))
                points.append(placed)
            track = np.array(points, np.float64)
            boxes = box_of(track)
            yield track / np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)).mean()


def smoothed(seen: Track, smoothing: OneEuroFilter) -> Track:
    """What the filter makes of points, from its first frame."""
    smoothing.reset()
    return np.array([smoothing(number / RATE, points) for number, points in enumerate(seen)])


def error_and_trembling(found: list[Track], truth: list[Track]) -> tuple[float, float]:
    """Root mean squares over all tracks, in %."""
    errors = [(one - own)[SETTLED:] for one, own in zip(found, truth, strict=True)]
    squares = np.mean([(error**2).mean() for error in errors])
    changes = np.mean([(np.diff(error, axis=0) ** 2).mean() for error in errors])
    return 100 * float(np.sqrt(squares)), 100 * float(np.sqrt(changes))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--people", type=int, default=12, help="two videos of each")
    args = parser.parse_args()
    truth = list(tracks(args.people))
    generator = np.random.default_rng(0)
    seen = [[track + generator.normal(0, noise / 100, track.shape) for track in truth] for noise in NOISES]
    heads = [f"{what} at {noise:g} %" for noise in NOISES for what in ("error", "trembling")]
    print("| cutoff | slope | " + " | ".join([*heads, *(f"lag at {speed:g}" for speed in SPEEDS)]) + " |")
    print("|---" * (2 + len(heads) + len(SPEEDS)) + "|")
    raw = [figure for noisy in seen for figure in error_and_trembling(noisy, truth)]
    print("| none | | " + " | ".join(f"{figure:.2f}" for figure in raw) + " | 0" * len(SPEEDS) + " |")
    for cutoff in CUTOFFS:
        for slope in SLOPES:
            smoothing = OneEuroFilter(cutoff, slope)
            row = [
                figure
                for noisy in seen
                for figure in error_and_trembling([smoothed(track, smoothing) for track in noisy], truth)
            ]
            row += [RATE * ramp_lag(smoothing, RATE, speed) for speed in SPEEDS]
            print(f"| {cutoff:g} | {slope:g} | " + " | ".join(f"{figure:.2f}" for figure in row) + " |", flush=True)


if __name__ == "__main__":
    run_command(main)
