"""Scores of a submission to the keypoint challenge; their intervals respect that an image's coordinates go together.

RMSE is the square root of the mean of the squared errors of all coordinates that are known, in pixels: the challenge's
ranking. Beside it the mean smooth L1 loss, which the seed's author trained with: ``e**2 / 2`` up to a pixel and
``|e| - 1/2`` beyond (Huber 1964 with a bound of 1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.keypoint_lookup import Lookup
from lwface.formats.keypoint_tables import FEATURES, POINTS, identifier, table
from lwface.formats.person_names import composed

LEVEL = 95  # percent, of the intervals
REPLICATES_AT_ONCE = 64


def read_people(path: PathLike) -> dict[int, str]:
    """Who is on each image, of a table ``ImageId,Person``; :class:`UserError` where an ImageId is there twice."""
    people: dict[int, str] = {}
    for line, places, fields in table(path, ("ImageId", "Person")):
        image = identifier(path, line, "ImageId", fields[places["ImageId"]])
        if image in people:
            raise UserError(f"{path}, line {line}, column ImageId: {image} is there twice")
        people[image] = composed(fields[places["Person"]].strip())
    return people


def score(
    truth: Lookup,
    locations: NDArray[np.float64],
    *,
    people: dict[int, str] | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """What a submission is worth.

    Args:
        truth: coordinates whose location is NaN do not count.
        locations: (R,) of the submission, in the order of ``truth``.
        people: who is on each image; then the intervals are over people, of whom several images may be.
        replicates: of the bootstrap over images or people; 0: no intervals.
        seed: of what is drawn.

    Returns:
        ``rmse`` and ``smooth_l1`` in pixels, their ``..._interval`` (percentiles of the bootstrap, 95 %), ``points``
        with the RMSE of each and how many of its coordinates are known, and counts.

    Raises:
        UserError: nothing is known, or an image has no person.
    """
    known = ~np.isnan(truth.locations)
    if not known.any():
        raise UserError("the truth knows no location: is it the lookup table, and not the truth?")
    errors = locations[known] - truth.locations[known]
    squares = errors**2
    sizes = np.abs(errors)
    losses = np.where(sizes < 1, squares / 2, sizes - 0.5)
    groups, group = _groups(truth.images[known], people)
    sums = _sums(group, squares, losses, np.ones_like(squares))
    figures: dict[str, Any] = _figures(sums.sum(axis=0))
    if replicates:
        for name, values in _figures(_bootstrap(sums, replicates, seed).T).items():
            figures[f"{name}_interval"] = _interval(values)
    point = truth.features[known] // 2
    per_point = np.bincount(point, squares, len(POINTS)), np.bincount(point, minlength=len(POINTS))
    figures["points"] = {
        name: {"rmse": float(np.sqrt(total / count)), "known": int(count)}
        for name, total, count in zip(POINTS, *per_point, strict=True)
        if count
    }
    worst = int(sizes.argmax())
    worst_row = np.flatnonzero(known)[worst]
    figures["worst"] = {
        "image": int(truth.images[worst_row]),
        "feature": FEATURES[truth.features[worst_row]],
        "error": float(errors[worst]),
    }
    return {
        **figures,
        "known": int(known.sum()),
        "unknown": int((~known).sum()),
        "images": len(np.unique(truth.images[known])),
        **({"people": len(groups)} if people is not None else {}),
    }


def difference(
    truth: Lookup,
    locations: NDArray[np.float64],
    others: NDArray[np.float64],
    *,
    people: dict[int, str] | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """How much higher the RMSE of ``locations`` is than that of ``others``, both (R,), on the same images.

    The bootstrap draws the same images or people for both: a difference can be sure where the two intervals overlap.

    Args and errors are those of :func:`score`.

    Returns:
        ``rmse_difference`` and, with replicates, ``rmse_difference_interval``.
    """
    known = ~np.isnan(truth.locations)
    _, group = _groups(truth.images[known], people)
    squares = ((both[known] - truth.locations[known]) ** 2 for both in (locations, others))
    sums = _sums(group, *squares, np.ones(len(group)))

    def of(first: Any, second: Any, counts: Any) -> Any:
        return np.sqrt(first / counts) - np.sqrt(second / counts)

    found: dict[str, Any] = {"rmse_difference": float(of(*sums.sum(axis=0)))}
    if replicates:
        found["rmse_difference_interval"] = _interval(of(*_bootstrap(sums, replicates, seed).T))
    return found


def _sums(group: NDArray[np.int64], *values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(groups, len(values)): of each, the sum over the coordinates of a group."""
    return np.stack([np.bincount(group, each).astype(np.float64) for each in values], axis=1)


def _interval(values: NDArray[np.float64]) -> list[float]:
    """The percentiles between which ``LEVEL`` percent of the values lie."""
    return [float(end) for end in np.percentile(values, (50 - LEVEL / 2, 50 + LEVEL / 2))]


def _figures(sums: NDArray[np.float64]) -> dict[str, Any]:
    """RMSE and smooth L1 of sums of squares, losses and counts, each a number or an array."""
    squares, losses, counts = sums
    return {"rmse": np.sqrt(squares / counts)[()], "smooth_l1": (losses / counts)[()]}


def _groups(images: NDArray[np.int64], people: dict[int, str] | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """What is drawn together, and to which of them each coordinate belongs."""
    if people is None:
        return np.unique(images, return_inverse=True)
    for image in images:
        if int(image) not in people:
            raise UserError(f"image {image} has no person in the table of people")
    return np.unique([people[int(image)] for image in images], return_inverse=True)


def _bootstrap(sums: NDArray[np.float64], replicates: int, seed: int) -> NDArray[np.float64]:
    """(replicates, sums): the sums over as many groups as there are, drawn with replacement (Efron 1979)."""
    random, count = np.random.default_rng(seed), len(sums)
    found = []
    for start in range(0, replicates, REPLICATES_AT_ONCE):
        size = min(REPLICATES_AT_ONCE, replicates - start)
        times = random.multinomial(count, np.full(count, 1 / count), size=size)  # how often each group is drawn
        found.append(times @ sums)
    return np.concatenate(found)


def report(submission: Path, figures: dict[str, Any]) -> str:
    """The figures for people."""
    over = "people" if "people" in figures else "images"

    def row(name: str, value: float, key: str = "") -> str:
        interval = figures.get(f"{key}_interval")
        told = f"   {LEVEL} % over {over}: {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
        return f"  {name:26}{value:9.4f}{told}"

    known = f"{figures['known']} known coordinates of {figures['images']} images"
    people = f", {figures['people']} people" if "people" in figures else ""
    unknown = f"; {figures['unknown']} are not known" if figures["unknown"] else ""
    worst = figures["worst"]
    compared = []
    if "rmse_difference" in figures:
        interval = figures.get("rmse_difference_interval")
        told = f"   {LEVEL} % over {over}: {interval[0]:+.4f} to {interval[1]:+.4f}" if interval else ""
        compared = [f"  {'RMSE, minus the other':26}{figures['rmse_difference']:+9.4f}{told}"]
    lines = [
        f"{submission}: {known}{people}{unknown}",
        row("RMSE", figures["rmse"], "rmse"),
        *compared,
        row("smooth L1", figures["smooth_l1"], "smooth_l1"),
        "RMSE of each point",
        *(row(name, found["rmse"]) for name, found in figures["points"].items()),
        f"worst: {worst['feature']} of image {worst['image']}, off by {worst['error']:+.1f}",
    ]
    return "\n".join(lines)
