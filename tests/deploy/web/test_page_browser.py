"""The page's own scripts in a real browser: alignment and input against the toolbox, and how the page looks."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from lwface.deploy.web.page import PARTS, make_page
from lwface.deploy.web.runtime import GLUE, SCRIPT, WASM, WebRuntime
from lwface.deploy.web.wish import PageWish
from lwface.formats.alignment import ARCFACE_TEMPLATE, align, similarity_transform
from lwface.formats.landmark_fit import fit
from lwface.onnx.choices import Pixels
from lwface.onnx.model import OnnxNetwork
from tests.browser import DARK, WIDTHS, dump, installed_browser, measured
from tests.deploy.web.conftest import FAKE, checksum
from tests.deploy.web.test_page import MEASURED, RUNTIME

SIZES = [(40, 30), (90, 160), (224, 200)]  # height, width
TAKES = [Pixels(), Pixels(127.5, 1 / 128), Pixels(127.5, 1 / 127.5, "BGR"), Pixels(0.0, 1 / 255, "BGR")]
WAIT = "--virtual-time-budget=20000"


@pytest.fixture(scope="module")
def browser():
    return installed_browser()


@pytest.fixture(scope="module")
def faces():
    """Noise with points of faces in it: small and large, turned, over the edge, one upside down."""
    random = np.random.default_rng(3)
    template = ARCFACE_TEMPLATE - 56.0
    found = []
    for (height, width), scale, turn in zip(SIZES, (0.25, 1.3, 2.1), (0.0, 0.4, 3.0), strict=True):
        turned = template @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * scale
        points = turned + np.array([0.55 * width, 0.4 * height]) + random.normal(0, 1.5 * scale, (5, 2))
        found.append((random.integers(0, 256, (height, width, 3), np.uint8), points))
    return found


@pytest.fixture(scope="module")
def found(browser, faces, tmp_path_factory):
    """What the page's functions make of them."""
    folder = tmp_path_factory.mktemp("alignment")
    random = np.random.default_rng(4)
    takes = [
        {
            "mean": pixels.mean,
            "scale": pixels.scale,
            "order": pixels.color_order,
            "array": "Float32Array",
            "mirrored": m,
        }
        for pixels in TAKES
        for m in (False, True)
    ]
    asked = {
        "template": ARCFACE_TEMPLATE.astype(float).tolist(),
        "side": 112,
        "faces": [
            {"points": points.tolist(), "pixels": image.tolist(), "width": image.shape[1], "height": image.shape[0]}
            for image, points in faces
        ],
        "takes": takes,
        "degenerate": [[[7.0, 9.0]] * 5],
        "features": random.normal(size=(2, 16)).tolist(),
    }
    scripts = [PARTS / "geometry.js", Path(__file__).with_name("alignment.js")]
    text = "".join(f"<script>{path.read_text(encoding='utf-8')}</script>" for path in scripts)
    page = folder / "alignment.html"
    data = f'<script type="application/json" id="asked">{json.dumps(asked)}</script>'
    page.write_text(f'<!doctype html><meta charset="utf-8"><body>{data}{text}', encoding="utf-8")
    told = re.search(r'<pre id="found">(.*?)</pre>', dump(browser, folder, page), re.DOTALL)
    assert told
    return {**json.loads(html.unescape(told[1])), "asked": asked}


