"""The report of one or several evaluations: one HTML file that needs nothing else, and its plots beside it.

The page has no script and refers to nothing outside itself; a policy in its head forbids the browser to fetch anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from lwface.base.files import PathLike, replacing, write_text
from lwface.reporting.markup import embed, escape, far_text, name, rate_text
from lwface.reporting.plots import breakdown_figure, dark_svg, det_figure, histogram_figure, png, roc_figure, svg
from lwface.reporting.row_images import RowImages
from lwface.reporting.sections import (
    breakdown_table,
    differences_section,
    hardest_section,
    headline,
    model_name,
    published,
    thresholds_section,
)
from lwface.reporting.style import style_sheet
from lwface.reporting.suspects import IGNORE_FILE, ignore_lines, suspects_section
from lwface.scoring.intervals import Difference
from lwface.scoring.tar_far_result import CAVEAT, Breakdown, TarFarResult

CHART_GROUPS = 40  # values of a column that are drawn; all of them are in the table
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title><style>{style}</style></head><body>
<header><h1>Face verification: TAR at FAR</h1><p class="soft">{subject}</p><p class="caveat">{caveat}</p>
<nav aria-label="Contents"><ul>{contents}</ul></nav></header>
<main>{main}</main>
<footer class="soft"><h2 id="reading">How to read this</h2>{reading}</footer>
</body></html>
"""

READING = """<ul>
<li><b>Score</b>: the cosine of two features. <b>Accepted</b>: the score is at least the threshold.</li>
<li><b>FAR</b>: share of the impostor pairs (two people) that are accepted. <b>TAR</b>: share of the genuine pairs (one
person) that are accepted. <b>FRR</b> is 1 − TAR.</li>
<li><b>Threshold</b>: the smallest at which the impostor pairs accepted are at most FAR times all of them, so the
achieved FAR is never above the one asked for. The counts and thresholds in the tables are exact.</li>
<li><b>Not resolvable</b>: the FAR is less than one impostor pair of this set.</li>
<li><b>Intervals</b> are of 95 % and respect that pairs share people: they tell how the figure would move with other
people from the same source, not with another source.</li></ul>"""


def write_report(
    folder: PathLike,
    evaluations: Sequence[TarFarResult],
    differences: Sequence[Difference] = (),
    faces: RowImages | None = None,
) -> Path:
    """Write ``report.html``, its plots as PNG and SVG, and ``ignore-pairs.txt`` into ``folder``.

    Args:
        folder: made when missing.
        evaluations: one, or several to compare; at least one.
        differences: of pairs of them.
        faces: the images of the rows, when there are any; the rows of all evaluations are the same then.

    Returns:
        The path of ``report.html``, which is written last.
    """
    target = Path(folder)
    several = len(evaluations) > 1
    curves = _curves(target, evaluations)
    models = [
        _model(target, evaluation, index if several else None, faces) for index, evaluation in enumerate(evaluations)
    ]
    if several:
        models = [
            f'<details class="model" id="model-{index + 1}"><summary><h2>{model_name(evaluation, index)}</h2>'
            f"</summary>{model}</details>"
            for index, (evaluation, model) in enumerate(zip(evaluations, models, strict=True))
        ]
    main = [
        '<h2 id="headline">TAR at each FAR</h2>',
        headline(evaluations),
        "" if several else _figures(evaluations[0]),
        differences_section(differences, evaluations),
        published(),
        curves,
        '<h2 id="models">Each model</h2>' if several else "",
        *models,
    ]
    if any(evaluation.suspects is not None for evaluation in evaluations):
        write_text(target / IGNORE_FILE, ignore_lines(evaluations, faces))
    body = "".join(main)
    page = PAGE.format(
        policy=POLICY,
        title=f"TAR at FAR: {escape(', '.join(evaluation.name for evaluation in evaluations))}",
        style=style_sheet(),
        subject=_subject(evaluations),
        caveat=escape(CAVEAT),
        contents=_contents(body),
        main=body,
        reading=READING,
    )
    write_text(target / "report.html", page)
    return target / "report.html"


def _subject(evaluations: Sequence[TarFarResult]) -> str:
    names = ", ".join(f"<b>{name(evaluation.name)}</b>" for evaluation in evaluations)
    protocols = list(dict.fromkeys(evaluation.protocol for evaluation in evaluations))
    return f"{names} · {escape('; '.join(protocols))}"


def _contents(body: str) -> str:
    """Links to the sections that the page has."""
    sections = {
        "headline": "TAR",
        "differences": "Differences",
        "published": "Published results",
        "curves": "Curves",
        "models": "Each model",
        "thresholds": "Thresholds",
        "breakdowns": "Breakdown",
        "hardest": "Hardest pairs",
        "label-errors": "Label errors",
    }
    links = [f'<li><a href="#{key}">{text}</a></li>' for key, text in sections.items() if f'id="{key}"' in body]
    return "".join([*links, '<li><a href="#reading">How to read this</a></li>'])


