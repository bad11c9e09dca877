"""Numbers and names as text, and text as HTML: everything that comes from outside passes through here."""

from __future__ import annotations

import base64
import html
import math
import unicodedata
from collections.abc import Collection, Sequence
from fractions import Fraction

import numpy as np

from lwface.scoring.intervals import Interval

NAME_WIDTH = 40  # characters of a name shown before its middle is left out


def clean(text: str) -> str:
    """``text`` on one line, as can be written in UTF-8 and in HTML: no control characters, no half characters."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(" " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character for character in whole)


def shorten(text: str, width: int = NAME_WIDTH) -> str:
    """A cleaned ``text`` of at most ``width`` columns: the middle is left out, as names differ at their ends."""
    kept = clean(text)
    columns = [2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in kept]
    if sum(columns) <= width:
        return kept
    front = back = used = 0
    while True:
        cost = columns[front] if front <= back else columns[-1 - back]
        if used + cost > width - 1:
            return f"{kept[:front].rstrip()}…{kept[len(kept) - back :].lstrip()}"
        used += cost
        front, back = (front + 1, back) if front <= back else (front, back + 1)


def escape(text: str) -> str:
    """A cleaned ``text`` for HTML, in an element or a quoted attribute."""
    return html.escape(clean(text))


def name(text: str, width: int = NAME_WIDTH) -> str:
    """A name as HTML: kept apart from the direction of the text around it; the whole of a shortened one on hover."""
    short = shorten(text, width)
    title = "" if short == clean(text) else f' title="{escape(text)}"'
    return f"<bdi{title}>{escape(short) or '(empty)'}</bdi>"


def far_text(far: Fraction | float) -> str:
    """A FAR as the field writes it: 0.1, 1e-4, 2.5e-6."""
    value = float(far)
    if value == 0 or value >= 0.1:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def one_in(rate: float) -> str:
    """A rate in words: 1 in 10,000."""
    if rate == 0:
        return "none seen"
    odds = 1 / rate
    return f"1 in {round(odds):,}" if odds >= 10 else f"1 in {odds:.3g}"


def rate_text(rate: float) -> str:
    """A share to five decimals, as the challenge printed it."""
    return f"{rate:.5f}"


def interval_text(interval: Interval, *, signed: bool = False) -> str:
    """An interval in words, to four decimals."""
    form = "+.4f" if signed else ".4f"
    return f"{minus(format(interval.low, form))} to {minus(format(interval.high, form))}"


def minus(text: str) -> str:
    """``text`` with the typographic minus, which is as wide as a plus."""
    return text.replace("-", "−")


def with_interval(rate: float, interval: Interval | None) -> str:
    """A share, and its interval in small below."""
    return rate_text(rate) + ("" if interval is None else f"<small>{interval_text(interval)}</small>")


def squared_distance(cosine: float) -> float:
    """The largest float64 squared L2 distance of unit vectors that is not above ``2 - 2 cosine``.

    Accepting at or below it accepts no pair whose cosine is below ``cosine``.
    """
    exact = 2 - 2 * Fraction(cosine)
    nearest = float(exact)
    return nearest if Fraction(nearest) <= exact else math.nextafter(nearest, -math.inf)


def digits(value: float) -> str:
    """All digits of a float64: reading them gives the same number."""
    return f'<span class="digits">{np.format_float_positional(value, trim="0")}</span>'


def table(identifier: str, label: str, headings: Sequence[str], rows: Sequence[str], text: Collection[int] = ()) -> str:
    """A table that scrolls inside its own box.

    Args:
        identifier: on the page.
        label: of the box, for those who do not see it.
        headings: names of the columns, without markup.
        rows: HTML from :func:`row`.
        text: numbers of the columns that hold text; others hold figures.
    """
    styles = [' class="text"' if number in text else "" for number in range(len(headings))]
    head = "".join(
        f'<th scope="col"{style}>{escape(heading)}</th>' for heading, style in zip(headings, styles, strict=True)
    )
    return scrolling(identifier, label, f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>")


def scrolling(identifier: str, label: str, content: str) -> str:
    """The box of a table with the head, body and foot in ``content``."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table id="{identifier}">{content}</table></div>'
    )


def row(headings: Sequence[str], cells: Sequence[str], classes: Sequence[str] = ()) -> str:
    """One row: the first cell heads it, and a row that ends early says why in its last cell.

    Args:
        headings: names of the columns, without markup.
        cells: HTML, at most one a heading.
        classes: of the cells, as far as given.
    """
    styles = [*classes, *[""] * (len(cells) - len(classes))]
    short = len(cells) < len(headings)
    found = [f'<th scope="row">{cells[0]}</th>']
    for number, cell in enumerate(cells[1:], start=1):
        if short and number == len(cells) - 1:
            found.append(f'<td class="why" colspan="{len(headings) - number}"><span>{cell}</span></td>')
        else:
            style = f' class="{styles[number]}"' if styles[number] else ""
            found.append(f'<td{style} data-name="{escape(headings[number])}">{cell}</td>')
    return f"<tr>{''.join(found)}</tr>"


def group_row(headings: Sequence[str], text: str) -> str:
    """A row that heads the rows below it; ``text`` is HTML."""
    return f'<tr class="group"><th colspan="{len(headings)}" scope="rowgroup">{text}</th></tr>'


def plural(count: int, noun: str) -> str:
    """A count and what is counted: 1 pair, 2 pairs."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def embed(data: bytes, kind: str) -> str:
    """A data address of an image; ``kind`` as in ``image/kind``."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
