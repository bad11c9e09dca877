"""One HTML file that needs nothing else, and its plots beside it: what all reports are made with.

The page has no script and refers to nothing outside itself; a policy in its head forbids the browser to fetch anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lwface.base.files import replacing, write_text
from lwface.reporting.markup import embed, escape
from lwface.reporting.style import style_sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE_NAME = "report.html"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title><style>{style}</style></head><body>
<header><h1>{heading}</h1><p class="soft">{subject}</p>{lead}
<nav aria-label="Contents"><ul>{contents}</ul></nav></header>
<main>{main}</main>
<footer class="soft">{footer}</footer>
</body></html>
"""


class Page(NamedTuple):
    """What a report says; all but ``title`` and ``heading`` is HTML.

    Attributes:
        title: of the browser's window.
        heading: of the page.
        subject: what the report is of.
        lead: the plain sentences on top, and what is to be known before anything else.
        main, footer: the sections; those with an ``id`` among ``sections`` are in the contents.
        sections: identifiers of headings, and what the contents call them, in the order of the page.
    """

    title: str
    heading: str
    subject: str
    lead: str
    main: str
    footer: str
    sections: Mapping[str, str]


def write_page(folder: Path, page: Page) -> Path:
    """Write ``report.html`` into ``folder``, which is made when missing; returns its path."""
    write_text(folder / PAGE_NAME, page_text(page))
    return folder / PAGE_NAME


def page_text(page: Page) -> str:
    """The whole HTML of a page."""
    body = page.main + page.footer
    links = [f'<li><a href="#{key}">{text}</a></li>' for key, text in page.sections.items() if f'id="{key}"' in body]
    return PAGE.format(
        policy=POLICY,
        title=escape(page.title),
        style=style_sheet(),
        heading=escape(page.heading),
        subject=page.subject,
        lead=page.lead,
        contents="".join(links),
        main=page.main,
        footer=page.footer,
    )


def picture(folder: Path, stem: str, figure: Figure, alternative: str, caption: str) -> str:
    """Write ``stem.png`` and ``stem.svg``; the SVG in HTML, in light and in dark. ``caption`` is HTML."""
    from lwface.reporting.plots import dark_svg, png, svg  # here: a page without plots needs no matplotlib

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
