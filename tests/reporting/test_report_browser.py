"""The report in a real browser, which measures it from outside."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import numpy as np
import pytest

from lwface.base.origin import Origin
from lwface.formats.image import encode_jpeg
from lwface.reporting.page import write_report
from lwface.reporting.provenance import provenance
from lwface.reporting.row_images import RowImages
from lwface.reporting.training_log import read_run
from lwface.reporting.training_page import write_training_report
from lwface.scoring.intervals import Difference, Interval
from tests.browser import DARK, WIDTHS, dump, installed_browser, measured

LONG = "a/very/long/path/to/a/feature/file/" + "of_one_word_that_has_no_place_to_break" * 4 + ".bin"
RIGHT_TO_LEFT = "نموذج\u202e <b>x</b>"


@pytest.fixture(scope="module")
def browser():
    return installed_browser()


@pytest.fixture(scope="module")
def evaluations(make_evaluation, full_size):
    """Three, with names and values that are hard on a layout; the first has breakdowns, the last very many pairs."""
    people = [row // 3 for row in range(60)]  # a value for each person, so that every value has genuine pairs
    columns = {
        "camera <b>": [f"camera {person}" for person in people],
        LONG: [(RIGHT_TO_LEFT, LONG, "")[person % 3] for person in people],
    }
    first = make_evaluation(LONG, columns=columns)
    return [first, make_evaluation(RIGHT_TO_LEFT, seed=1), full_size]


@pytest.fixture(scope="module")
def pages(evaluations, bare_evaluation, tmp_path_factory):
    """Reports: of one evaluation, of three, and of one with nothing in it."""
    folder = tmp_path_factory.mktemp("reports")
    names = [f"{row} {LONG[-60:]}.jpg" if row % 2 else f"{row} {RIGHT_TO_LEFT[:-4]}.jpg" for row in range(60)]
    names = [name.replace("/", "_") for name in names]
    for name in names[1:]:  # one is missing
        (folder / name).write_bytes(encode_jpeg(np.full((112, 112, 3), 90, dtype=np.uint8)))
    (folder / "filelist.txt").write_text("\n".join(names), encoding="utf-8")
    faces = RowImages(folder, 60)
    first, second, _ = (evaluation.name for evaluation in evaluations)
    changes = [(0.1, Interval(0.05, 0.2)), (-0.01, Interval(-0.1, 0.1)), (None, None)]
    differences = [Difference(first, second, Fraction("1e-1"), *change) for change in changes]
    return {
        "one": write_report(folder / "one", evaluations[:1], faces=faces),
        "three": write_report(folder / "three", evaluations, differences, faces),
        "bare": write_report(folder / "bare", [bare_evaluation]),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_a_desk_and_can_be_read(browser, evaluations, pages, tmp_path, scheme):
    dark = scheme == "dark"
    found = measured(browser, tmp_path, pages, *([DARK] if dark else []))
    assert len(found) == 2 * len(pages)
    for name, seen in found.items():
        report, place = name.split()
        assert (seen["width"], seen["scroll"]) == (WIDTHS[place], WIDTHS[place]), name
        for fault in ("wide", "faint", "small", "resources"):
            assert seen[fault] == [], name
        assert (sum(seen["background"]) < 200) == dark
        pictures = [image for image in seen["images"] if image["kind"] == "data:image/svg+xml"]
        assert len(pictures) == {"one": 5, "three": 7, "bare": 0}[report]
        assert seen["dark"] == [dark] * len(pictures)
        assert all(image["loaded"] and 0 < image["width"] < WIDTHS[place] for image in seen["images"])
        assert all(image["width"] > 0.85 * min(WIDTHS[place], 500) for image in pictures)
        assert seen["texts"] > (300 if report == "three" else 40)
        faces = [image for image in seen["images"] if image["kind"] == "data:image/jpeg"]
        assert bool(faces) == (report in ("one", "three"))
    for report, shown in (("one", evaluations[:1]), ("three", evaluations)):
        for place in WIDTHS:
            rows = [row for row in found[f"{report} {place}"]["table"][1:] if len(row) == 6]
            rates = {point.tar for evaluation in shown for point in evaluation.points if point.tar is not None}
            assert {row[1].split()[0] for row in rows} == {f"{rate:.5f}" for rate in rates}


def test_columns_that_are_cut_off_are_told_where_they_are_and_only_there(browser, pages, tmp_path):
    found = measured(browser, tmp_path, {"one": pages["one"], "three": pages["three"]})
    told = {name: [box for box in seen["cut"] if box["told"]] for name, seen in found.items()}
    for name, seen in found.items():
        assert seen["cut"]
        assert [box["table"] for box in told[name]] == [box["table"] for box in seen["cut"] if box["hidden"]]
    assert {"operating-points", "deploy", "breakdown-1"} <= {box["table"] for box in told["one phone"]}
    assert "operating-points" not in {box["table"] for box in told["one desk"]}


def test_the_chosen_order_is_the_one_shown(browser, pages, tmp_path):
    """As after a click: another radio button is checked. Each shown table is one of its group, and the right one."""
    text = pages["one"].read_text(encoding="utf-8")
    for number in (1, 2, 4):
        chosen = text.replace(" checked>", ">").replace(f'class="order-{number}">', f'class="order-{number}" checked>')
        page = tmp_path / f"{number}.html"
        page.write_text(chosen, encoding="utf-8")
        shown = [box["table"] for box in measured(browser, tmp_path, {"page": page})["page desk"]["cut"]]
        ending = "" if number == 1 else f"-by-{number}"
        groups = [f"breakdown-{column}{ending}" for column in (1, 2)]
        assert [name for name in shown if name.startswith("breakdown")] == groups


@pytest.mark.parametrize("scheme", [[], [DARK]])
def test_the_report_of_a_training_fits_too(browser, tmp_path, scheme):
    log = "".join(
        f'{{"step": {step}, "epoch": 0, "loss": {9 / step}, "acc": 0.1, "lr": 0.1, "images_per_s": 9.5}}\n'
        f'{{"step": {step}, "epoch": 0, "verification": "{pack}", "accuracy": 0.9, "std": 0.01, "xnorm": 1e9}}\n'
        for step in (10, 20, 30, 40)
        for pack in ("lfw", LONG.replace("/", "_"), "heldout")
    )
    runs = []
    for name in ("a", LONG.replace("/", "_")[:200]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.jsonl").write_text(log)
        (tmp_path / name / "config.json").write_text(json.dumps({"models_root": LONG, "lr": 0.1}))
        runs.append(read_run(tmp_path / name))
    made = provenance({"log": tmp_path / "a" / "log.jsonl"}, Origin(f"python {LONG}", LONG, "2020", {"torch": "2"}))
    pages = {"one": write_training_report(tmp_path / "one", runs[:1], made)}
    pages["two"] = write_training_report(tmp_path / "two", runs)
    for name, seen in measured(browser, tmp_path, pages, *scheme).items():
        width = WIDTHS[name.split()[1]]
        assert (seen["width"], seen["scroll"]) == (width, width), name
        for fault in ("wide", "faint", "small", "resources"):
            assert seen[fault] == [], name
        assert [box["told"] for box in seen["cut"]] == [box["hidden"] for box in seen["cut"]]
        assert all(image["loaded"] for image in seen["images"])
        assert len(seen["images"]) == 6


def test_it_opens_from_disk_and_its_table_is_read(browser, evaluations, pages, tmp_path):
    document = dump(browser, tmp_path, pages["one"])
    table = re.search(r'<table id="operating-points">(.*?)</table>', document, re.DOTALL)
    assert table
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in table[1].split("</tr>")]
    for row, point in zip(rows[1:3], evaluations[0].points, strict=False):
        assert row[1].startswith(f"{point.tar:.5f}<small>{point.interval.low:.4f} to {point.interval.high:.4f}")
        assert row[2] == f"{point.threshold:.6f}"
        assert row[4:] == [f"{point.false_accepts:,}", f"{point.true_accepts:,}"]
    assert "needs at least 100,000,000" in rows[3][1]


def test_the_measure_sees_what_it_is_to_see(browser, tmp_path):
    """A page with every fault: what the other test asserts is not empty for want of eyes."""
    page = tmp_path / "bad.html"
    source = '<source media="(prefers-color-scheme: dark)" srcset="data:,">'
    picture = f'<picture>{source}<img src="data:image/png,x"></picture><img src="https://no.invalid/x.png">'
    fault = '<p style="width: 2000px; font-size: 9px; color: #999">wide</p><p style="margin-left: -9px">left</p>'
    page.write_text(f'<!doctype html><body style="background: #fff">{picture}{fault}')
    seen = measured(browser, tmp_path, {"bad": page})["bad phone"]
    assert seen["scroll"] > 2000
    assert [re.sub(" style.*", "", text) for text in seen["wide"]] == ["<p", "<p"]
    assert [size for size, _ in seen["small"]] == [9]
    assert [round(ratio, 2) for ratio, _ in seen["faint"]] == [2.85]
    assert seen["resources"] == ["https://no.invalid/x.png"]
    assert not any(image["loaded"] for image in seen["images"])
