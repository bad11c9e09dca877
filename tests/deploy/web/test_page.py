"""The HTML file: what it holds, what its policy allows, and what cannot be put into one."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import onnx
import onnxruntime
import pytest

from lwface.base.errors import UserError
from lwface.deploy.web import page as page_module
from lwface.deploy.web.page import make_page
from lwface.deploy.web.runtime import GLUE, SCRIPT, WASM, WebRuntime
from lwface.deploy.web.wish import MeasuredThresholds, PageWish, Threshold
from lwface.onnx.choices import Pixels
from lwface.onnx.model import OnnxNetwork, relabel
from tests.deploy.web.conftest import FAKE

RUNTIME = WebRuntime("9.9.9", FAKE[SCRIPT], FAKE[GLUE], FAKE[WASM])
MEASURED = MeasuredThresholds(
    "scores <b>.json",
    16,
    90,
    50,
    1234567,
    (Threshold(1e-2, 0.31, 0.8, (0.7, 0.9)), Threshold(1e-8, None, None, None, "needs at least 100000000 <i>")),
)


class Reader(HTMLParser):
    """The scripts and styles of a page, with their attributes, and all that refers to somewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.parts: list[tuple[str, dict[str, str | None], str]] = []
        self.references: list[str | None] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.parts.append((tag, found, ""))
        self.references += [found[name] for name in ("src", "href", "action", "data") if name in found]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]

    def handle_endtag(self, tag):
        self.parts.append(("", {}, ""))

    def handle_data(self, data):
        if self.parts:
            tag, attributes, text = self.parts[-1]
            self.parts[-1] = tag, attributes, text + data

    def texts(self, tag):
        return [(attributes, text) for name, attributes, text in self.parts if name == tag]


@pytest.fixture(scope="module")
def page(model):
    return make_page(model, PageWish("y2 <b>", MEASURED), RUNTIME)


def test_it_carries_the_bytes(page, model):
    data = {attributes["id"]: text for attributes, text in Reader(page).texts("script") if "id" in attributes}
    carried = {
        name: gzip.decompress(base64.b64decode(data[name])) for name in ("model", "runtime-wasm", "runtime-glue")
    }
    assert carried == {"model": model, "runtime-wasm": FAKE[WASM], "runtime-glue": FAKE[GLUE]}
    assert hashlib.sha256(model).hexdigest() in page


def test_its_policy_names_each_script_and_style_and_nothing_else(page):
    reader = Reader(page)
    run = [text for attributes, text in reader.texts("script") if "type" not in attributes]
    styles = [text for _, text in reader.texts("style")]
    assert run[0].encode() == FAKE[SCRIPT]  # unchanged
    assert (len(run), len(styles)) == (2, 1)
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in [*run, *styles]
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in reader.policy.split(";"))
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == f"{digests[0]} {digests[1]} blob: 'wasm-unsafe-eval'"
    assert rules["style-src"] == digests[2]
    assert "unsafe-inline" not in reader.policy


def test_it_refers_to_nothing(page):
    assert Reader(page).references == ["data:,"]
    assert not re.search(
        r"\son\w+=|\sstyle=|https?://", re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.S)
    )


def test_names_cannot_become_markup(page):
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "y2 &lt;b&gt;" in outside
    assert "scores &lt;b&gt;.json" in outside
    assert "100,000,000 &lt;i&gt;" in outside
    hostile = make_page(pooling(name="</script>"), PageWish("</script><script>alert(1)</script>"), RUNTIME)
    assert facts_of(hostile)["input"] == "</script>"
    assert "<script>alert" not in hostile


