"""The report of one or several evaluations of TAR at FAR, one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lwface.base.files import PathLike, write_text
from lwface.reporting.builder import Page, picture, write_page
from lwface.reporting.glossary import terms
from lwface.reporting.markup import escape, far_text, name, rate_text
from lwface.reporting.plots import breakdown_figure, det_figure, histogram_figure, roc_figure
from lwface.reporting.provenance import Provenance, provenance_section
from lwface.reporting.row_images import RowImages
from lwface.reporting.sections import (
    breakdown_table,
    differences_section,
    hardest_section,
    headline,
    model_name,
    published,
    single_figures,
    thresholds_section,
)
from lwface.reporting.summary import summary
from lwface.reporting.suspects import IGNORE_FILE, ignore_lines, suspects_section
from lwface.scoring.intervals import Difference
from lwface.scoring.tar_far_result import CAVEAT, Breakdown, TarFarResult

CHART_GROUPS = 40  # values of a column that are drawn; all of them are in the table
SECTIONS = {
    "headline": "TAR",
    "single-figures": "Equal error rate",
    "differences": "Differences",
    "curves": "Curves",
    "models": "Each model",
    "thresholds": "Thresholds",
    "scores": "Scores",
    "breakdowns": "Breakdown",
    "hardest": "Hardest pairs",
    "label-errors": "Label errors",
    "published": "Published results",
    "made": "How this was made",
    "reading": "Questions",
}

READING = """<h2 id="reading">Questions</h2><dl class="questions">
<dt>Is it good enough to open a door?</dt>
<dd>Choose how many strangers may get in, then read how many of the right people are recognised: a row of the
first table. A pair is one comparison; who may try three times is recognised more often, and so is a
stranger.</dd>
<dt>How sure are these figures?</dt>
<dd>The counts are exact. Other people would give others: the 95 % interval says how far, as it draws the
people anew, not the pairs. With other cameras, ages or light, measure again.</dd>
<dt>Which number do I set in my program?</dt>
<dd>“Thresholds to deploy” has it with all digits, as a cosine and as a squared distance, for features made by
the same model in the same way (the same alignment, mirrored images added or not).</dd>
<dt>Can another person repeat this?</dt>
<dd>“How this was made” has the commands, the files with their SHA-256, and the versions. The same files give
the same counts and thresholds to the last bit, on any machine.</dd>
<dt>How are FAR and TAR defined where scores tie?</dt>
<dd>The threshold is the smallest float64 at which the accepted impostor pairs are at most FAR times all of
them: of impostors that tie there, all are refused, and the achieved FAR is never above the one asked for.
Nothing is interpolated but the equal error rate, between two neighbouring exact points.</dd>
<dt>What is a sample, and where?</dt>
<dd>Tables are counted from all pairs unless a column says otherwise. Dashed lines and “a sample” mean a
random million of the impostor pairs.</dd>
<dt>Can I hold this against published figures?</dt>
<dd>Only on the same images, labels and pairs. A local score is a local score.</dd>
</dl>"""


def write_report(
    folder: PathLike,
    evaluations: Sequence[TarFarResult],
    differences: Sequence[Difference] = (),
    faces: RowImages | None = None,
    made: Provenance | None = None,
) -> Path:
    """Write ``report.html``, its plots as PNG and SVG, and ``ignore-pairs.txt`` into ``folder``.

    Args:
        folder: made when missing.
        evaluations: one, or several to compare; at least one.
        differences: of pairs of them.
        faces: the images of the rows, when there are any; the rows of all evaluations are the same then.
        made: the run and its files; None: the page does not say.

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
        terms("FAR", "TAR", "95 % interval", "threshold", "achieved FAR", "false accepts", "true accepts"),
        headline(evaluations),
        "" if several else _figures(evaluations[0]),
        single_figures(evaluations),
        differences_section(differences, evaluations),
        curves,
        '<h2 id="models">Each model</h2>' if several else "",
        *models,
        published(),
        provenance_section(made),
    ]
    if any(evaluation.suspects is not None for evaluation in evaluations):
        write_text(target / IGNORE_FILE, ignore_lines(evaluations, faces))
    return write_page(
        target,
        Page(
            title=f"TAR at FAR: {', '.join(evaluation.name for evaluation in evaluations)}",
            heading="Face verification: TAR at FAR",
            subject=_subject(evaluations),
            lead=f'{summary(evaluations, differences)}<p class="caveat">{escape(CAVEAT)}</p>',
            main="".join(main),
            footer=READING,
            sections=SECTIONS,
        ),
    )


def _subject(evaluations: Sequence[TarFarResult]) -> str:
    names = ", ".join(f"<b>{name(evaluation.name)}</b>" for evaluation in evaluations)
    protocols = list(dict.fromkeys(evaluation.protocol for evaluation in evaluations))
    return f"{names} · {escape('; '.join(protocols))}"


def _curves(folder: Path, evaluations: Sequence[TarFarResult]) -> str:
    """ROC and DET of all evaluations; "" when there is nothing to draw."""
    solved = [point for evaluation in evaluations for point in evaluation.points if point.tar is not None]
    if not solved and all(evaluation.roc is None for evaluation in evaluations):
        return ""
    figures = "; ".join(_rates_in_words(evaluation) for evaluation in evaluations)
    roc = picture(
        folder,
        "roc",
        roc_figure(evaluations),
        f"ROC curves. TAR {figures}.",
        "ROC: true accepts over false accepts. Higher is better.",
    )
    det = picture(
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
        f'<h2 id="curves">Curves</h2>{terms("ROC", "DET")}<p class="soft">{note} Large markers are the operating '
        f'points of the table. The left end is one impostor pair.</p><div class="plots">{roc}{det}</div>'
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
    drawing = picture(
        folder,
        f"histogram{suffix}",
        histogram_figure(evaluation),
        f"Histograms of the scores of genuine and impostor pairs with the thresholds; {_rates_in_words(evaluation)}.",
        f"{source}Logarithmic, so that the few pairs that decide are seen. Vertical lines: the threshold of each FAR.",
    )
    return f'<h2 id="scores{suffix}">Scores</h2>{drawing}'


def _breakdowns(folder: Path, evaluation: TarFarResult, suffix: str) -> str:
    if not evaluation.breakdowns:
        return ""
    parts = [
        f'<h2 id="breakdowns{suffix}">Breakdown</h2><p class="soft">Rows that share a value, compared among themselves '
        "at the thresholds of the whole. Where the achieved FAR is above the one asked for, strangers are taken for "
        f"each other more often.</p>{terms('gap', 'achieved FAR')}"
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
    return picture(
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
