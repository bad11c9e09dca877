"""The tables of the report, each from the evaluations to HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lwface.base.errors import UserError
from lwface.reporting.glossary import terms
from lwface.reporting.markup import (
    MOST_ORDERS,
    Order,
    clean,
    digits,
    embed,
    escape,
    far_text,
    group_row,
    interval_text,
    minus,
    name,
    one_in,
    order_by,
    row,
    sortable,
    sorted_by,
    squared_distance,
    table,
    with_interval,
)
from lwface.reporting.row_images import RowImages
from lwface.reporting.style import key
from lwface.scoring.intervals import Difference, Interval
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.tar_far_result import Breakdown, ErrorRate, ErrorRates, Group, HardPair, TarFarResult


class Published(NamedTuple):
    """A result of the challenge, by its test server."""

    network: str
    image: str  # TAR at FAR 1e-8 over 1 862 120 images
    video: str  # TAR at FAR 1e-4 over 203 848 videos
    source: str


ORGANISERS = "the challenge’s page (insightface, challenges/iccv19-lfr)"
SUMMARY = "Deng et al. 2019, Lightweight Face Recognition Challenge, ICCV Workshops"
TROJANS = "Liu et al. 2019, Towards Flops-constrained Face Recognition, arXiv 1909.00632"
PUBLISHED = (
    Published("y2, baseline (light)", "0.64691", "0.47191", ORGANISERS),
    Published("r100fc, baseline (large)", "0.80312", "0.64894", ORGANISERS),
    Published("VarGFaceNet, first (light)", "0.8878", "", "Yan et al. 2019, VarGFaceNet, arXiv 1910.04985"),
    Published("AirFace, second (light)", "0.884", "", "Li et al. 2019, AirFace, arXiv 1907.12256"),
    Published("Efficient PolyFace, best published (large)", "0.942", "", TROJANS),
    Published("first of the light video track", "", "0.6323", SUMMARY),
    Published("PolyFace with QAN++, best published (large)", "", "0.72981", TROJANS),
)

HEADLINE = ("TAR", "threshold", "achieved FAR", "false accepts", "true accepts")
HEADLINE_CLASSES = ("", "main")
DEPLOY = ("FAR", "cosine, at least", "squared L2 distance, at most", "FRR", "impostors accepted")
SINGLE = ("rate", "threshold", "counted from")
SINGLE_NAMES = {"equal": "equal error rate", "accuracy": "best accuracy"}
DIFFERENCES = ("compared", "TAR difference", "better")


def model_name(evaluation: TarFarResult, index: int) -> str:
    """The evaluation's name as HTML, with the key of its curve."""
    return key(index) + name(evaluation.name)


def headline(evaluations: Sequence[TarFarResult]) -> str:
    """TAR, threshold and counts at each FAR; of several evaluations, under a row for each FAR."""
    headings = ("model" if len(evaluations) > 1 else "FAR", *HEADLINE)
    rows = []
    if len(evaluations) == 1:
        rows = [
            row(headings, [far_text(point.far), *_figures(point)], HEADLINE_CLASSES) for point in evaluations[0].points
        ]
    else:
        for far in dict.fromkeys(point.far for evaluation in evaluations for point in evaluation.points):
            rows.append(group_row(headings, f"FAR {far_text(far)}"))
            for index, evaluation in enumerate(evaluations):
                found = [_figures(point) for point in evaluation.points if point.far == far]
                label = model_name(evaluation, index)
                rows += [row(headings, [label, *figures], HEADLINE_CLASSES) for figures in found]
    return table("operating-points", "TAR at each FAR", headings, rows)


def _figures(point: OperatingPoint) -> list[str]:
    if point.tar is None or point.threshold is None or point.achieved_far is None:
        reason = re.sub(r"\d{4,}", lambda number: f"{int(number[0]):,}", point.reason or "")
        return [f"not resolvable: {escape(reason)}"]
    return [
        with_interval(point.tar, point.interval),
        minus(f"{point.threshold:.6f}"),
        far_text(point.achieved_far),
        f"{point.false_accepts:,}",
        f"{point.true_accepts:,}",
    ]


def single_figures(evaluations: Sequence[TarFarResult]) -> str:
    """Equal error rate and best accuracy; of several evaluations, under a row for each. "" where there are none."""
    several = len(evaluations) > 1
    headings = ("model" if several else "figure", *SINGLE)
    rows = []
    for number, what in enumerate(ErrorRates._fields):
        found = [
            (model_name(evaluation, index) if several else SINGLE_NAMES[what], evaluation.error_rates[number])
            for index, evaluation in enumerate(evaluations)
            if evaluation.error_rates is not None
        ]
        if found and several:
            rows.append(group_row(headings, SINGLE_NAMES[what]))
        rows += [row(headings, [label, *_single(figure)], ("", "main")) for label, figure in found]
    if not rows:
        return ""
    return (
        f'<h2 id="single-figures">One figure for the whole curve</h2>{terms(*SINGLE_NAMES.values())}'
        f"{table('error-rates', 'Equal error rate and best accuracy', headings, rows)}"
    )


