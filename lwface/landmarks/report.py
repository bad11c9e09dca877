"""The report of an evaluation of points, one HTML page by the builder that all reports have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.image import encode_jpeg, read_rgb
from lwface.landmarks.cropping import box_of
from lwface.landmarks.drawing import FOUND, TRUE, draw_close
from lwface.landmarks.figures import LABELS, of_people, per_cent
from lwface.landmarks.point_errors import FAILURE, FoundPoints
from lwface.landmarks.point_sets import PointPicture
from lwface.reporting.builder import Page, picture, write_page
from lwface.reporting.markup import embed, escape, name, plural, row, table
from lwface.reporting.plots import new_axes
from lwface.reporting.provenance import Provenance, provenance_section
from lwface.reporting.themes import LIGHT

WORST = 24  # faces that are shown
FACE_SIZE = 192
SECTIONS = {
    "errors": "Errors",
    "curve": "Curve",
    "parts": "Regions and poses",
    "worst": "Worst faces",
    "made": "How this was made",
    "reading": "Questions",
}
READING = """<h2 id="reading">Questions</h2><dl class="questions">
<dt>Which of the three errors is meant elsewhere?</dt>
<dd>The landmark challenge divides by 384 pixels, the side of its pictures; papers on 300-W by the distance between the
outer corners of the eyes; papers on AFLW, and comparisons here, by the root of the area of the box around the true
points. Per cent of one say nothing about per cent of another.</dd>
<dt>How small can it get?</dt>
<dd>As small as the labels are consistent. Labels made by a machine or on small faces differ by half a per cent and more
from one frame to the next; see the jitter of the labels where there are videos.</dd>
<dt>Why are jaws worst?</dt>
<dd>Nothing marks where along the outline a point belongs, and data sets disagree on turned faces: projected points
stay on the head, hidden, while points marked by hand slide along the outline. A model can be fitted to another
convention with <code>landmarks/adapt.py</code>.</dd></dl>"""


def write_point_report(
    folder: PathLike,
    faces: FoundPoints,
    found: Mapping[str, Any],
    pictures: Sequence[PointPicture],
    made: Provenance | None = None,
) -> Path:
    """Write ``report.html`` and its plots into ``folder``; returns the path of the page.

    Args:
        found: of :func:`lwface.landmarks.evaluation.summary`.
        pictures: of the faces, in their order, for those that are shown.
    """
    target = Path(folder)
    by_box = faces.nme("box")
    main = [
        _errors(found),
        f'<h2 id="curve">Curve</h2><div class="plots">{_curve(target, by_box, found)}</div>',
        _parts(found),
        _worst(faces, by_box, pictures),
        provenance_section(made),
    ]
    return write_page(
        target,
        Page(
            title="Points on faces",
            heading="Points on faces",
            subject=f"{plural(found['faces'], 'face')}{of_people(found)}",
            lead=f'<section class="lead" id="summary" aria-label="In short"><p>{_sentence(found)}</p></section>',
            main="".join(main),
            footer=READING,
            sections=SECTIONS,
        ),
    )


def _sentence(found: Mapping[str, Any]) -> str:
    box, whose = found["nme"]["box"], "people" if of_people(found) else "pictures"
    spread = (
        f" ({100 * box['low']:.2f} to {100 * box['high']:.2f} with other {whose})" if box["low"] is not None else ""
    )
    worst = max(found["regions"], key=found["regions"].get)
    return (
        f"On average a point is <b>{100 * box['value']:.2f} %</b> of the face’s size away from its place{spread}; "
        f"<b>{per_cent(found['failures'])}</b> of the faces are off by more than {FAILURE:.0%}. "
        f"Least exact: the {escape(worst)}."
    )


def _errors(found: Mapping[str, Any]) -> str:
    headings = ("figure", "value", "95 % interval")
    rows = []
    for norm, figure in found["nme"].items():
        known = figure["low"] is not None
        spread = f"{per_cent(figure['low'])} to {per_cent(figure['high'])}" if known else "–"
        rows.append(row(headings, [escape(LABELS[norm]), per_cent(figure["value"]), spread], ("", "main")))
    for side, figure in found.get("sides", {}).items():
        rows.append(
            row(
                headings, [f"{escape(side)}, challenge (384)", per_cent(figure["nme"]), plural(figure["faces"], "face")]
            )
        )
    rows.append(row(headings, ["area under the curve to 8 %, box", f"{found['auc']:.4f}", "–"]))
    rows.append(row(headings, ["failures above 8 %, box", per_cent(found["failures"]), "–"]))
    if "jitter" in found:
        beside = f"points {per_cent(found['jitter']['found'])}, labels {per_cent(found['jitter']['true'])}"
        rows.append(row(headings, ["jitter of the error, box", per_cent(found["jitter"]["error"]), beside]))
    return f'<h2 id="errors">Errors</h2>{table("errors-table", "Errors", headings, rows)}'


def curve(nme: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cumulative distribution of ``nme`` (N,): errors up to the plot's end, and the share of faces from each on."""
    edges = np.concatenate(([0.0], np.sort(nme)))
    shares = np.arange(len(edges)) / len(nme)
    return np.append(edges, max(FAILURE, edges[-1])), np.append(shares, 1.0)


