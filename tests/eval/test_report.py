"""The report: parsed, not only written."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from common.errors import UserError
from common.image import encode_jpeg
from eval.comparisons import Grid
from eval.faces import Faces
from eval.feature_set import FeatureSet
from eval.operating_points import operating_points, parse_fars
from eval.report import write_report
from eval.results import HEADINGS, Results, cells
from eval.survey import HARDEST, roc, survey


class Page(HTMLParser):
    """Table rows, images by the section they are in, and every address the page refers to."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.images, self.addresses, self.texts, self.section, self.open = [], {}, [], {}, "", []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)
        self.section = attributes.get("id", self.section)
        self.addresses += [attributes[name] for name in ("src", "srcset", "href") if name in attributes]
        if tag == "tr":
            self.rows.append([])
        if tag == "img":
            self.images.setdefault(self.section, []).append(attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts[self.section] = self.texts.get(self.section, "") + data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def decode(address):
    found = re.fullmatch(r"data:image/(png|jpeg);base64,(.*)", address)
    assert found, address[:60]
    return cv2.imdecode(np.frombuffer(base64.b64decode(found[2]), dtype=np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
def evaluated():
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 3)
    features = (generator.normal(size=(20, 8))[labels] + generator.normal(size=(60, 8))).astype(np.float32)
    grid = Grid(FeatureSet(features, labels, "f"), None)
    seen = survey(grid)
    points = operating_points(grid, parse_fars("1e-1,1e-2,1e-8"), impostors=seen.impostors)
    return Results(60, 8, grid.genuine_pairs, grid.impostor_pairs, "all <pairs>", points), seen, features, labels


def cosines(features):
    units = features.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return units @ units.T


def test_the_survey_finds_the_hardest_pairs_and_counts_every_pair(evaluated):
    _, seen, features, labels = evaluated
    first, second = np.triu_indices(60, 1)
    scores, same = cosines(features)[first, second], labels[first] == labels[second]
    for kind, found, histogram, sign in (
        (same, seen.hardest_genuine, seen.genuine, 1),
        (~same, seen.hardest_impostors, seen.impostors, -1),
    ):
        order = np.argsort(sign * scores[kind])[:HARDEST]
        assert [(pair.left, pair.right) for pair in found] == list(
            zip(first[kind][order], second[kind][order], strict=True)
        )
        np.testing.assert_allclose([pair.score for pair in found], scores[kind][order], rtol=1e-12)
        assert histogram.counts.sum() == kind.sum()
        expected, _ = np.histogram(scores[kind], histogram.edges[::64])
        grouped = np.add.reduceat(histogram.counts, np.arange(0, len(histogram.counts) - 64, 64))
        assert np.abs(grouped[: len(expected)] - expected).sum() <= 4  # scores on an edge may fall on either side
    curve = roc(seen.genuine, seen.impostors)
    assert (curve.far[0], curve.tar[0]) == (1, 1)
    assert (np.diff(curve.far) <= 0).all()


def test_the_page_is_whole_and_stands_alone(evaluated, tmp_path):
    results, seen, _, _ = evaluated
    path = write_report(tmp_path / "new" / "folder", results, seen)
    page = Page(path.read_text())
    assert page.rows[0] == list(HEADINGS)
    assert [tuple(row) for row in page.rows[1:3]] == [cells(point) for point in results.points[:2]]
    assert page.rows[3] == [
        "1e-08",
        f"not resolvable: needs at least 100000000 impostor pairs, the set has {results.impostor_pairs}",
    ]
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert "http" not in path.read_text()
    for image in page.images["operating-points"]:
        height, width, _ = decode(image["src"]).shape
        assert min(height, width) > 400
    everything = "".join(page.texts.values())
    assert "not an official result" in everything
    assert "all <pairs>" in everything
    for name in ("roc", "histogram"):
        assert (path.parent / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert len(page.images["operating-points"]) == 2
    assert f"{seen.hardest_impostors[0].score:.6f}" in page.texts["hardest-impostors"]


def write_images(folder, names):
    for value, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_jpeg(np.full((112, 112, 3), 4 * value, dtype=np.uint8)))


def test_faces_are_those_of_the_rows(evaluated, tmp_path):
    results, seen, _, _ = evaluated
    names = [f"a/{row} & <b>.jpg" for row in range(60)]
    write_images(tmp_path, names)
    (tmp_path / "filelist.txt").write_text("\n".join(names))
    page = Page(write_report(tmp_path / "report", results, seen, Faces(tmp_path, 60)).read_text())
    for section, pairs in (("hardest-impostors", seen.hardest_impostors), ("hardest-genuine", seen.hardest_genuine)):
        rows = [row for pair in pairs for row in (pair.left, pair.right)]
        images = page.images[section]
        assert [image["title"] for image in images] == [names[row] for row in rows]
        assert [round(decode(image["src"]).mean() / 4) for image in images] == rows


def test_a_video_is_shown_by_its_middle_frame(evaluated, tmp_path):
    results, seen, _, _ = evaluated
    names = [f"video{row}" for row in range(60)]
    for row, name in enumerate(names):
        write_images(tmp_path / name, ["0.jpg", "1.jpg", "2.jpg"])
        (tmp_path / name / "1.jpg").write_bytes(encode_jpeg(np.full((112, 112, 3), 4 * row, dtype=np.uint8)))
    (tmp_path / "filelist.txt").write_text("".join(f"{name} 7\n" for name in names))
    page = Page(write_report(tmp_path / "report", results, seen, Faces(tmp_path, 60)).read_text())
    shown = [round(decode(image["src"]).mean() / 4) for image in page.images["hardest-genuine"]]
    assert shown == [row for pair in seen.hardest_genuine for row in (pair.left, pair.right)]


def test_a_list_of_another_length_and_a_missing_image_are_named(evaluated, tmp_path):
    results, seen, _, _ = evaluated
    (tmp_path / "filelist.txt").write_text("a.jpg\nb.jpg\n")
    with pytest.raises(UserError, match="has 2 lines for 60 feature rows"):
        Faces(tmp_path, 60)
    (tmp_path / "filelist.txt").write_text("".join(f"{row}.jpg\n" for row in range(60)))
    with pytest.raises(FileNotFoundError, match=r"\d+\.jpg"):
        write_report(tmp_path / "report", results, seen, Faces(tmp_path, 60))
    assert not (tmp_path / "report" / "report.html").exists()


def test_scores_that_are_all_one(tmp_path):
    """One occupied bin, no false accept to draw."""
    grid = Grid(FeatureSet(np.ones((9, 2), dtype=np.float32), np.repeat(np.arange(3), 3), "f"), None)
    seen = survey(grid)
    points = operating_points(grid, parse_fars("0.5"), impostors=seen.impostors)
    Page(write_report(tmp_path, Results(9, 2, 9, 27, "all pairs", points), seen).read_text())
