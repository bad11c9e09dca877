"""The pairs whose labels are probably wrong, as a list to read and as a file to give back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from lwface.reporting.markup import Order, clean, head, minus, name, order_by, plural, row, sortable
from lwface.reporting.row_images import RowImages
from lwface.scoring.tar_far_result import DoubtfulRow, HardPair, Suspects, TarFarResult

IGNORE_FILE = "ignore-pairs.txt"
PAIRS_SHOWN = 50  # of each kind on the page; the file has all that are listed
ROWS_SHOWN = 6
HEADINGS = ("pair", "score", "rows")
NOT_TOLD = (
    "Not looked for: strangers and the same person score too much alike with this model for a score to be evidence of "
    "a wrong label (or there are too few pairs to tell)."
)


class Suspect(NamedTuple):
    """A pair to look at."""

    kind: str  # "impostor" or "genuine"
    pair: HardPair


def listed(evaluation: TarFarResult) -> list[Suspect]:
    """The suspects of an evaluation, impostors first, the most suspicious of each kind first."""
    found = evaluation.suspects
    if found is None:
        return []
    return [Suspect("impostor", pair) for pair in found.impostors] + [
        Suspect("genuine", pair) for pair in found.genuine
    ]


def ignore_lines(evaluations: Sequence[TarFarResult], faces: RowImages | None) -> str:
    """A line ``ROW ROW  # KIND SCORE NAME NAME`` for each pair that any of the evaluations suspects, once.

    The command reads the two rows back with ``--ignore-pairs``; the rest of the line is for people.
    """
    lines: dict[tuple[int, int], str] = {}
    for evaluation in evaluations:
        for kind, pair in listed(evaluation):
            names = [] if faces is None else [clean(faces.name(index)) for index in pair[:2]]
            text = " ".join([f"{pair.left} {pair.right}  # {kind} {pair.score:.4f}", *names])
            lines.setdefault((pair.left, pair.right), text)
    return "".join(f"{line}\n" for line in lines.values())


def suspects_section(evaluation: TarFarResult, faces: RowImages | None, suffix: str) -> str:
    """How many there are, what to do about them, the rows in most of them, and the pairs; "" if not looked for.

    Args:
        suffix: of the identifiers on the page.
    """
    found = evaluation.suspects
    if found is None:
        return ""
    pairs = listed(evaluation)
    told = found.impostor_limit is not None or found.rows is not None
    parts = [f'<h2 id="label-errors{suffix}">Probable label errors</h2>', _impostors_told(found), _rows_told(found)]
    if not told:
        parts[1:] = [f"<p>{NOT_TOLD}</p>"]
    if pairs:
        parts += [
            "<p>A network can be wrong too, so look at each.</p>",
            _instructions(len(pairs), found.impostor_count + found.genuine_count + found.more_impostors),
            _doubtful_rows(found.rows or [], faces),
            _frequent_rows(found.impostors, faces),
            _pair_table(found.impostors, "impostor", f"suspect-impostors{suffix}", faces),
            _pair_table(found.genuine, "genuine", f"suspect-genuine{suffix}", faces),
        ]
    elif told:
        parts.append('<p class="soft">Errors less plain than these may remain.</p>')
    return "".join(parts)


def _impostors_told(found: Suspects) -> str:
    """What the scores of different people say."""
    if found.impostor_limit is None:
        return "<p>Whether two labels are one person cannot be told from this model’s scores of strangers.</p>"
    limit = minus(f"{found.impostor_limit:.3f}")
    if not found.impostor_count:
        return f"<p>No two labels look like one person: no impostor pair scores {limit} or more.</p>"
    many = f"{'at least ' if found.more_impostors else ''}{plural(found.impostor_count, 'pair')}"
    return (
        f"<p><b>{many}</b> of different people at {limit} or above: mostly one person under two labels. By the tail of "
        "this model’s impostor scores not one such pair is expected here, and half of the genuine pairs score less.</p>"
    )


def _rows_told(found: Suspects) -> str:
    """What the best genuine score of each row says."""
    if found.rows is None:
        return "<p>Whether a row has somebody else’s label cannot be told from this model’s scores of one person.</p>"
    if not found.rows:
        return "<p>Every row resembles another of its label more than strangers would.</p>"
    return (
        f"<p><b>{plural(len(found.rows), 'row')}</b> {'resembles' if len(found.rows) == 1 else 'resemble'} nobody of "
        f"{'its' if len(found.rows) == 1 else 'their'} label: even the best genuine score is one that strangers reach. "
        f"Mostly somebody else’s label, or no usable face. {plural(found.genuine_count, 'genuine pair')} listed.</p>"
    )


def _doubtful_rows(rows: Sequence[DoubtfulRow], faces: RowImages | None) -> str:
    if not rows:
        return ""
    shown = [
        f"{_row_name(row.row, faces)}: at best {minus(f'{row.best:.3f}')} in {plural(row.pairs, 'genuine pair')}"
        for row in rows[:ROWS_SHOWN]
    ]
    items = "".join(f"<li>{text}</li>" for text in shown)
    more = len(rows) - ROWS_SHOWN
    rest = f"<li>and {plural(more, 'row')} more, in the list of genuine pairs</li>" if more > 0 else ""
    return f"<p>Rows that resemble nobody of their label:</p><ul>{items}{rest}</ul>"


def _instructions(count: int, total: int) -> str:
    held = "they are all" if count == total else f"the {count:,} most suspicious are"
    return (
        "<ol><li>Correct the labels that are wrong and run again; a row labelled <code>-1</code> is in no genuine pair."
        f"</li><li>For what cannot be corrected: {held} in <code>{IGNORE_FILE}</code> beside this page, one a line. "
        "Copy it elsewhere, for the next report writes it anew, and delete the lines whose labels are right.</li>"
        "<li>Leave the rest out of the count, and say so with the score: "
        "<code>--ignore-pairs COPY</code></li></ol>"
    )


def _frequent_rows(pairs: Sequence[HardPair], faces: RowImages | None) -> str:
    counts = Counter(index for pair in pairs for index in pair[:2])
    often = [(index, count) for index, count in counts.most_common(ROWS_SHOWN) if count > 1]
    if not often:
        return ""
    items = "".join(f"<li>{_row_name(index, faces)}: {count:,} pairs</li>" for index, count in often)
    return f"<p>Rows in most of the impostor pairs, to begin with:</p><ul>{items}</ul>"


def _pair_table(pairs: Sequence[HardPair], kind: str, identifier: str, faces: RowImages | None) -> str:
    if not pairs:
        return ""
    headings = (*HEADINGS, *(() if faces is None else ("names",)))
    shown = pairs[:PAIRS_SHOWN]
    rows = []
    for number, pair in enumerate(shown, start=1):
        cells = [str(number), minus(f"{pair.score:.4f}"), f"{pair.left} and {pair.right}"]
        if faces is not None:
            cells.append("<br>".join(name(faces.name(index)) for index in pair[:2]))
        rows.append(row(headings, cells, ("", "", "", "text")))
    more = len(pairs) - PAIRS_SHOWN
    rest = f'<p class="soft">and {more:,} more in {IGNORE_FILE}</p>' if more > 0 else ""
    order = "highest" if kind == "impostor" else "lowest"
    orders = [
        Order(f"{order} score", 1, range(len(shown)), descending=kind == "impostor"),
        order_by("row", 2, [pair.left + pair.right / 2**40 for pair in shown]),
    ]

    def content(chosen: Order) -> str:
        body = "".join(rows[place] for place in chosen.places)
        return f"{head(headings, (3,), chosen)}<tbody>{body}</tbody>"

    return (
        f"<details><summary>{plural(len(pairs), f'{kind} pair')}, {order} score first</summary>"
        f"{sortable(identifier, f'Suspect {kind} pairs', orders, content)}{rest}</details>"
    )


def _row_name(index: int, faces: RowImages | None) -> str:
    return f"row {index}" + ("" if faces is None else f", {name(faces.name(index))}")
