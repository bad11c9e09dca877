"""Embeddings as a page: a dot a sequence, where alike ones lie together, with its picture under the pointer.

The page is the reports': one file, no script, nothing fetched.
"""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.formats.image import encode_jpeg
from lwface.reporting.builder import Page, write_page
from lwface.reporting.markup import embed, escape, plural, row, table
from lwface.sequences.layout import TSNE, Plane

SIDE, QUALITY = 64, 80  # of the picture of a dot
LISTED = 60  # people in the table
SECTIONS = {"map": "Map", "people": "People", "reading": "Questions"}
STYLE = """<style>
.atlas{position:relative;width:100%;aspect-ratio:4/3;border:1px solid var(--line);border-radius:.6rem;
background:var(--box)}
.dot{position:absolute;width:.62rem;height:.62rem;margin:-.31rem;border-radius:50%;background:var(--dot);
box-shadow:0 0 0 1px var(--box)}
.dot .shown{display:none;position:absolute;top:.9rem;left:.9rem;width:max-content;padding:.3rem;border-radius:.4rem;
background:var(--back);color:var(--text);border:1px solid var(--line);font-size:.8rem;line-height:1.3}
.dot.right .shown{left:auto;right:.9rem}.dot.low .shown{top:auto;bottom:.9rem}
.dot .shown img{display:block;width:6rem;height:6rem;image-rendering:pixelated}
.dot:hover{z-index:9}.dot:hover .shown{display:block}
.key{display:inline-block;width:.8em;height:.8em;border-radius:50%;margin-right:.4em;background:var(--dot)}
@media print{.dot{print-color-adjust:exact}}
"""
READING = """<h2 id="reading">Questions</h2><dl class="questions">
<dt>What do distances say?</dt>
<dd>{layout}</dd>
<dt>Is it good when people lie apart?</dt>
<dd>It is what a good embedding looks like, and no proof of one: a map of what was learnt from always looks better than
one of new videos, and two dimensions hide much. Scores are in sequences/evaluate.py.</dd>
<dt>How do I see one person?</dt>
<dd>Point at one of their dots: the others fade.</dd>
</dl>"""
SAYS = {
    True: "Neighbours are alike. Distances between groups, and their sizes, say little: t-SNE keeps neighbours only.",
    False: "The two directions in which the embeddings differ most; what differs in others only lies on one spot.",
}


@dataclass(frozen=True, eq=False)
class Dots:
    """What is on the map.

    Attributes:
        places: (N, 2). ``names``: N folders. ``people``: N folders, empty where not told.
        pictures: N images (S, S, 3) uint8 RGB.
    """

    places: Plane
    names: Sequence[str]
    people: Sequence[str]
    pictures: Sequence[NDArray[np.uint8]]


def write_atlas(folder: Path, dots: Dots, *, subject: str, layout: str) -> Path:
    """Write ``report.html`` into ``folder``; returns its path.

    Args:
        subject: what the embeddings are of, as text.
        layout: of :data:`~lwface.sequences.layout.LAYOUTS`.
    """
    people = sorted(set(dots.people))
    colours = {person: colour(place) for place, person in enumerate(people)}
    ranks = {person: place for place, person in enumerate(people)}
    scaled = _inside(dots.places)
    marks = [
        _dot(place, name, person, picture, ranks[person])
        for place, name, person, picture in zip(scaled, dots.names, dots.people, dots.pictures, strict=True)
    ]
    rules = "".join(
        f".p{rank}{{--dot:{colours[person]}}}.atlas:has(.p{rank}:hover) .dot:not(.p{rank}){{opacity:.12}}"
        for person, rank in ranks.items()
    )
    main = (
        f'{STYLE}{rules}</style><h2 id="map">Map</h2>'
        f'<div class="atlas" role="img" aria-label="{escape(_words(dots, people))}">{"".join(marks)}</div>'
        f"{_people(dots, ranks)}"
    )
    lead = f'<section class="lead" id="summary" aria-label="In short"><p>{escape(_words(dots, people))}</p></section>'
    footer = READING.format(layout=SAYS[layout == TSNE])
    title = "Embeddings of sequences"
    return write_page(folder, Page(title, title, escape(subject), lead, main, footer, SECTIONS))


def colour(place: int) -> str:
    """Colours that differ, as many as are asked for, readable on light and dark."""
    red, green, blue = colorsys.hls_to_rgb((0.618034 * place) % 1, (0.42, 0.56)[place % 2], (0.7, 0.5)[place // 2 % 2])
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _words(dots: Dots, people: Sequence[str]) -> str:
    whose = f" of {plural(len(people), 'person').replace('persons', 'people')}" if people != [""] else ""
    return f"{plural(len(dots.names), 'dot')}{whose}: those that look alike lie together."


def _inside(places: Plane) -> Plane:
    """``places`` from 0.02 to 0.98 both ways, y upwards."""
    low, high = places.min(axis=0), places.max(axis=0)
    shares = (places - low) / np.maximum(high - low, 1e-12)
    return np.stack([0.02 + 0.96 * shares[:, 0], 0.98 - 0.96 * shares[:, 1]], axis=1)


def _dot(place: NDArray[np.float64], name: str, person: str, picture: NDArray[np.uint8], rank: int) -> str:
    x, y = (100 * place).tolist()
    sides = f"{' right' if x > 60 else ''}{' low' if y > 60 else ''}"
    if picture.shape[:2] != (SIDE, SIDE):
        picture = np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    source = embed(encode_jpeg(picture, QUALITY), "jpeg")
    told = escape(name.removeprefix(f"{person}/") if person else name)
    whose = f"{escape(person.rpartition('/')[2])}<br>" if person else ""
    return (
        f'<div class="dot p{rank}{sides}" style="left:{x:.2f}%;top:{y:.2f}%"><div class="shown">'
        f'<img src="{source}" alt="" width="{SIDE}" height="{SIDE}">{whose}{told}</div></div>'
    )


def _people(dots: Dots, ranks: dict[str, int]) -> str:
    """How many dots each person has."""
    if set(ranks) == {""}:
        return ""
    counts, headings = Counter(dots.people), ("person", "dots")
    rows = [
        row(headings, [f'<span class="key p{rank}"></span>{escape(person.rpartition("/")[2])}', f"{counts[person]:,}"])
        for person, rank in list(ranks.items())[:LISTED]
    ]
    more = f'<p class="soft">The first {LISTED} of {len(ranks):,}.</p>' if len(ranks) > LISTED else ""
    return f'<h2 id="people">People</h2>{table("people-table", "People", headings, rows, text=(0,))}{more}'
