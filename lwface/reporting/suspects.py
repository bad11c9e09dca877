"""The pairs whose labels are probably wrong, as a list to read and as a file to give back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from lwface.reporting.markup import clean, minus, name, plural, row, table
from lwface.reporting.row_images import RowImages
from lwface.scoring.tar_far_result import HardPair, TarFarResult

IGNORE_FILE = "ignore-pairs.txt"
PAIRS_SHOWN = 50  # of each kind on the page; the file has all that are listed
ROWS_SHOWN = 6
HEADINGS = ("pair", "score", "rows")


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
    head = f'<h2 id="label-errors{suffix}">Probable label errors</h2>'
    if not (found.impostor_count + found.genuine_count or found.more_impostors):
        return (
            f"{head}<p>None suggested: no impostor pair scores above 0.9, no genuine pair below 0. "
            "Errors less plain than that may remain.</p>"
        )
    pairs = listed(evaluation)
    found_text = [
        f"<b>{'at least ' if more else ''}{plural(count, 'pair')}</b> of {kind}"
        for count, more, kind in (
            (
                found.impostor_count,
                found.more_impostors,
                "different people above 0.9: mostly one person under two labels.",
            ),
            (found.genuine_count, False, "one person below 0: mostly a row with somebody else’s label."),
        )
        if count or more
    ]
    return (
        f"{head}<p>{' '.join(found_text)} A network can be wrong too, so look at each.</p>"
        f"{_instructions(len(pairs), found.impostor_count + found.genuine_count + found.more_impostors)}"
        f"{_frequent_rows(pairs, faces)}"
        f"{_pair_table(found.impostors, 'impostor', f'suspect-impostors{suffix}', faces)}"
        f"{_pair_table(found.genuine, 'genuine', f'suspect-genuine{suffix}', faces)}"
    )


def _instructions(count: int, total: int) -> str:
    held = "they are all" if count == total else f"the {count:,} most suspicious are"
    return (
        "<ol><li>Correct the labels that are wrong and run again; a row labelled <code>-1</code> is in no genuine pair."
        f"</li><li>For what cannot be corrected: {held} in <code>{IGNORE_FILE}</code> beside this page, one a line. "
        "Copy it elsewhere, for the next report writes it anew, and delete the lines whose labels are right.</li>"
        "<li>Leave the rest out of the count, and say so with the score: "
        "<code>--ignore-pairs COPY</code></li></ol>"
    )


def _frequent_rows(pairs: Sequence[Suspect], faces: RowImages | None) -> str:
    counts = Counter(index for _, pair in pairs for index in pair[:2])
    often = [(index, count) for index, count in counts.most_common(ROWS_SHOWN) if count > 1]
    if not often:
        return ""
    items = "".join(f"<li>{_row_name(index, faces)}: {count:,} pairs</li>" for index, count in often)
    return f"<p>Begin with the rows that are in most of them:</p><ul>{items}</ul>"


def _pair_table(pairs: Sequence[HardPair], kind: str, identifier: str, faces: RowImages | None) -> str:
    if not pairs:
        return ""
    headings = (*HEADINGS, *(() if faces is None else ("names",)))
    rows = []
    for number, pair in enumerate(pairs[:PAIRS_SHOWN], start=1):
        cells = [str(number), minus(f"{pair.score:.4f}"), f"{pair.left} and {pair.right}"]
        if faces is not None:
            cells.append("<br>".join(name(faces.name(index)) for index in pair[:2]))
        rows.append(row(headings, cells, ("", "", "", "text")))
    more = len(pairs) - PAIRS_SHOWN
    rest = f'<p class="soft">and {more:,} more in {IGNORE_FILE}</p>' if more > 0 else ""
    order = "highest" if kind == "impostor" else "lowest"
    return (
        f"<details><summary>{plural(len(pairs), f'{kind} pair')}, {order} score first</summary>"
        f"{table(identifier, f'Suspect {kind} pairs', headings, rows, text=(3,))}{rest}</details>"
    )


def _row_name(index: int, faces: RowImages | None) -> str:
    return f"row {index}" + ("" if faces is None else f", {name(faces.name(index))}")