def pooling(kind=onnx.TensorProto.FLOAT, batch="N", name="x"):
    """A model whose input has any kind of number, batch and name."""
    helper = onnx.helper
    nodes = [
        helper.make_node("Cast", [name], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("AveragePool", ["float"], ["map"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Flatten", ["map"], ["fc1"]),
    ]
    data = helper.make_tensor_value_info(name, kind, [batch, 3, 112, 112])
    result = helper.make_tensor_value_info("fc1", onnx.TensorProto.FLOAT, [batch, 48])
    graph = helper.make_graph(nodes, "graph", [data], [result])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def facts_of(page):
    return json.loads({a.get("id"): text for a, text in Reader(page).texts("script")}["facts"])


def test_the_scripts_are_told_what_the_model_takes(page, model):
    facts = facts_of(page)
    assert (facts["input"], facts["output"], facts["type"], facts["array"]) == (
        "data",
        "fc1",
        "float32",
        "Float32Array",
    )
    assert (facts["mean"], facts["scale"], facts["order"]) == (0, 1, "RGB")
    assert facts["thresholds"][0] == {"threshold": 0.31, "rate": 0.01, "words": "1 in 100 pairs"}
    assert facts["thresholds"][1]["threshold"] is None
    other = relabel(OnnxNetwork(model), Pixels(127.5, 1 / 128, "BGR"))
    facts = facts_of(make_page(other, PageWish("y2"), RUNTIME))
    assert (facts["mean"], facts["scale"], facts["order"]) == (127.5, 1 / 128, "BGR")


@pytest.mark.parametrize(
    ("kind", "array"), [("UINT8", "Uint8Array"), ("INT32", "Int32Array"), ("DOUBLE", "Float64Array")]
)
def test_kinds_of_numbers(kind, array):
    data = pooling(getattr(onnx.TensorProto, kind))
    assert onnxruntime.InferenceSession(data).get_inputs()[0].type != "tensor(float)"
    assert facts_of(make_page(data, PageWish("y2"), RUNTIME))["array"] == array


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (pooling(batch=4), "takes 4 images at once; a page gives it one"),
        (pooling(onnx.TensorProto.FLOAT16), "takes a kind of number that the page cannot give"),
        (pooling(onnx.TensorProto.INT64), "takes a kind of number that the page cannot give"),
    ],
)
def test_what_a_page_cannot_feed_is_refused(model, message):
    with pytest.raises(UserError, match=message):
        make_page(model, PageWish("y2"), RUNTIME)


def test_a_model_that_no_browser_could_read_is_refused(model, monkeypatch):
    monkeypatch.setattr(page_module, "LARGEST_TEXT", 1000)
    with pytest.raises(UserError, match="y2: has 0 MB, a page holds at most some 0 MB; --precision fp16 halves it"):
        make_page(model, PageWish("y2"), RUNTIME)


def test_a_report_of_another_width_is_refused(model):
    other = dataclasses.replace(MEASURED, width=512)
    with pytest.raises(UserError, match="is of features of 512 numbers, this model gives 16"):
        make_page(model, PageWish("y2", other), RUNTIME)


@pytest.mark.parametrize("script", [b"'</SCRIPT>'", b"'<!-- '", b"a\r\nb", b"\xff", b"\0"])
def test_a_script_that_a_page_would_change_is_refused(script, model):
    with pytest.raises(UserError, match="onnxruntime-web's script"):
        make_page(model, PageWish("y2"), RUNTIME.__class__("9", script, b"", b""))


def test_the_same_model_gives_the_same_page(page, model):
    assert make_page(model, PageWish("y2 <b>", MEASURED), RUNTIME) == page


def test_an_interval_is_spoken_of_where_there_is_one(page, model):
    assert "that are, with the interval of 95 %. With" in page
    bare = tuple(dataclasses.replace(point, interval=None) for point in MEASURED.thresholds)
    without = make_page(model, PageWish("y2", dataclasses.replace(MEASURED, thresholds=bare)), RUNTIME)
    assert "pairs of one person that are. With other people" in without
    assert "95 %" not in without


def test_without_a_report_it_says_that_it_has_no_threshold(model):
    text = make_page(model, PageWish("y2"), RUNTIME)
    assert "it names no threshold" in text
    assert 'id="thresholds"' not in text
    assert np.array_equal(facts_of(text)["thresholds"], [])
