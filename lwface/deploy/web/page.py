"""The HTML file: the page's own text and scripts, onnxruntime-web and the model, all in one.

A browser that opens a page from disk gives it no other file: Chromium refuses ``fetch``, ``import``, workers and
``integrity`` there. So the page carries the bytes, compressed, and is all there is to hand on. Its policy names its
scripts by their digests and forbids every connection; ``blob:`` is for the module that onnxruntime-web imports, which
is handed over as bytes too, ``wasm-unsafe-eval`` for WebAssembly, which there is no narrower word for.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from lwface.base.errors import UserError
from lwface.deploy.web.runtime import PACKAGE, WebRuntime
from lwface.deploy.web.wish import MeasuredThresholds, PageWish, Threshold
from lwface.formats.alignment import ARCFACE_TEMPLATE, CROP_SIZE
from lwface.formats.landmark_order import MAX_RESIDUAL
from lwface.onnx.choices import Pixels
from lwface.onnx.graph import fixed_batch, image_input, parse
from lwface.onnx.model import OnnxNetwork
from lwface.reporting.markup import escape, far_text, one_in, plural, row, table, with_interval
from lwface.reporting.style import style_sheet
from lwface.scoring.intervals import Interval

PARTS = Path(__file__).with_name("page")
SCRIPTS = ("geometry.js", "view.js", "photograph.js", "main.js")
LEVEL = 9  # of gzip
LARGEST_TEXT = 500_000_000  # characters of one part: the longest string of Chromium has 2**29 - 24
# What a model may take, by the number of ONNX's type: the types of onnxruntime-web's tensors and JavaScript's arrays.
TENSORS = {
    1: ("float32", "Float32Array"),
    2: ("uint8", "Uint8Array"),
    3: ("int8", "Int8Array"),
    5: ("int16", "Int16Array"),
    6: ("int32", "Int32Array"),
    11: ("float64", "Float64Array"),
}
HEADINGS = ("FAR", "these two", "threshold", "TAR")
NO_THRESHOLDS = (
    "From which cosine two faces are called one person depends on the network, and is measured: this page was made "
    "without a report of eval/tar_far.py, so it names no threshold."
)


def make_page(model: bytes, wish: PageWish, runtime: WebRuntime) -> str:
    """The text of the file.

    Args:
        model: of an ONNX model that says in its metadata what it takes.

    Raises:
        UserError: the page cannot feed the model, the report is not of it, or a script cannot stand in a page.
    """
    network = OnnxNetwork(model, name=wish.name)
    facts = _facts(network, wish.measured)
    script = "".join(f"{(PARTS / name).read_text(encoding='utf-8')}\n" for name in SCRIPTS)
    library = _text(runtime.script)
    style = style_sheet() + (PARTS / "style.css").read_text(encoding="utf-8")
    return _template("page.html").substitute(
        policy=_policy([library, script], style),
        name=escape(wish.name),
        style=style,
        photographs="".join(_photograph(place) for place in ("first", "second")),
        thresholds=_thresholds(wish.measured),
        facts_table=_facts_table(network, wish, runtime),
        facts=json.dumps(facts, allow_nan=False).replace("<", "\\u003c"),
        glue=_packed(runtime.glue),
        wasm=_packed(runtime.wasm),
        model=_packed_model(model, wish.name),
        runtime=library,
        script=script,
    )


def _facts(network: OnnxNetwork, measured: MeasuredThresholds | None) -> dict[str, Any]:
    """What the scripts are told."""
    parsed = parse(network.model, network.name)
    entry = image_input(parsed, network.name)
    if (fixed_batch(parsed, network.name) or 1) != 1:
        raise UserError(
            f"{network.name}: takes {fixed_batch(parsed, network.name)} images at once; a page gives it one"
        )
    if entry.type.tensor_type.elem_type not in TENSORS:
        known = ", ".join(name for name, _ in TENSORS.values())
        raise UserError(f"{network.name}: takes a kind of number that the page cannot give; it can give {known}")
    if measured and measured.width != network.embedding_size:
        of = f"features of {measured.width} numbers, this model gives {network.embedding_size}"
        raise UserError(f"--report {measured.name}: is of {of}; give the report of this model's own features")
    kind, array = TENSORS[entry.type.tensor_type.elem_type]
    return {
        "input": entry.name,
        "output": network.output,
        "type": kind,
        "array": array,
        "mean": network.pixels.mean,
        "scale": network.pixels.scale,
        "order": network.pixels.color_order,
        "side": CROP_SIZE,
        "template": ARCFACE_TEMPLATE.astype(float).tolist(),
        "largestResidual": MAX_RESIDUAL,
        "thresholds": [_threshold_fact(point) for point in measured.thresholds] if measured else [],
    }


def _threshold_fact(point: Threshold) -> dict[str, Any]:
    return {"threshold": point.threshold, "rate": point.far, "words": f"{one_in(point.far)} pairs"}


def _policy(scripts: list[str], style: str) -> str:
    """The Content-Security-Policy: these scripts and this style, and no connection to anywhere."""
    sources = " ".join(_digest(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {sources} blob: 'wasm-unsafe-eval'; style-src {_digest(style)}; "
        "img-src data:; connect-src 'none'; worker-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _packed(data: bytes) -> str:
    """base64 of gzip; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(data, LEVEL, mtime=0)).decode()