def test_the_similarity_is_that_of_the_toolbox(found, faces):
    for told, (_, points) in zip(found["done"], faces, strict=True):
        a, b, c, d = (told["move"][name] for name in "abcd")
        expected = similarity_transform(points, ARCFACE_TEMPLATE.astype(np.float64))
        np.testing.assert_allclose([[a, -b, c], [b, a, d]], expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(told["residual"], fit(points[None]).residual[0], rtol=1e-6)
    assert found["lines"] == [None]


def test_the_crop_is_that_of_the_toolbox(found, faces):
    """OpenCV computes the same in float32: where a value lies between two levels, either may come out."""
    for told, (image, points) in zip(found["done"], faces, strict=True):
        crop = np.array(told["crop"]).reshape(112, 112, 4)
        expected = align(image, points)
        apart = np.abs(crop[..., :3].astype(int) - expected)
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.01
        assert (crop[..., 3] == 255).all()
        assert (expected == 0).all(axis=2).any()  # black outside is seen


def test_the_network_is_fed_as_the_toolbox_feeds_it(found, model):
    crop = np.array(found["done"][0]["crop"]).reshape(112, 112, 4)[..., :3].astype(np.uint8)
    fed = iter(found["fed"])
    for pixels in TAKES:
        for image in (crop, crop[:, ::-1]):
            batch = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
            expected = OnnxNetwork(model, pixels=pixels).as_input(batch)[0]
            np.testing.assert_array_equal(np.array(next(fed), np.float32).reshape(3, 112, 112), expected)


def test_the_cosine(found):
    one, other = np.array(found["asked"]["features"])
    np.testing.assert_allclose(found["cosine"], one @ other / np.sqrt(one @ one * (other @ other)), rtol=1e-12)


def test_a_page_from_disk_starts_its_network(browser, model, tmp_path):
    """The policy lets the scripts run, the bytes arrive unchanged, the module is imported; and it waits for faces."""
    page = tmp_path / "page with space" / "index.html"
    page.parent.mkdir()
    page.write_text(make_page(model, PageWish("y2"), RUNTIME), encoding="utf-8")
    document = dump(browser, tmp_path, page, WAIT)
    assert f'data-model="{checksum(model)}"' in document
    assert f'data-wasm="{checksum(FAKE[WASM])}"' in document
    assert 'data-glue="glue"' in document
    assert re.search(r'<p id="verdict"[^>]*>Waiting for the first and the second face\.</p>', document)


@pytest.mark.parametrize("part", ["runtime-wasm", "runtime-glue", "model"])
def test_a_page_that_was_altered_says_so(part, browser, model, tmp_path):
    page = tmp_path / "index.html"
    whole = make_page(model, PageWish("y2"), RUNTIME)
    start = whole.index(f'id="{part}">') + len(f'id="{part}">')
    page.write_text(whole[: start + 40] + whole[start + 44 :], encoding="utf-8")  # four characters are lost
    document = dump(browser, tmp_path, page, WAIT)
    verdict = re.search(r'<p id="verdict"([^>]*)>([^<]*)</p>', document)
    assert verdict
    assert "problem" in verdict[1]
    assert "this file is damaged: copy it again" in verdict[2]


def test_a_script_that_was_altered_does_not_run(browser, model, tmp_path):
    page = tmp_path / "index.html"
    altered = make_page(model, PageWish("y2"), RUNTIME).replace("async function compare()", "async  function compare()")
    page.write_text(altered, encoding="utf-8")
    assert "If this stays, the file is cut short" in dump(browser, tmp_path, page, WAIT)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_a_desk_and_can_be_read(scheme, browser, model, tmp_path):
    pages = {}
    long = "a_very_long_name_" * 8
    runtime = WebRuntime("9.9.9", FAKE[SCRIPT], FAKE[GLUE], FAKE[WASM])
    for name, wish in {"thresholds": PageWish(long, MEASURED), "bare": PageWish("y2")}.items():
        pages[name] = tmp_path / f"{name}.html"
        shown = make_page(model, wish, runtime).replace(" hidden>", ">")  # what waits for a photograph, too
        pages[name].write_text(shown, encoding="utf-8")
    seen = measured(browser, tmp_path, pages, *([DARK] if scheme == "dark" else []))
    assert len(seen) == 4
    for name, found in seen.items():
        assert (found["width"], found["scroll"]) == (WIDTHS[name.split()[1]],) * 2, name
        for fault in ("wide", "faint", "small", "resources"):
            assert found[fault] == [], name
        assert (sum(found["background"]) < 200) == (scheme == "dark")
        assert found["texts"] > 30
