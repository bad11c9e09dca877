"""How the report looks: one style sheet for desk, phone, paper, light and dark."""

from __future__ import annotations

from lwface.reporting.markup import MOST_ORDERS
from lwface.reporting.themes import DARK, LIGHT, MARKERS

# Outlines of the plots' markers, in a box from -1 to 1.
_OUTLINES = {
    "o": "M-.8 0a.8.8 0 1 0 1.6 0a.8.8 0 1 0-1.6 0Z",
    "s": "M-.75-.75H.75V.75H-.75Z",
    "^": "M0-.9L.9.75H-.9Z",
    "D": "M0-1L1 0L0 1L-1 0Z",
    "v": "M0 .9L.9-.75H-.9Z",
    "P": "M-.3-.9H.3V-.3H.9V.3H.3V.9H-.3V.3H-.9V-.3H-.3Z",
    "X": "M-.9-.5L-.5-.9L0-.4L.5-.9L.9-.5L.4 0L.9 .5L.5 .9L0 .4L-.5 .9L-.9 .5L-.4 0Z",
    "*": "M0-1L.28-.31L1-.31L.42 .13L.62 .85L0 .43L-.62 .85L-.42 .13L-1-.31L-.28-.31Z",
}

_SHEET = """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0 auto; padding: 2rem 1.5rem 3rem; max-width: 72rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .2rem; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 2.6rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
p, ul, ol { margin: .4rem 0 .8rem; max-width: 46rem; } li { margin: .2rem 0; }
a { color: var(--link); } code, .digits { font-family: ui-monospace, "Liberation Mono", monospace; font-size: .92em; }
.soft, figcaption, caption { color: var(--soft); } .soft { font-size: .92rem; }
.caveat { border-left: 3px solid var(--warn); padding: .1rem 0 .1rem .8rem; margin: .8rem 0; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0; margin: .8rem 0 0; list-style: none;
  max-width: none; font-size: .95rem; }
dl.figures { display: flex; flex-wrap: wrap; gap: .5rem 2.2rem; margin: .8rem 0; }
dl.figures dt { color: var(--soft); font-size: .85rem; }
dl.figures dd { margin: 0; font-variant-numeric: tabular-nums; }
.lead { border: 1px solid var(--line); border-radius: .6rem; background: var(--box); padding: .5rem 1.1rem;
  margin: .9rem 0; max-width: 50rem; font-size: 1.12rem; }
.lead p { max-width: none; margin: .45rem 0; }
/* a shade and a line of text where columns are cut off; what covers the shade moves with the table */
.scroll { --under: var(--back); overflow-x: auto; margin: .6rem 0;
  background: linear-gradient(to left, var(--under) 40%, transparent) calc(100% + 1px) 0 / 2.6rem 100% no-repeat local,
    linear-gradient(to left, var(--shade), transparent) right / 1.3rem 100% no-repeat scroll; }
.more { position: sticky; left: 0; display: none; width: max-content; margin: 0; font-size: .8rem; color: var(--soft); }
.scroll:focus-visible, summary:focus-visible, a:focus-visible, input:focus-visible + label {
  outline: 2px solid var(--link); outline-offset: 2px; }
.sortable { border: 0; margin: 0; padding: 0; min-width: 0; }
.sortable legend { float: left; padding: .2rem .6rem .2rem 0; color: var(--soft); font-size: .88rem; }
.sortable input { position: absolute; opacity: 0; }
.sortable label { display: inline-block; max-width: 100%; font-size: .85rem; padding: .15rem .6rem;
  margin: .1rem .25rem .1rem 0; border: 1px solid var(--line); border-radius: 1rem; cursor: pointer; }
.sortable input:checked + label { border-color: var(--link); color: var(--link); font-weight: 600; }
.sortable > .scroll { display: none; clear: both; }
.terms { margin: .1rem 0 .5rem; max-width: 46rem; font-size: .92rem; }
.terms summary { color: var(--soft); padding: .2rem 0; }
.terms dl, .questions { margin: .2rem 0 .6rem; } .terms dl { border-left: 3px solid var(--line); padding-left: .9rem; }
.terms dt, .questions dt { font-weight: 600; color: var(--text); } .terms dd, .questions dd { margin: 0 0 .5rem; }
.questions { max-width: 46rem; }
.quiet { color: var(--soft); font-size: .88rem; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .8rem;
  margin: .4rem 0 1rem; white-space: pre-wrap; overflow-wrap: anywhere; max-width: 60rem; }
.files { padding-left: 1.1rem; max-width: none; } .digest { overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: min(100%, 30rem); }
caption { text-align: left; font-size: .92rem; padding: 0 0 .3rem; }
th, td { padding: .4rem .9rem; text-align: right; vertical-align: top; white-space: nowrap; overflow-wrap: normal;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { padding-left: .2rem; }
thead th { color: var(--soft); font-weight: 600; font-size: .85rem; vertical-align: bottom; }
thead th.group { text-align: center; border-bottom: 0; }
tbody th, tfoot th { font-weight: 600; } td.text, th.text { text-align: left; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--back); }
thead tr + tr th:first-child { text-align: right; position: static; padding-left: .9rem; }
th small, td small { display: block; color: var(--soft); font-size: .8rem; }
th small { font-weight: 400; }
td.main { font-weight: 650; font-size: 1.12rem; } td.main small { font-weight: 400; }
td.wrap { white-space: normal; overflow-wrap: anywhere; min-width: 9rem; }
td.why { text-align: left; color: var(--soft); white-space: normal; }
td.why span { display: block; max-width: min(34rem, calc(100vw - 7rem)); }
tr.group th { padding-top: 1rem; color: var(--soft); }
tfoot th, tfoot td { border-top: 2px solid var(--line); border-bottom: 0; }
.apart { max-width: 46rem; background: var(--box); border: 1px solid var(--line); border-radius: .5rem;
  padding: .2rem 1.1rem; margin: 2.4rem 0 1.8rem; }
.apart[open] { padding-bottom: .6rem; } .apart .scroll { --under: var(--box); }
.apart th:first-child { background: var(--box); }
.apart table { font-size: .92rem; } .apart th, .apart td { padding-top: .2rem; padding-bottom: .2rem; }
.apart th:first-child { white-space: normal; font-weight: 400; width: 100%; min-width: 9rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; max-width: 34rem; } figure img { display: block; width: 100%; height: auto; }
figcaption { font-size: .88rem; margin-top: .3rem; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.8rem, 1fr)); gap: 1.2rem 1rem;
  margin: .8rem 0; padding: 0; list-style: none; max-width: none; }
.pair { margin: 0; min-width: 0; }
.pair .faces { display: grid; grid-template-columns: 1fr 1fr; gap: 3px; margin-bottom: .3rem; }
.pair img, .pair .none { width: 100%; height: auto; aspect-ratio: 1; object-fit: cover; border-radius: .25rem;
  background: var(--box); }
.pair .none { display: grid; place-items: center; font-size: .75rem; color: var(--soft);
  border: 1px solid var(--line); }
.pair b { font-variant-numeric: tabular-nums; }
.pair span { display: block; font-size: .8rem; line-height: 1.35; color: var(--soft); }
.flag { font-style: normal; font-size: .75rem; color: var(--text); border: 1px solid var(--warn); border-radius: .8rem;
  padding: 0 .5rem; white-space: nowrap; }
.key { width: 1.6em; height: .9em; vertical-align: -.08em; margin-right: .45em; }
summary { cursor: pointer; padding: .4rem 0; } summary h2 { display: inline; font-size: 1.1rem; }
details.model { border-top: 1px solid var(--line); } details.model > summary { padding: .8rem 0; }
details.model[open] { padding-bottom: 1.5rem; } details h2 { margin-top: 1.6rem; }
footer { margin-top: 3rem; }
@media (max-width: 40rem) {
  body { padding: 1.1rem .9rem 2rem; }
  h2 { margin-top: 2.1rem; } .apart { padding: .1rem .8rem .4rem; }
  th, td { padding-left: .5rem; padding-right: .5rem; }
  tbody th bdi, td.text bdi { display: inline-block; vertical-align: top; width: max-content; max-width: 7.5rem;
    white-space: normal; overflow-wrap: anywhere; }
  #difference-table bdi { max-width: 4.6rem; }
  [id^=deploy] thead th { white-space: normal; }
  .digits { font-size: .8rem; }
  .lead { padding: .3rem .8rem; font-size: 1.06rem; }
  .more { display: block; }
  .pairs { grid-template-columns: 1fr 1fr; }
}
@supports (animation-timeline: scroll()) {  /* shown only where the box does scroll, and until its end */
  .more { display: block; overflow: hidden; max-height: 0; animation: more linear both;
    animation-timeline: scroll(inline); }
  @keyframes more { 0%, 96% { max-height: 2rem; opacity: 1; } 100% { max-height: 2rem; opacity: 0; } }
}
@media print {
  .more { display: none; }
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; } nav { display: none; }
  .scroll { overflow: visible; } figure, .pair, tr { break-inside: avoid; }
}
"""