def _curves(folder: Path, evaluations: Sequence[TarFarResult]) -> str:
    """ROC and DET of all evaluations; "" when there is nothing to draw."""
    solved = [point for evaluation in evaluations for point in evaluation.points if point.tar is not None]
    if not solved and all(evaluation.roc is None for evaluation in evaluations):
        return ""
    figures = "; ".join(_rates_in_words(evaluation) for evaluation in evaluations)
    roc = _picture(
        folder,
        "roc",
        roc_figure(evaluations),
        f"ROC curves. TAR {figures}.",
        "ROC: true accepts over false accepts. Higher is better.",
    )
    det = _picture(
        folder,
        "det",
        det_figure(evaluations),
        f"DET curves, FRR over FAR on logarithmic axes. TAR {figures}.",
        "DET: false rejects over false accepts, both axes logarithmic as in NIST’s face recognition evaluations. "
        "Lower is better.",
    )
    sampled = any(evaluation.roc is not None and not evaluation.roc.exact.all() for evaluation in evaluations)
    note = (
        "Solid lines are counted from all pairs, dashed ones from a sample of the impostor pairs."
        if sampled
        else "The lines are counted from all pairs."
    )
    return (
        f'<h2 id="curves">Curves</h2><p class="soft">{note} Large markers are the operating points of the table. The '
        f'left end is one impostor pair.</p><div class="plots">{roc}{det}</div>'
    )


def _model(folder: Path, evaluation: TarFarResult, index: int | None, faces: RowImages | None) -> str:
    """What is known of one evaluation; ``index`` among several, None when it is the only one."""
    suffix = "" if index is None else f"-{index + 1}"
    parts = [
        "" if index is None else _figures(evaluation),
        thresholds_section(evaluation, suffix),
        _scores(folder, evaluation, suffix),
        _breakdowns(folder, evaluation, suffix),
        hardest_section(evaluation, faces, suffix),
        suspects_section(evaluation, faces, suffix),
    ]
    return "".join(parts)


def _figures(evaluation: TarFarResult) -> str:
    figures = {
        "rows": f"{evaluation.rows:,}",
        "feature width": f"{evaluation.dim:,}",
        "genuine pairs": f"{evaluation.genuine_pairs:,}",
        "impostor pairs": f"{evaluation.impostor_pairs:,}",
        "pairs compared": name(evaluation.protocol, 80),
    }
    items = "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in figures.items())
    return f'<dl class="figures">{items}</dl>'


def _scores(folder: Path, evaluation: TarFarResult, suffix: str) -> str:
    drawn = [histogram for histogram in (evaluation.genuine, evaluation.impostors) if histogram is not None]
    if not any(histogram.counts.any() for histogram in drawn):
        return ""
    sampled = any(histogram.sampled for histogram in drawn)
    source = "Dashed: from a sample of the pairs. " if sampled else "Of all pairs. "
    picture = _picture(
        folder,
        f"histogram{suffix}",
        histogram_figure(evaluation),
        f"Histograms of the scores of genuine and impostor pairs with the thresholds; {_rates_in_words(evaluation)}.",
        f"{source}Logarithmic, so that the few pairs that decide are seen. Vertical lines: the threshold of each FAR.",
    )
    return f'<h2 id="scores{suffix}">Scores</h2>{picture}'


def _breakdowns(folder: Path, evaluation: TarFarResult, suffix: str) -> str:
    if not evaluation.breakdowns:
        return ""
    parts = [
        f'<h2 id="breakdowns{suffix}">Breakdown</h2><p class="soft">Rows that share a value, compared among themselves '
        "at the thresholds of the whole. Where the achieved FAR is above the one asked for, strangers are taken for "
        "each other more often.</p>"
    ]
    for number, breakdown in enumerate(evaluation.breakdowns, start=1):
        stem = f"breakdown{suffix}-{number}"
        parts += [
            f"<h3>By {name(breakdown.column)}</h3>",
            _breakdown_chart(folder, evaluation, breakdown, stem),
            breakdown_table(breakdown, evaluation.points, stem),
        ]
    return "".join(parts)


def _breakdown_chart(folder: Path, evaluation: TarFarResult, breakdown: Breakdown, stem: str) -> str:
    if not any(point.tar is not None for group in breakdown.groups for point in group.points):
        return ""
    if len(breakdown.groups) > CHART_GROUPS:
        return f'<p class="soft">Not drawn: {len(breakdown.groups):,} values.</p>'
    return _picture(
        folder,
        stem,
        breakdown_figure(breakdown, evaluation.points),
        f"TAR by {breakdown.column}; the figures are in the table below.",
        "TAR of each value with its interval. Dotted: TAR of all pairs.",
    )


def _rates_in_words(evaluation: TarFarResult) -> str:
    rates = [
        f"{rate_text(point.tar)} at FAR {far_text(point.far)}" for point in evaluation.points if point.tar is not None
    ]
    return f"{evaluation.name}: {', '.join(rates) or 'no FAR is resolvable'}"


def _picture(folder: Path, stem: str, figure: Figure, alternative: str, caption: str) -> str:
    """Write ``stem.png`` and ``stem.svg``; the SVG in HTML, in light and in dark."""
    vector = svg(figure)
    for suffix, data in (("png", png(figure)), ("svg", vector)):
        with replacing(folder / f"{stem}.{suffix}") as file:
            file.write(data)
    dark, light = (embed(data, "svg+xml") for data in (dark_svg(vector), vector))
    width, height = (round(96 * side) for side in figure.get_size_inches())
    return (
        f'<figure><picture><source media="screen and (prefers-color-scheme: dark)" srcset="{dark}"><img src="{light}" '
        f'alt="{escape(alternative)}" width="{width}" height="{height}"></picture>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
