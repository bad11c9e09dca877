"""Numbers and names as text, and text as HTML: everything that comes from outside passes through here."""

from __future__ import annotations

import base64
import html
import math
import unicodedata
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from lwface.scoring.intervals import Interval

NAME_WIDTH = 40  # characters of a name shown before its middle is left out
MOST_ORDERS = 12  # of a table's rows: for each the style sheet has a rule


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


class Order(NamedTuple):
    """A way to sort the rows of a table.

    Attributes:
        label: what a reader chooses, such as "lowest TAR".
        column: by which it sorts, for those who hear the table.
        places: of the rows, in the order shown.
        descending: largest first.
    """

    label: str
    column: int
    places: Sequence[int]
    descending: bool = False


def order_by(label: str, column: int, values: Sequence[float | None], *, descending: bool = False) -> Order:
    """Rows by ``values``, those without one last; rows that tie stay as they are."""
    known = [place for place, value in enumerate(values) if value is not None]
    sign = -1 if descending else 1
    known.sort(key=lambda place: sign * (values[place] or 0))
    rest = [place for place, value in enumerate(values) if value is None]
    return Order(label, column, [*known, *rest], descending)


def table(identifier: str, label: str, headings: Sequence[str], rows: Sequence[str], text: Collection[int] = ()) -> str:
    """A table that scrolls inside its own box.

    Args:
        identifier: on the page.
        label: of the box, for those who do not see it.
        headings: names of the columns, without markup.
        rows: HTML from :func:`row`.
        text: numbers of the columns that hold text; others hold figures.
    """
    return scrolling(identifier, label, head(headings, text) + f"<tbody>{''.join(rows)}</tbody>")


def head(headings: Sequence[str], text: Collection[int] = (), order: Order | None = None) -> str:
    """The head of a table; ``order`` is how its rows are sorted."""
    cells = []
    for number, heading in enumerate(headings):
        style = ' class="text"' if number in text else ""
        cells.append(f'<th scope="col"{style}{sorted_by(order, number)}>{escape(heading)}</th>')
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def sorted_by(order: Order | None, column: int) -> str:
    """The attribute of a heading by whose column the rows are sorted."""
    if order is None or order.column != column:
        return ""
    return f' aria-sort="{"descending" if order.descending else "ascending"}"'


def scrolling(identifier: str, label: str, content: str, style: str = "") -> str:
    """The box of a table with the head, body and foot in ``content``; it says so where there is more at its right."""
    return (
        f'<div class="{f"scroll {style}".strip()}" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table id="{identifier}">{content}</table><p class="more" aria-hidden="true">more columns: scroll →</p></div>'
    )


def sortable(
    identifier: str, label: str, orders: Sequence[Order], content: Callable[[Order], str], fewest: int = 3
) -> str:
    """A table whose reader chooses the order of its rows, without a script.

    Each order is a table of its own, of which the style sheet shows the chosen one: so each is read aloud in the order
    that is seen, and radio buttons are what keyboards and screen readers know. The first order is shown at first, under
    ``identifier``.

    Args:
        identifier, label: as for :func:`scrolling`.
        orders: at most :data:`MOST_ORDERS`.
        content: head, body and foot of the table in an order.
        fewest: rows from which on it is worth a choice.
    """
    if len(orders) < 2 or len(orders[0].places) < fewest:
        return scrolling(identifier, label, content(orders[0]))
    orders = orders[:MOST_ORDERS]
    buttons, boxes = [], []
    for number, order in enumerate(orders, start=1):
        button = f"{identifier}-order-{number}"
        checked = " checked" if number == 1 else ""
        buttons.append(
            f'<input type="radio" name="{identifier}-order" id="{button}" class="order-{number}"{checked}>'
            f'<label for="{button}">{escape(order.label)}</label>'
        )
        own = identifier if number == 1 else f"{identifier}-by-{number}"
        boxes.append(scrolling(own, f"{label}, {order.label}", content(order), f"by-{number}"))
    return f'<fieldset class="sortable"><legend>Sort by</legend>{"".join(buttons)}{"".join(boxes)}</fieldset>'


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