_LIGHT = {
    "back": LIGHT.background,
    "text": LIGHT.text,
    "soft": "#5b6475",
    "line": LIGHT.grid,
    "box": "#f5f6f9",
    "link": "#1769aa",
    "warn": "#b8690b",
    "shade": "#00000033",
}
_DARK = {
    "back": DARK.background,
    "text": DARK.text,
    "soft": "#a3acbd",
    "line": DARK.grid,
    "box": "#1f232c",
    "link": "#6cb6ff",
    "warn": "#e0a44a",
    "shade": "#00000099",
}


def style_sheet() -> str:
    """The whole style sheet, the colours of both themes included."""
    light = {**_LIGHT, **{f"series{index}": colour for index, colour in enumerate(LIGHT.series)}}
    dark = {**_DARK, **{f"series{index}": colour for index, colour in enumerate(DARK.series)}}
    return (
        f":root {{ color-scheme: light dark; {_variables(light)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(dark)} }} }}{_SHEET}{_orders()}"
    )


def key(index: int) -> str:
    """The line and marker of the curve of evaluation ``index``, as inline SVG."""
    colour = f"var(--series{index % len(LIGHT.series)})"
    outline = _OUTLINES[MARKERS[index % len(MARKERS)]]
    return (
        '<svg class="key" viewBox="-2.1 -1.2 4.2 2.4" aria-hidden="true">'
        f'<path d="M-2 0H2" stroke="{colour}" stroke-width=".35"/><path d="{outline}" fill="{colour}"/></svg>'
    )


def _orders() -> str:
    """The table in the chosen order is shown: :func:`lwface.reporting.markup.sortable`."""
    numbers = range(1, MOST_ORDERS + 1)
    rules = ", ".join(f".order-{number}:checked ~ .by-{number}" for number in numbers)
    return f".sortable > :is({rules}) {{ display: block; }}\n"


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