def _curve(folder: Path, nme: np.ndarray, found: Mapping[str, Any]) -> str:
    drawing: Figure
    drawing, axes = new_axes("NME by the box, %", "share of the faces below, %", 3.4)
    edges, shares = curve(nme)
    axes.step(100 * edges, 100 * shares, where="post", color=LIGHT.series[0], linewidth=1.7)
    axes.set_xlim(0, 100 * FAILURE)
    axes.set_ylim(0, 100)
    words = f"Cumulative error distribution: half of the faces are below {per_cent(float(np.median(nme)))}."
    caption = f"Higher is better. Area under it to 8 %: {found['auc']:.4f}."
    return picture(folder, "curve", drawing, words, caption)


def _parts(found: Mapping[str, Any]) -> str:
    regions = [row(("region", "NME, box"), [escape(key), per_cent(value)]) for key, value in found["regions"].items()]
    headings = ("yaw, degrees", "faces", "NME, box")
    poses = [
        row(headings, [escape(key), f"{part['faces']:,}", per_cent(part["nme"])]) for key, part in found["yaw"].items()
    ]
    return (
        '<h2 id="parts">Regions and poses</h2><p class="soft">The pose is estimated from the true points.</p>'
        f"{table('regions-table', 'Regions', ('region', 'NME, box'), regions)}"
        f"{table('poses-table', 'Poses', headings, poses)}"
    )


def _worst(faces: FoundPoints, nme: np.ndarray, pictures: Sequence[PointPicture]) -> str:
    figures = []
    for place in np.argsort(-nme)[:WORST]:
        shown = pictures[place]
        label = f"{name(shown.name, 30)}<br>{per_cent(float(nme[place]))}"
        try:
            image = read_rgb(shown.path)
        except (UserError, OSError):
            figures.append(f'<li class="pair"><span>{label}: cannot be read</span></li>')
            continue
        layers = [(faces.true[place], TRUE), (faces.found[place], FOUND)]
        drawn = encode_jpeg(draw_close(image, box_of(faces.true[place]), layers, FACE_SIZE))
        figures.append(
            f'<li class="pair"><img src="{embed(drawn, "jpeg")}" width="{FACE_SIZE}" height="{FACE_SIZE}" '
            f'alt="{escape(shown.name)} with both sets of points"><span>{label}</span></li>'
        )
    return (
        '<h2 id="worst">Worst faces</h2><p class="soft">Green: found. Red: true. The largest errors by the box come '
        f'first.</p><ul class="pairs">{"".join(figures)}</ul>'
    )
