"""The report of an evaluation: one HTML file that needs nothing else, and its plots as PNG files beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from common.files import PathLike, replacing, write_text
from eval.faces import Faces
from eval.plots import DARK, LIGHT, histogram_png, roc_png
from eval.results import CAVEAT, HEADINGS, Results, cells
from eval.selection import BINS_PER_UNIT
from eval.survey import HardPair, Survey

STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1f2430; --soft: #5b6475; --line: #d9dde5; --box: #f4f6f9; }
@media (prefers-color-scheme: dark) {
  :root { --back: #171a21; --text: #e6e9ef; --soft: #a3acbd; --line: #343a46; --box: #20242d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 68rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .6rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
.caveat { border-left: 4px solid #c98a1b; padding: .5rem .8rem; background: var(--box); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem; margin: 1rem 0; }
dl div { background: var(--box); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .8rem; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; } td.why { text-align: left; color: var(--soft); white-space: normal; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .85rem; }
.plots img { width: 100%; height: auto; border: 1px solid var(--line); border-radius: .5rem; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.6rem, 1fr)); gap: .7rem; }
.pair { background: var(--box); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; }
.pair b { font-variant-numeric: tabular-nums; } .pair span { display: block; font-size: .8rem; color: var(--soft); }
.pair .faces { display: flex; gap: .3rem; margin-bottom: .3rem; }
.pair img { width: 50%; min-width: 0; height: auto; border-radius: .25rem; }
@media (max-width: 40rem) {
  body { padding: .8rem; }
  table, tbody, tr { display: block; } thead { display: none; }
  tr { border: 1px solid var(--line); border-radius: .5rem; background: var(--box); padding: .4rem .8rem;
    margin-bottom: .6rem; }
  td { display: flex; justify-content: space-between; border: 0; padding: .15rem 0; }
  td::before { content: attr(data-name); color: var(--soft); } td.why::before { content: none; }
}
"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>TAR at FAR</title><style>{style}</style></head><body>
<h1>Face verification: TAR at FAR</h1>
<p class="soft">Exact 1:1 scores over {protocol}</p>
<p class="caveat">{caveat}</p>
<dl>{figures}</dl>
<h2>Operating points</h2>
<div class="scroll"><table id="operating-points"><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div>
<p class="soft">A pair is accepted when its score is at least the threshold: the smallest at which the impostor pairs
accepted are at most FAR times all of them. All counts are exact.</p>
<h2>Curves</h2>
<div class="plots">{plots}</div>
<h2>Hardest impostor pairs</h2>
<p class="soft">Different people, highest scores. A score near 1 often means a wrong label.</p>
<div class="pairs" id="hardest-impostors">{impostors}</div>
<h2>Hardest genuine pairs</h2>
<p class="soft">The same person, lowest scores. A score near or below 0 often means a wrong label.</p>
<div class="pairs" id="hardest-genuine">{genuine}</div>
</body></html>
"""


def write_report(folder: PathLike, results: Results, seen: Survey, faces: Faces | None = None) -> Path:
    """Write ``report.html``, ``roc.png`` and ``histogram.png`` into ``folder``; returns the path of the first.

    Args:
        folder: made when missing.
        results: the operating points.
        seen: the scores behind them.
        faces: the images of the rows, when there are any.

    Raises:
        UserError: an image of a pair shown does not decode.
    """
    target = Path(folder)
    plots = []
    for name, draw, caption in (
        ("roc", roc_png, f"ROC. The line is drawn at scores 1/{BINS_PER_UNIT} apart; the points are exact."),
        ("histogram", histogram_png, "Scores of genuine and impostor pairs, with the threshold of each FAR."),
    ):
        light, dark = (draw(seen.genuine, seen.impostors, results.points, theme) for theme in (LIGHT, DARK))
        with replacing(target / f"{name}.png") as file:
            file.write(light)
        plots.append(
            f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{_embed(dark, "png")}">'
            f'<img src="{_embed(light, "png")}" alt="{name}"></picture><figcaption>{caption}</figcaption></figure>'
        )
    figures = {
        "rows": results.rows,
        "numbers a row": results.dim,
        "genuine pairs": results.genuine_pairs,
        "impostor pairs": results.impostor_pairs,
    }
    page = PAGE.format(
        style=STYLE,
        protocol=html.escape(results.protocol),
        caveat=html.escape(CAVEAT),
        figures="".join(f"<div><dt>{name}</dt><dd>{value:,}</dd></div>" for name, value in figures.items()),
        headings="".join(f"<th>{heading}</th>" for heading in HEADINGS),
        rows="".join(_table_row(cells(point), point.reason) for point in results.points),
        plots="".join(plots),
        impostors=_pairs(seen.hardest_impostors, faces),
        genuine=_pairs(seen.hardest_genuine, faces),
    )
    write_text(target / "report.html", page)
    return target / "report.html"


def _table_row(texts: Sequence[str], reason: str | None) -> str:
    found = [f'<td data-name="{name}">{text}</td>' for name, text in zip(HEADINGS, texts, strict=False)]
    if reason is not None:
        found.append(f'<td class="why" colspan="{len(HEADINGS) - 1}">not resolvable: {html.escape(reason)}</td>')
    return f"<tr>{''.join(found)}</tr>"


def _pairs(pairs: Sequence[HardPair], faces: Faces | None) -> str:
    shown = []
    for pair in pairs:
        images = "" if faces is None else "".join(_image(faces, row) for row in (pair.left, pair.right))
        images = f'<div class="faces">{images}</div>' if images else ""
        shown.append(
            f'<div class="pair">{images}<b>{pair.score:.6f}</b><span>rows {pair.left} and {pair.right}</span></div>'
        )
    return "".join(shown)


def _image(faces: Faces, row: int) -> str:
    data = _embed(faces.jpeg(row), "jpeg")
    return f'<img src="{data}" alt="row {row}" title="{html.escape(faces.name(row))}">'


def _embed(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
