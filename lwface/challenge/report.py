"""What a participant is told of a submission, as one HTML page: figures and tables of one side, or the fault."""

from __future__ import annotations

from lwface.challenge.kinds import ChallengeTrack, FigureKind
from lwface.challenge.results import Malformed, Result
from lwface.reporting.builder import Page, page_text
from lwface.reporting.markup import escape, row, table

SIDE_WORDS = {"public": "public half", "private": "private half", "all": "all samples"}


def result_page(track: ChallengeTrack, result: Result, side: str, subject: str) -> str:
    """The page of a scored submission; it tells nothing of another side.

    Args:
        side: public, private or all.
        subject: what was handed in, for people.
    """
    figures, intervals, details = getattr(result, side), result.intervals.get(side, {}), result.details.get(side, {})
    headings = ["figure", "value", "95 % interval", "exactly"]
    rows = []
    for figure in track.figures:
        ends = intervals.get(figure.name)
        between = "-" if ends is None else f"{figure.text(ends[0])} to {figure.text(ends[1])}"
        cells = [escape(figure.title), figure.text(figures[figure.name]), between, repr(figures[figure.name])]
        rows.append(row(headings, cells))
    ranking = track.figures[0]
    sections = {"figures": "Figures"}
    main = f'<h2 id="figures">Figures</h2>{table("values", "Figures", headings, rows, {0})}'
    for number, (title, lines) in enumerate(details.get("tables", {}).items(), start=1):
        sections[f"table-{number}"] = escape(title)
        cells = [row(lines[0], [escape(cell) for cell in line]) for line in lines[1:]]
        main += f'<h2 id="table-{number}">{escape(title)}</h2>{table(f"rows-{number}", title, lines[0], cells, {0})}'
    counts = ", ".join(f"{count:,} {name}" for name, count in details.get("counts", {}).items())
    return page_text(
        Page(
            f"{subject}: {track.title}",
            track.title,
            f"{escape(subject)}, {SIDE_WORDS[side]}",
            f'<div class="lead"><p>{escape(ranking.title)}: <strong>{ranking.text(figures[ranking.name])}</strong>'
            f"{_rule(ranking)}</p></div>",
            main,
            f"<p>Scored on {escape(counts)}.</p>",
            sections,
        )
    )


def fault_page(track: ChallengeTrack, fault: Malformed) -> str:
    """The page of a submission that is none."""
    lead = f'<div class="lead"><p>This file has no score, and costs no submission.</p><p>{escape(str(fault))}</p></div>'
    return page_text(Page(f"{fault.file}: malformed", track.title, escape(fault.file), lead, "", "", {}))


def _rule(figure: FigureKind) -> str:
    return f"; {'higher' if figure.higher_is_better else 'lower'} is better"
