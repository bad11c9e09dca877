"""The report: parsed, not only written, and its numbers held against the evaluation's."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import re
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.base.origin import Origin, write_origin
from lwface.formats.image import encode_jpeg
from lwface.formats.pair_lists import read_ignored
from lwface.reporting.markup import clean, far_text, one_in, shorten, squared_distance
from lwface.reporting.page import write_report
from lwface.reporting.plots import breakdown_figure, det_figure, histogram_figure, roc_figure
from lwface.reporting.provenance import provenance
from lwface.reporting.row_images import SHOWN, RowImages
from lwface.reporting.themes import DARK, LIGHT, MARKERS
from lwface.scoring.intervals import Difference, Interval
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.tar_far_result import Breakdown, Group, HardPair, Suspects

VOID = {"meta", "img", "source", "br", "input"}
NASTY = "</td><script>alert(1)</script> \"'& <b>$\\frac$\x00\x07 \ud800"


class Page(HTMLParser):
    """Tables by id (a list of the cells' texts a row), images by the id before them, ids, addresses, all text."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.images, self.ids, self.addresses, self.tags = {}, {}, [], [], []
        self.attributes, self.texts, self.section, self.open, self.rows = set(), {}, "", [], None
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        self.attributes |= set(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
            self.section = attributes["id"]
        self.addresses += [attributes[name] for name in ("src", "srcset", "href") if name in attributes]
        if tag == "table":
            self.rows = self.tables[attributes["id"]] = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            assert tag == "td" or attributes["scope"] in ("row", "col", "rowgroup", "colgroup")
            self.rows[-1].append("")
        elif tag == "small" and self.rows and self.rows[-1]:
            self.rows[-1][-1] += "|"
        elif tag == "img":
            assert attributes["alt"]
            self.images.setdefault(self.section, []).append(attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts[self.section] = self.texts.get(self.section, "") + data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def everything(self):
        return "".join(self.texts.values())


def number(text):
    return float(text.replace(",", "").replace("−", "-"))


def interval(text):
    return tuple(number(part) for part in text.split(" to "))


def decode(address):
    found = re.fullmatch(r"data:image/jpeg;base64,(.*)", address)
    assert found, address[:60]
    return cv2.imdecode(np.frombuffer(base64.b64decode(found[1]), dtype=np.uint8), cv2.IMREAD_COLOR)


def report(folder, evaluations, **kwargs):
    path = write_report(folder, evaluations, **kwargs)
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def check_figures(cells, point):
    """The cells of the headline table right of the first against an operating point."""
    if point.tar is None:
        assert cells == [f"not resolvable: needs at least 100,000,000 impostor pairs, the set has {1710:,}"]
        return
    tar, _, between = cells[0].partition("|")
    assert number(tar) == pytest.approx(point.tar, abs=5e-6)
    assert interval(between) == pytest.approx(tuple(point.interval), abs=5e-5)
    assert number(cells[1]) == pytest.approx(point.threshold, abs=5e-7)
    assert number(cells[2]) == pytest.approx(point.achieved_far, rel=5e-3)
    assert cells[3:] == [f"{point.false_accepts:,}", f"{point.true_accepts:,}"]


def undrawn(evaluation):
    """Without anything to plot, which takes most of the time."""
    return dataclasses.replace(evaluation, points=evaluation.points[-1:], roc=None, genuine=None, impostors=None)


@pytest.fixture(scope="module")
def whole(make_evaluation, tmp_path_factory):
    """An evaluation, the folder of its report, and the page."""
    evaluation = make_evaluation(columns={"c": ["x", "y"] * 30})
    folder = tmp_path_factory.mktemp("report") / "new" / "folder"
    return evaluation, folder, report(folder, [evaluation])


def test_the_headline_table_is_the_evaluation(whole):
    evaluation, _, page = whole
    head, *rows = page.tables["operating-points"]
    assert head == ["FAR", "TAR", "threshold", "achieved FAR", "false accepts", "true accepts"]
    assert [row[0] for row in rows] == ["0.1", "1e-2", "1e-8"]
    for row, point in zip(rows, evaluation.points, strict=True):
        check_figures(row[1:], point)
    assert "not an official result" in page.everything
    for text in (f"{evaluation.genuine_pairs:,}", f"{evaluation.impostor_pairs:,}", "all pairs", "model.bin"):
        assert text in page.everything


def test_the_published_results_stand_apart_with_their_sources(whole):
    _, _, page = whole
    rows = [(row[0].split("|")[0].split(",")[0], *row[1:]) for row in page.tables["published-results"][1:]]
    assert rows == [
        ("y2", "0.64691", "0.47191"),
        ("r100fc", "0.80312", "0.64894"),
        ("VarGFaceNet", "0.8878", ""),
        ("AirFace", "0.884", ""),
        ("Efficient PolyFace", "0.942", ""),
        ("first of the light video track", "", "0.6323"),
        ("PolyFace with QAN++", "", "0.72981"),
    ]
    assert all(re.search(r"\|.*(20\d\d|iccv19)", row[0]) for row in page.tables["published-results"][1:])
    assert "cannot be compared" in page.texts["published"]


def test_thresholds_to_deploy_have_all_digits_and_keep_to_the_far(whole):
    evaluation, _, page = whole
    _, *rows = page.tables["deploy"]
    assert len(rows) == 2  # the FAR that is not resolvable has no threshold
    for row, point in zip(rows, evaluation.points, strict=False):
        assert float(row[1]) == point.threshold
        assert float(row[2]) == pytest.approx(2 - 2 * point.threshold, abs=1e-15)
        rate, _, between = row[3].partition("|")
        assert number(rate) == pytest.approx(1 - point.tar, abs=5e-6)
        assert interval(between) == pytest.approx((1 - point.interval.high, 1 - point.interval.low), abs=5e-5)
        assert number(row[4].removeprefix("1 in ")) == pytest.approx(1 / point.achieved_far, rel=0.05)


@given(st.floats(-1.0000001, 1.0000001))
def test_the_squared_distance_is_the_largest_that_accepts_no_lower_cosine(cosine):
    found = Fraction(squared_distance(cosine))
    assert found <= 2 - 2 * Fraction(cosine) < Fraction(float(np.nextafter(squared_distance(cosine), 9)))


def test_several_evaluations_share_a_table_and_one_plot(make_evaluation, tmp_path):
    evaluations = [make_evaluation(name, seed=7, noise=noise) for name, noise in (("a", 0.6), ("b", 1), ("c <d>", 2))]
    changes = ((-0.1, Interval(-0.2, -0.05)), (0.1, Interval(0.05, 0.2)), (0.1, Interval(-0.1, 0.3)), (0.25, None))
    differences = [Difference("a", "b", Fraction("1e-1"), *change) for change in changes]
    differences.append(Difference("a", "c <d>", Fraction("1e-8"), None, None))
    page = report(tmp_path, evaluations, differences=differences)
    rows = page.tables["operating-points"][1:]
    assert [row[0] for row in rows] == [
        *("FAR 0.1", "a", "b", "c <d>"),
        *("FAR 1e-2", "a", "b", "c <d>"),
        *("FAR 1e-8", "a", "b", "c <d>"),
    ]
    for place, evaluation in itertools.product(range(3), evaluations):
        cells = rows[4 * place + 1 + evaluations.index(evaluation)][1:]
        check_figures(cells, evaluation.points[place])
    assert page.tables["difference-table"][1:] == [
        ["FAR 0.1"],
        ["b|minus a", "−0.10000|−0.2000 to −0.0500", "a"],
        ["b|minus a", "+0.10000|+0.0500 to +0.2000", "b"],
        ["b|minus a", "+0.10000|−0.1000 to +0.3000", "not shown"],
        ["b|minus a", "+0.25000", "not known: no interval"],
        ["FAR 1e-8"],
        ["c <d>|minus a", "not resolvable"],
    ]
    assert page.tags.count("details") >= 3
    for place, evaluation in enumerate(evaluations, start=1):
        assert float(page.tables[f"deploy-{place}"][1][1]) == evaluation.points[0].threshold
        assert (tmp_path / f"histogram-{place}.png").is_file()
    assert len(set(page.ids)) == len(page.ids)


def test_a_breakdown_shows_every_value_and_the_gap(make_evaluation, tmp_path):
    values = ["", "", "a", "b <i>", "b <i>", "a"] * 10  # a: one row a person, so no genuine pairs
    values[0] = "alone"  # one row: no pairs
    evaluation = make_evaluation(columns={"pose": values, "all alike": ["x"] * 60})
    page = report(tmp_path, [dataclasses.replace(evaluation, roc=None, genuine=None, impostors=None)])
    breakdown = evaluation.breakdowns[0]
    top, head, *rows, foot = page.tables["breakdown-1"]
    assert top == ["pose", "FAR 0.1", "FAR 1e-2", "rows", "people", "genuine pairs", "impostor pairs"]
    assert head == ["TAR", "achieved FAR"] * 2
    assert [row[0] for row in rows] == ["(empty)", "a", "alone", "b <i>"]
    for row, group in zip(rows, breakdown.groups, strict=True):
        for place, point in enumerate(group.points[:2]):
            shown, achieved = row[1 + 2 * place : 3 + 2 * place]
            if point.tar is None:
                assert (shown, achieved) == ("–", "–" if point.achieved_far is None else far_text(point.achieved_far))
                continue
            tar, _, between = shown.partition("|")
            assert number(tar) == pytest.approx(point.tar, abs=5e-6)
            assert interval(between) == pytest.approx(tuple(point.interval), abs=5e-5)
            assert number(achieved) == pytest.approx(point.achieved_far, rel=5e-3)
        assert row[5:] == [f"{count:,}" for count in group[1:5]]
    assert foot[0] == "largest gap"
    assert number(foot[1].split("|")[0]) == pytest.approx(breakdown.gaps[0][0], abs=5e-6)
    assert number(foot[3].split("|")[0]) == pytest.approx(breakdown.gaps[1][0], abs=5e-6)
    assert "breakdown-2" in page.tables


def test_the_breakdown_chart_places_each_rate(make_evaluation):
    evaluation = make_evaluation(columns={"camera": [f"{row // 3 % 4}" for row in range(60)]})
    (breakdown,) = evaluation.breakdowns
    (axes,) = breakdown_figure(breakdown, evaluation.points).axes
    drawn = {
        (line.get_marker(), float(line.get_xdata()[0]), round(float(line.get_ydata()[0])))
        for line in axes.get_lines()
        if line.get_marker() in MARKERS
    }
    groups = enumerate(breakdown.groups)
    expected = {(MARKERS[p], group.points[p].tar, row) for row, group in groups for p in (0, 1)}
    assert drawn == expected
    assert [label.get_text() for label in axes.get_yticklabels()] == list("0123")
    assert not any(label.get_parse_math() for label in axes.get_yticklabels())  # a value such as $\frac$ is no formula


def test_many_values_are_in_the_table_and_not_drawn(make_evaluation, tmp_path):
    evaluation = make_evaluation(columns={"row": [f"{row // 2:02}" for row in range(60)]})
    group = next(group for group in evaluation.breakdowns[0].groups if group.genuine_pairs)
    many = Breakdown("row", [Group(str(value), *group[1:]) for value in range(41)], evaluation.breakdowns[0].gaps)
    changed = {"roc": None, "genuine": None, "impostors": None, "breakdowns": [many]}
    page = report(tmp_path, [dataclasses.replace(evaluation, **changed)])
    assert len(page.tables["breakdown-1"]) == 2 + 41 + 1
    assert "Not drawn: 41 values" in page.everything
    assert not (tmp_path / "breakdown-1.png").exists()


def write_images(folder, names):
    for value, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_jpeg(np.full((112, 112, 3), 4 * value, dtype=np.uint8)))


def test_faces_are_those_of_the_rows(make_evaluation, tmp_path):
    evaluation = undrawn(make_evaluation())
    names = [f"a/{row} & <b>.jpg" for row in range(60)]
    write_images(tmp_path, names)
    (tmp_path / "filelist.txt").write_text("\n".join(names))
    page = report(tmp_path / "report", [evaluation], faces=RowImages(tmp_path, 60))
    for section, pairs in (
        ("hardest-impostors", evaluation.hardest_impostors),
        ("hardest-genuine", evaluation.hardest_genuine),
    ):
        rows = [row for pair in pairs for row in (pair.left, pair.right)]
        images = page.images[section]
        assert [image["title"] for image in images] == [names[row] for row in rows]
        assert [round(decode(image["src"]).mean() / 4) for image in images] == rows
        for pair in pairs:
            assert f"{pair.score:.6f}".replace("-", "−") in page.texts[section]
            assert f"rows {pair.left} and {pair.right}" in page.texts[section]


def test_a_video_is_shown_by_its_middle_frame_and_a_large_image_smaller(make_evaluation, tmp_path):
    evaluation = undrawn(make_evaluation())
    names = [f"video{row}" for row in range(60)]
    for row, name in enumerate(names):
        write_images(tmp_path / name, ["0.jpg", "1.jpg", "2.jpg"])
        middle = np.full((700, 350, 3), 4 * row, dtype=np.uint8)
        (tmp_path / name / "1.jpg").write_bytes(encode_jpeg(middle))
    (tmp_path / "filelist.txt").write_text("".join(f"{name} 7\n" for name in names))
    page = report(tmp_path / "report", [evaluation], faces=RowImages(tmp_path, 60))
    images = [decode(image["src"]) for image in page.images["hardest-genuine"]]
    shown = [round(image.mean() / 4) for image in images]
    assert shown == [row for pair in evaluation.hardest_genuine for row in (pair.left, pair.right)]
    assert {image.shape for image in images} == {(SHOWN, SHOWN // 2, 3)}


def test_a_list_of_another_length_is_refused_and_a_missing_image_is_named_in_its_place(make_evaluation, tmp_path):
    (tmp_path / "filelist.txt").write_text("a.jpg\nb.jpg\n")
    with pytest.raises(UserError, match="has 2 lines for 60 feature rows"):
        RowImages(tmp_path, 60)
    names = [f"{row}.jpg" for row in range(60)]
    write_images(tmp_path, names)
    (tmp_path / "filelist.txt").write_text("\n".join(names))
    evaluation = undrawn(make_evaluation())
    missing = evaluation.hardest_impostors[0].left
    (tmp_path / names[missing]).unlink()
    page = report(tmp_path / "report", [evaluation], faces=RowImages(tmp_path, 60))
    assert f"no image of row {missing}" in page.texts["hardest-impostors"]
    assert len(page.images["hardest-genuine"]) == 24 - page.texts["hardest-genuine"].count("no image of")


def test_the_label_errors_are_a_file_that_the_command_reads_back(make_evaluation, tmp_path):
    first, second = undrawn(make_evaluation("a")), undrawn(make_evaluation("b", seed=1))
    names = [f"{row}.jpg # 1 2\u2028 3\x85" for row in range(60)]
    write_images(tmp_path, names)
    (tmp_path / "filelist.txt").write_text("\n".join(names))
    report(tmp_path / "report", [first, second], faces=RowImages(tmp_path, 60))
    lists = [
        pair
        for evaluation in (first, second)
        for kind in (evaluation.suspects.impostors, evaluation.suspects.genuine)
        for pair in kind
    ]
    assert len(lists) > 4
    expected = {tuple(pair[:2]) for pair in lists}
    found = read_ignored(tmp_path / "report" / "ignore-pairs.txt", 60)
    assert {tuple(pair) for pair in found.tolist()} == expected
    lines = (tmp_path / "report" / "ignore-pairs.txt").read_text().splitlines()
    assert len(lines) == len(expected)
    pair = first.suspects.impostors[0]
    assert lines[0].startswith(f"{pair.left} {pair.right}  # impostor {pair.score:.4f} {pair.left}.jpg")


def test_the_page_lists_and_counts_the_label_errors(whole):
    evaluation, _, page = whole
    impostors, genuine = evaluation.suspects.impostors, evaluation.suspects.genuine
    assert impostors
    assert genuine
    text = page.texts["label-errors"]
    assert f"{len(impostors) + 5000:,} pairs" in text
    assert f"{len(genuine):,} genuine pairs listed" in text
    assert "1 row resembles nobody of its label" in text
    assert "row 5: at best 0.100 in 2 genuine pairs" in text
    assert "--ignore-pairs" in text
    assert f"the {len(impostors) + len(genuine):,} most suspicious are" in text
    for identifier, pairs in (("suspect-impostors", impostors), ("suspect-genuine", genuine)):
        rows = page.tables[identifier][1:]
        assert [row[2] for row in rows] == [f"{pair.left} and {pair.right}" for pair in pairs][:50]
        assert [number(row[1]) for row in rows] == pytest.approx([pair.score for pair in pairs][:50], abs=5e-5)
    flagged = {pair[:2] for pair in (*impostors, *genuine)}
    shown = [*evaluation.hardest_impostors, *evaluation.hardest_genuine]
    flags = page.texts["hardest-impostors"].count("label?") + page.texts["hardest-genuine"].count("label?")
    assert flags == sum(pair[:2] in flagged for pair in shown)
    often = max(range(60), key=lambda row: sum(row in pair[:2] for pair in impostors))
    assert f"row {often}: {sum(often in pair[:2] for pair in impostors)} pairs" in text


def test_no_label_errors_and_more_than_the_page_shows(make_evaluation, tmp_path):
    none = dataclasses.replace(undrawn(make_evaluation()), suspects=Suspects([], 0, [], 0, False, 0.8125, []))
    page = report(tmp_path / "none", [none])
    assert "no impostor pair scores 0.812 or more" in page.texts["label-errors"]
    assert "Every row resembles another of its label" in page.texts["label-errors"]
    assert "less plain" in page.texts["label-errors"]
    assert (tmp_path / "none" / "ignore-pairs.txt").read_bytes() == b""  # and no list of an earlier report
    many = [HardPair(0, row, 0.95) for row in range(1, 60)]
    page = report(tmp_path / "many", [dataclasses.replace(none, suspects=Suspects(many, 59, [], 0, False, 0.9, None))])
    assert "59 pairs of different people at 0.900 or above" in page.texts["label-errors"]
    assert "Whether a row has somebody else’s label cannot be told" in page.texts["label-errors"]
    assert "and 9 more" in page.everything
    assert "they are all in" in page.texts["label-errors"]
    assert len(read_ignored(tmp_path / "many" / "ignore-pairs.txt", 60)) == 59


def test_a_weak_model_says_nothing_of_labels(make_evaluation, tmp_path):
    page = report(tmp_path, [dataclasses.replace(undrawn(make_evaluation()), suspects=Suspects([], 0, [], 0))])
    assert "Not looked for" in page.texts["label-errors"]
    assert "mostly" not in page.texts["label-errors"]
    assert "--ignore-pairs" not in page.texts["label-errors"]
    assert (tmp_path / "ignore-pairs.txt").read_bytes() == b""


def test_the_single_figures_are_those_of_the_evaluation(whole, make_evaluation, tmp_path):
    _, _, page = whole
    assert page.tables["error-rates"] == [
        ["figure", "rate", "threshold", "counted from"],
        ["equal error rate", "0.18750|0.1250 to 0.2188", "0.250000", "all pairs"],
        ["best accuracy", "0.81250", "0.375000", "a sample"],
    ]
    both = report(tmp_path, [make_evaluation("a"), dataclasses.replace(make_evaluation("b"), error_rates=None)])
    assert [row[0] for row in both.tables["error-rates"]] == ["model", "equal error rate", "a", "best accuracy", "a"]


def test_a_table_is_there_in_each_order_that_can_be_chosen(make_evaluation, tmp_path):
    values = [f"camera {row % 7:02}" for row in range(60)]
    evaluation = dataclasses.replace(make_evaluation(columns={"camera": values}), roc=None, genuine=None)
    path = write_report(tmp_path, [evaluation])
    page, text = Page(path.read_text()), path.read_text()
    labels = re.findall(r'<label for="breakdown-1-order-(\d+)">(.*?)</label>', text)
    names = [
        "value",
        "lowest TAR at 0.1",
        "highest FAR at 0.1",
        "lowest TAR at 1e-2",
        "highest FAR at 1e-2",
        "most rows",
    ]
    assert [label for _, label in labels] == names
    columns = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5}
    whole = {tuple(row) for row in page.tables["breakdown-1"][2:-1]}
    for place, column in columns.items():
        name = "breakdown-1" if place == 1 else f"breakdown-1-by-{place}"
        rows = page.tables[name][2:-1]
        assert {tuple(row) for row in rows} == whole
        figures = [row[column].split("|")[0] for row in rows]
        known = [figure for figure in figures if figure != "–"]
        assert figures[len(known) :] == ["–"] * (len(figures) - len(known))  # those without come last
        keys = known if place == 1 else [number(figure) for figure in known]
        assert keys == sorted(keys, reverse=names[place - 1].startswith(("highest", "most")))
        head = re.search(f'<table id="{name}">(.*?)</thead>', text)[1]
        assert len(re.findall("aria-sort", head)) == 1
    assert len(re.findall(r'name="breakdown-1-order"[^>]* checked', text)) == 1


def test_the_challenges_table_and_the_words_are_folded_away(whole):
    _, folder, _ = whole
    text = (folder / "report.html").read_text()
    assert re.search(r'<details class="apart"><summary><h2 id="published">', text)
    assert "<details open" not in text
    folded = re.findall(r'<details class="terms"><summary>What it means: (.*?)</summary><dl>(.*?)</dl>', text)
    assert len(folded) >= 5
    for words, items in folded:
        assert re.findall("<dt>(.*?)</dt>", items) == words.split(", ")
    for word in ("FAR", "TAR", "threshold", "equal error rate", "squared L2 distance", "gap", "impostor pair"):
        assert any(word in words.split(", ") for words, _ in folded), word


def test_the_page_says_how_it_was_made(make_evaluation, tmp_path):
    (tmp_path / "f.bin").write_bytes(b"features")
    (tmp_path / "l & <b>.txt").write_bytes(b"1\n")
    earlier = Origin(
        "python gen_image_feature.py --output 'a b.bin'", "/x", "2020-01-01 00:00:00+00:00", {"torch": "1"}
    )
    write_origin(tmp_path / "f.bin", earlier)
    run = Origin(
        "lwface tar-far --features f.bin", "/y <i>", "2021-02-03 04:05:06+01:00", {"Python": "3.11", "torch": "2"}
    )
    made = provenance({"features": tmp_path / "f.bin", "labels": tmp_path / "l & <b>.txt"}, run)
    text = report(tmp_path / "r", [undrawn(make_evaluation())], made=made).texts["made"]
    for part in (run.command, run.date, run.folder, earlier.command, earlier.date, "Python 3.11, torch 2", "8 bytes"):
        assert part in text
    for data in (b"features", b"1\n"):
        assert hashlib.sha256(data).hexdigest() in text
    (tmp_path / "f.bin").write_bytes(b"other")  # the note beside it is of other bytes now
    made = provenance({"features": tmp_path / "f.bin"}, run)
    assert earlier.command not in report(tmp_path / "r", [undrawn(make_evaluation())], made=made).texts["made"]


def test_what_comes_from_outside_is_text(make_evaluation, tmp_path):
    evaluation = make_evaluation(NASTY, columns={NASTY: [NASTY, "x"] * 30})
    evaluation = dataclasses.replace(evaluation, protocol=NASTY)
    page = report(tmp_path / "one", [evaluation])
    both = report(
        tmp_path / "two",
        [evaluation, make_evaluation("_b")],
        differences=[Difference(NASTY, NASTY, Fraction(1, 9), 0, None)],
    )
    for found in (page, both):
        assert not {"script", "b x"} & set(found.tags)
        assert not [name for name in found.attributes if name.startswith("on")]
        assert "\x00" not in found.everything
        assert "</td><script>" in found.everything


def test_the_page_stands_alone(whole):
    _, folder, page = whole
    links = [address for address in page.addresses if address.startswith("#")]
    assert links
    assert {link[1:] for link in links} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    others = [address for address in page.addresses if not address.startswith("#")]
    assert others
    assert all(re.fullmatch(r"data:image/(svg\+xml|jpeg);base64,[A-Za-z0-9+/=]+", address) for address in others)
    text = (folder / "report.html").read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|https?://", text)
    assert not {"script", "link", "iframe", "object", "embed", "form"} & set(page.tags)


def test_plots_are_files_too_and_the_same_each_time(whole, tmp_path):
    evaluation, folder, _ = whole
    report(tmp_path, [evaluation])
    names = sorted(path.name for path in folder.iterdir())
    plots = [f"{stem}.{kind}" for stem in ("breakdown-1", "det", "histogram", "roc") for kind in ("png", "svg")]
    assert names == sorted([*plots, "ignore-pairs.txt", "report.html"])
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name
    for name in plots:
        data = (folder / name).read_bytes()
        if name.endswith("png"):
            image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
            assert min(image.shape[:2]) > 300
            assert (image[0, 0] == 255).all()  # for a light page
        else:
            assert ElementTree.fromstring(data).tag.endswith("svg")
            assert b"date" not in data


def test_the_page_shows_the_plots_in_light_and_in_dark(whole):
    _, folder, page = whole
    embedded = [base64.b64decode(address.split(",")[1]) for address in page.addresses if "svg+xml" in address]
    assert len(embedded) == 8
    for dark, light in zip(embedded[::2], embedded[1::2], strict=True):
        assert light in {path.read_bytes() for path in folder.glob("*.svg")}
        colours = set(re.findall(rb"#[0-9a-f]{6}", dark))
        assert DARK.background.encode() in colours
        assert not {LIGHT.background.encode(), LIGHT.text.encode(), LIGHT.series[0].encode()} & colours
        assert re.sub(rb"#[0-9a-f]{6}", b"", dark) == re.sub(rb"#[0-9a-f]{6}", b"", light)


@pytest.mark.parametrize(("draw", "rejected"), [(roc_figure, False), (det_figure, True)])
def test_curves_are_the_rates_with_the_sampled_part_dashed(make_evaluation, draw, rejected):
    evaluation = make_evaluation(exact_up_to=0.05)
    roc, (axes,) = evaluation.roc, draw([evaluation]).axes
    rate = 1 - roc.tar if rejected else roc.tar
    rates = {far: value for far, value in zip(roc.far.tolist(), rate.tolist(), strict=True) if value or not rejected}
    drawn: dict[str, list[float]] = {"-": [], "--": []}
    for line in axes.get_lines():
        if line.get_drawstyle() == "steps-post":
            for far, value in line.get_xydata().tolist():
                if not np.isnan(value):
                    assert rates[far] == value
                drawn[line.get_linestyle()].append(far)
    assert drawn["-"][0] == roc.far[0]
    assert max(drawn["-"]) <= min(drawn["--"])
    assert sum(far > 0.05 for far in drawn["-"]) <= 1  # where it meets the other
    assert min(drawn["--"]) > 0.05
    assert len(drawn["-"]) + len(drawn["--"]) > 100
    points = [line.get_xydata()[0] for line in axes.get_lines() if line.get_markersize() == 9]
    expected = [(point.achieved_far, 1 - point.tar if rejected else point.tar) for point in evaluation.points[:2]]
    np.testing.assert_array_equal(points, expected)
    assert axes.get_xlim() == (1 / evaluation.impostor_pairs, 1)
    assert axes.get_yscale() == ("log" if rejected else "linear")
    (band,) = axes.collections
    low, high = (1 - roc.high, 1 - roc.low) if rejected else (roc.low, roc.high)
    ends = set(band.get_paths()[0].vertices[:, 1].tolist())
    floor = min(ends) if rejected else 0  # a logarithmic axis has no place for 0
    assert ends <= {*high.tolist(), *low.tolist(), floor}
    assert max(ends) == max(high)


def test_curves_of_several_models_differ_in_marker_and_are_named(make_evaluation):
    evaluations = [make_evaluation(name, seed=index) for index, name in enumerate(("_a", "$b_1$", "c" * 90))]
    figure = roc_figure(evaluations)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["_a", "$b_1$"]
    assert re.fullmatch("c+…c+", labels[2])
    assert labels[3:] == ["from a sample of the impostor pairs", "95 % interval"]
    lines = [line for line in figure.axes[0].get_lines() if line.get_markersize() == 5]
    assert [line.get_marker() for line in lines] == ["o", "s", "^"]
    assert len({line.get_color() for line in lines}) == 3


def test_a_histogram_counts_every_pair_and_says_where_it_samples(make_evaluation):
    evaluation = make_evaluation()
    (axes,) = histogram_figure(evaluation).axes
    steps = [patch for patch in axes.patches if patch.get_label() and not patch.get_fill()]
    for patch, histogram in zip(steps, (evaluation.impostors, evaluation.genuine), strict=True):
        density, edges, _ = patch.get_data()
        counts = np.nan_to_num(density) * np.diff(edges) * histogram.counts.sum()
        assert len(counts) <= 121
        cumulative = np.append(0, np.cumsum(histogram.counts))
        found = np.diff(cumulative[np.searchsorted(histogram.edges, edges - 1e-9)])
        np.testing.assert_allclose(counts, found, atol=1e-6)
    assert [patch.get_label() for patch in steps] == ["impostor pairs (a sample)", "genuine pairs"]
    lines = [line.get_xdata()[0] for line in axes.get_lines()]
    assert sorted(lines) == sorted(point.threshold for point in evaluation.points[:2])
    assert [note.get_text() for note in axes.texts] == ["FAR 0.1", "FAR 1e-2"]


def test_what_may_be_absent_is_absent(bare_evaluation, make_evaluation, tmp_path):
    page = report(tmp_path / "bare", [bare_evaluation])
    assert sorted(path.name for path in (tmp_path / "bare").iterdir()) == ["report.html"]
    assert set(page.tables) == {"operating-points", "published-results"}
    assert "none of the FARs asked for can be told" in page.texts["summary"]
    whole = make_evaluation()
    points = [dataclasses.replace(point, interval=None) for point in whole.points]
    page = report(tmp_path / "plain", [dataclasses.replace(whole, points=points, roc=None, genuine=None)])
    assert page.tables["operating-points"][1][1] == f"{whole.points[0].tar:.5f}"
    assert (tmp_path / "plain" / "roc.png").is_file()


def test_scores_that_are_all_alike(make_evaluation, tmp_path):
    """One occupied bin, no false accept to draw, no genuine pair refused."""
    whole = make_evaluation()
    point = OperatingPoint(Fraction("0.5"), 27, 9, float(np.nextafter(1, 2)), 0, 9, Interval(1, 1))
    roc = type(whole.roc)(np.array([0.0, 1.0]), np.ones(2), np.array([2.0, 1.0]), np.ones(2, dtype=bool))
    one = np.zeros(400, dtype=np.int64)
    one[-1] = 9
    histogram = whole.genuine._replace(counts=one)
    changed = {"points": [point], "roc": roc, "genuine": histogram, "impostors": histogram}
    page = report(tmp_path, [dataclasses.replace(whole, **changed)])
    assert page.tables["operating-points"][1][3:] == ["0", "0", "9"]
    assert page.tables["deploy"][1][1] == "1.0000000000000002"
    assert page.tables["deploy"][1][4] == "none seen"


def test_the_full_size(full_size, tmp_path):
    page = report(tmp_path, [full_size])
    row = page.tables["operating-points"][1]
    assert row[0] == "1e-8"
    assert row[4:] == ["17,337", "41,000,000"]
    assert "1,733,745,522,140" in page.everything
    assert page.tables["deploy"][1][4] == "1 in 100,002,626"


def simulate(colour, matrix):
    """CIE L*a*b* of a colour seen with a colour deficiency (Machado et al. 2009, matrices for linear RGB)."""
    part = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    linear = np.clip(np.array(matrix) @ np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.array([c ** (1 / 3) if c > 0.008856 else 7.787 * c + 16 / 116 for c in xyz / [0.9505, 1, 1.089]])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    ],
    ids=["full", "deuteranopia", "protanopia"],
)
def test_colours_are_told_apart_by_the_colour_blind(theme, matrix):
    for colours in (theme.series, (theme.genuine, theme.impostor)):
        for one, other in itertools.combinations(colours, 2):
            assert np.linalg.norm(simulate(one, matrix) - simulate(other, matrix)) > 20


@given(st.text(max_size=80), st.integers(8, 40))
def test_a_shortened_name_keeps_its_ends(text, width):
    short, whole = shorten(text, width), clean(text)
    assert len(short) <= width
    if "…" not in whole and short != whole:
        front, back = short.split("…")
        assert whole.startswith(front)
        assert whole.endswith(back)
        assert len(whole) > len(front) + len(back)
    assert not set("\n\r\0\t\u2028") & set(short)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction("1e-8"), "1e-8"),
        (Fraction("0.29"), "0.29"),
        (0.0000123, "1.23e-5"),
        (0, "0"),
        (Fraction("1e-1"), "0.1"),
        (2.5e-10, "2.5e-10"),
    ],
)
def test_a_far_as_the_field_writes_it(value, text):
    assert far_text(value) == text


def test_odds():
    assert [one_in(rate) for rate in (0, 1e-4, 0.3, 1)] == ["none seen", "1 in 10,000", "1 in 3.33", "1 in 1"]