def _single(figure: ErrorRate) -> list[str]:
    counted = "all pairs" if figure.exact else "a sample"
    return [with_interval(figure.rate, figure.interval), minus(f"{figure.threshold:.6f}"), counted]


def differences_section(differences: Sequence[Difference], evaluations: Sequence[TarFarResult]) -> str:
    """Which of two is better at each FAR, as far as the people at hand can tell; "" without differences."""
    if not differences:
        return ""
    keys = {evaluation.name: key(index) for index, evaluation in reversed(list(enumerate(evaluations)))}
    rows = []
    for far in dict.fromkeys(difference.far for difference in differences):
        rows.append(group_row(DIFFERENCES, f"FAR {far_text(far)}"))
        rows += [_difference_row(difference, keys) for difference in differences if difference.far == far]
    return (
        '<h2 id="differences">Differences</h2><p class="soft">On the same pairs. Where the interval holds 0, the '
        "people at hand do not show which of the two is better.</p>"
        + terms("TAR", "95 % interval")
        + table("difference-table", "Differences of TAR", DIFFERENCES, rows, text=(2,))
    )


def _difference_row(difference: Difference, keys: Mapping[str, str]) -> str:
    first, second = (keys.get(side, "") + name(side, 28) for side in (difference.first, difference.second))
    compared = f"{second}<small>minus {name(difference.first, 28)}</small>"
    if difference.difference is None:
        return row(DIFFERENCES, [compared, "not resolvable"])
    verdict = "not shown" if difference.interval else "not known: no interval"
    if difference.better is not None:
        verdict = second if difference.better == difference.second else first
    return row(
        DIFFERENCES, [compared, _signed(difference.difference, difference.interval), verdict], ("", "main", "text")
    )


def _signed(difference: float, interval: Interval | None) -> str:
    text = minus(f"{difference:+.5f}")
    return text + ("" if interval is None else f"<small>{interval_text(interval, signed=True)}</small>")


def published() -> str:
    """The challenge's own results, apart."""
    headings = ("network", "images", "videos")
    rows = [
        row(headings, (f"{escape(entry.network)}<small>{escape(entry.source)}</small>", entry.image, entry.video))
        for entry in PUBLISHED
    ]
    return (
        '<details class="apart"><summary><h2 id="published">What the challenge’s server measured</h2></summary>'
        "<p>TAR at FAR 1e-8 on 1,862,120 images and at FAR 1e-4 on 203,848 videos, whose labels were never published. "
        "These figures tell what networks reached there; those of a local set <b>cannot be compared</b> with them.</p>"
        f"{table('published-results', 'Published TAR', headings, rows)}</details>"
    )


def thresholds_section(evaluation: TarFarResult, suffix: str) -> str:
    """What to set in a deployment, and what to expect from it; "" when no FAR is resolvable."""
    rows = []
    for point in evaluation.points:
        if point.threshold is None or point.tar is None or point.achieved_far is None:
            continue
        refused = None if point.interval is None else Interval(1 - point.interval.high, 1 - point.interval.low)
        cells = [
            far_text(point.far),
            digits(point.threshold),
            digits(squared_distance(point.threshold)),
            with_interval(1 - point.tar, refused),
            one_in(point.achieved_far),
        ]
        rows.append(row(DEPLOY, cells))
    if not rows:
        return ""
    return (
        f'<h2 id="thresholds{suffix}">Thresholds to deploy</h2><p class="soft">Accept a pair whose cosine is at least, '
        "or whose squared L2 distance of normalised features (2 − 2 cosine) is at most, the number given. Expect these "
        "rates with people and cameras like those of this set; elsewhere, measure again.</p>"
        + terms("threshold", "squared L2 distance", "FRR")
        + table(f"deploy{suffix}", "Thresholds to deploy", DEPLOY, rows)
    )