def _packed_model(model: bytes, name: str) -> str:
    text = _packed(model)
    if len(text) > LARGEST_TEXT:
        most = f"a page holds at most some {LARGEST_TEXT * 3 // 4 // 10**6} MB"
        raise UserError(f"{name}: has {len(model) // 10**6} MB, {most}; --precision fp16 halves it")
    return text


def _text(script: bytes) -> str:
    """A script of another program as it stands in a page."""
    try:
        text = script.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{PACKAGE}'s script is no text; fetch it again") from None
    if "\r" in text or "\0" in text or any(end in text.lower() for end in ("</script", "<!--")):
        raise UserError(f"{PACKAGE}'s script cannot stand inside a page: use the version that this was tested with")
    return text


def _template(name: str) -> Template:
    return Template((PARTS / name).read_text(encoding="utf-8"))


def _photograph(place: str) -> str:
    """Where one of the two photographs is chosen and aligned."""
    return _template("photograph.html").substitute(
        place=place, title=f"{place.capitalize()} photograph", side=CROP_SIZE, guide=_guide()
    )


def _guide() -> str:
    """A drawing of a face with the five points."""
    points = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7"/>' for x, y in ARCFACE_TEMPLATE)
    outline = '<path d="M14 46C14 6 98 6 98 46C98 78 80 108 56 108C32 108 14 78 14 46Z"/>'
    return f'<svg class="guide" viewBox="0 0 112 112" aria-hidden="true">{outline}{points}</svg>'


def _thresholds(measured: MeasuredThresholds | None) -> str:
    if measured is None:
        return f'<p class="soft">{NO_THRESHOLDS}</p>'
    rows = [row(HEADINGS, _cells(point), ("", "here")) for point in measured.thresholds]
    interval = ", with the interval of 95 %" if any(point.interval for point in measured.thresholds) else ""
    return (
        f"{table('thresholds', 'Thresholds', HEADINGS, rows)}"
        f'<p class="soft">Measured on {plural(measured.impostor_pairs, "pair")} of two people and '
        f"{plural(measured.genuine_pairs, 'pair')} of one, from {plural(measured.rows, 'photograph')} "
        f"({escape(measured.name)}). <b>FAR</b>: the share of pairs of two people that are called one person. "
        f"<b>TAR</b>: the share of pairs of one person that are{interval}. With other people and "
        "cameras both are others. The thresholds hold for features of the photograph plus its mirror image, which "
        "gen_image_feature.py writes.</p>"
    )


def _cells(point: Threshold) -> list[str]:
    if point.threshold is None or point.tar is None:
        return [
            far_text(point.far),
            f"not known: {escape(re.sub(r'[0-9]{4,}', lambda digits: f'{int(digits[0]):,}', point.reason))}",
        ]
    far = f"{far_text(point.far)}<small>{one_in(point.far)}</small>"
    return [far, "–", f"{point.threshold:.4f}", with_interval(point.tar, point.interval and Interval(*point.interval))]


def _range(pixels: Pixels) -> str:
    """What a model takes, in words."""
    low, high = ((end - pixels.mean) * pixels.scale for end in (0, 255))
    return f"from {low:.4g} to {high:.4g}, {pixels.color_order}"


def _facts_table(network: OnnxNetwork, wish: PageWish, runtime: WebRuntime) -> str:
    """What the network is, for whoever has the page."""
    guessed = " (guessed)" if network.told.assumed else ""
    facts: Mapping[str, str] = {
        "network": escape(wish.name),
        "numbers in a feature": f"{network.embedding_size:,}",
        "feature": "of the face plus that of its mirror image",
        "takes pixels": escape(_range(network.pixels)) + guessed,
        "bytes": f"{len(network.model):,}",
        "SHA-256 of model.onnx": f'<span class="digits">{hashlib.sha256(network.model).hexdigest()}</span>',
        "run by": f"{PACKAGE} {escape(runtime.version)}, WebAssembly",
    }
    items = "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in facts.items())
    return f'<dl class="figures">{items}</dl>'