def breakdown_table(breakdown: Breakdown, points: Sequence[OperatingPoint], identifier: str) -> str:
    """TAR and achieved FAR of each value at the thresholds of the whole, and the gap between the values."""
    positions = [index for index, point in enumerate(points) if point.tar is not None]
    plain = ["rows", "people", "genuine pairs", "impostor pairs"]
    fars = [far_text(points[index].far) for index in positions]
    headings = [breakdown.column, *(f"{kind} at {far}" for far in fars for kind in ("TAR", "achieved FAR")), *plain]
    top = "".join(f'<th scope="colgroup" class="group" colspan="2">FAR {far}</th>' for far in fars)
    rows = [row(headings, _group_cells(group, positions)) for group in breakdown.groups]
    gaps = [breakdown.gaps[index] if index < len(breakdown.gaps) else (None, None) for index in positions]
    cells = [cell for gap, interval in gaps for cell in ("–" if gap is None else with_interval(gap, interval), "")]
    foot = row(headings, ["largest gap", *cells, "", "", "", ""])

    def content(order: Order) -> str:
        below = "".join(
            f'<th scope="col"{sorted_by(order, 1 + number)}>{kind}</th>'
            for number, kind in enumerate(["TAR", "achieved FAR"] * len(fars))
        )
        first = f'<th scope="col" rowspan="2"{sorted_by(order, 0)}>{name(breakdown.column, 24)}</th>'
        spans = "".join(
            f'<th scope="col" rowspan="2"{sorted_by(order, 1 + 2 * len(fars) + number)}>{text}</th>'
            for number, text in enumerate(plain)
        )
        body = "".join(rows[place] for place in order.places)
        return f"<thead><tr>{first}{top}{spans}</tr><tr>{below}</tr></thead><tbody>{body}</tbody><tfoot>{foot}</tfoot>"

    label = f"TAR by {clean(breakdown.column)}"
    return sortable(identifier, label, _breakdown_orders(breakdown, positions, fars), content)


def _breakdown_orders(breakdown: Breakdown, positions: Sequence[int], fars: Sequence[str]) -> list[Order]:
    """By value as they come; by what is worst at each FAR; and by size."""
    groups = breakdown.groups
    orders = [Order("value", 0, range(len(groups)))]
    for number, (position, far) in enumerate(zip(positions, fars, strict=True)):
        tars = [group.points[position].tar for group in groups]
        achieved = [group.points[position].achieved_far for group in groups]
        orders.append(order_by(f"lowest TAR at {far}", 1 + 2 * number, tars))
        orders.append(order_by(f"highest FAR at {far}", 2 + 2 * number, achieved, descending=True))
    rows = order_by("most rows", 1 + 2 * len(fars), [group.rows for group in groups], descending=True)
    return [*orders[: MOST_ORDERS - 1], rows]


def _group_cells(group: Group, positions: Sequence[int]) -> list[str]:
    cells = [name(group.value, 28)]
    for index in positions:
        point = group.points[index]
        cells.append("–" if point.tar is None else with_interval(point.tar, point.interval))
        cells.append("–" if point.achieved_far is None else far_text(point.achieved_far))
    counts = (group.rows, group.people, group.genuine_pairs, group.impostor_pairs)
    return [*cells, *(f"{count:,}" for count in counts)]


def hardest_section(evaluation: TarFarResult, faces: RowImages | None, suffix: str) -> str:
    """The pairs that are hardest to tell, with their faces; "" without any. Those of doubtful label are flagged."""
    found = evaluation.suspects
    flagged = set() if found is None else {pair[:2] for pair in (*found.impostors, *found.genuine)}
    parts = []
    for pairs, identifier, title in (
        (evaluation.hardest_impostors, "hardest-impostors", "Impostors: different people, highest scores"),
        (evaluation.hardest_genuine, "hardest-genuine", "Genuine: one person, lowest scores"),
    ):
        if pairs:
            shown = "".join(_pair(pair, pair[:2] in flagged, faces) for pair in pairs)
            parts.append(f'<h3>{title}</h3><ul class="pairs" id="{identifier}{suffix}">{shown}</ul>')
    words = terms("score", "genuine pair", "impostor pair")
    return "".join([f'<h2 id="hardest{suffix}">Hardest pairs</h2>{words}', *parts]) if parts else ""


def _pair(pair: HardPair, doubtful: bool, faces: RowImages | None) -> str:
    flag = ' <i class="flag">label?</i>' if doubtful else ""
    images = names = ""
    if faces is not None:
        images = f'<div class="faces">{"".join(_image(faces, index) for index in pair[:2])}</div>'
        names = "".join(f"<span>{name(faces.name(index), 20)}</span>" for index in pair[:2])
    score = f"<b>{minus(f'{pair.score:.6f}')}</b>{flag}<span>rows {pair.left} and {pair.right}</span>"
    return f'<li class="pair">{images}{score}{names}</li>'


def _image(faces: RowImages, index: int) -> str:
    """The face of a row; a box that says so when it cannot be read: one broken file costs no report."""
    title = escape(faces.name(index))
    try:
        data = faces.jpeg(index)
    except (UserError, OSError) as error:
        return f'<div class="none" title="{escape(str(error))}">no image of row {index}</div>'
    return f'<img src="{embed(data, "jpeg")}" alt="row {index}" title="{title}" width="112" height="112">'
