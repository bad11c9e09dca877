"""Embeddings to look at: the layout keeps neighbours, the files against TensorBoard's reader."""

import json

import cv2
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from lwface.base.errors import UserError
from lwface.commands import embeddings, make_people
from lwface.formats import projector
from lwface.formats.projector import make_sprite, write_projector
from lwface.formats.sequence_pickles import read_pose, write_signatures
from lwface.sequences import layout
from lwface.sequences.layout import lay_out, pca, tsne
from tests.browser import WIDTHS, installed_browser, measured


@pytest.fixture(scope="module")
def clusters():
    draw = np.random.default_rng(0)
    return np.concatenate([draw.normal(centre, 1, (8, 10)) for centre in draw.normal(0, 3, (10, 10))])


def test_principal_components(clusters):
    theirs = PCA(2).fit_transform(clusters)
    assert np.abs(pca(clusters)) == pytest.approx(np.abs(theirs), abs=1e-9)
    assert pca(clusters[:, :1]).shape == (80, 2)


def test_neighbours_stay_neighbours(clusters):
    places = tsne(clusters, perplexity=12)
    assert trustworthiness(clusters, places) > 0.95 > trustworthiness(clusters, pca(clusters)) + 0.01
    assert np.array_equal(places, tsne(clusters, perplexity=12))


def test_few_points():
    with pytest.raises(UserError, match="1 point"):
        lay_out(np.ones((1, 3)), "pca")
    assert np.isfinite(lay_out(np.ones((3, 4)), "tsne")).all()  # all on one spot
    assert np.isfinite(lay_out(np.eye(2), "tsne")).all()


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(layout, "available", lambda module: False)
    with pytest.raises(UserError, match=r"scikit-learn is not installed: .*embeddings.*--layout pca"):
        lay_out(np.eye(3), "tsne")


def thumbnails(count, side=8):
    return [np.full((side, side, 3), (place, 10, 250), np.uint8) for place in range(count)]


def test_tensorboard_reads_it(tmp_path):
    rows = np.random.default_rng(0).normal(size=(7, 5)).astype("f4")
    columns = {"person": [f"p{i}" for i in range(7)], "name": [f"v/{i}" for i in range(7)]}
    write_projector(tmp_path, rows, columns, thumbnails(7), name="some")
    routes = ProjectorPlugin(TBContext(logdir=str(tmp_path))).get_plugin_apps()

    def get(route, **query):
        found = Client(routes[route]).get(route, query_string={"run": ".", "name": "some", "num_rows": 100, **query})
        assert found.status_code == 200
        return found

    assert json.loads(get("/runs").data) == ["."]
    (told,) = json.loads(get("/info").data)["embeddings"]
    assert told["sprite"]["singleImageDim"] == [8, 8]
    assert np.frombuffer(get("/tensor").data, "f4").reshape(7, 5) == pytest.approx(rows, rel=1e-6)
    assert get("/metadata").text.splitlines()[:2] == ["person\tname", "p0\tv/0"]
    sprite = cv2.imdecode(np.frombuffer(get("/sprite_image").data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert sprite.shape == (24, 24, 3)
    assert sprite[8, 8].tolist() == [4, 10, 250]  # the middle of three rows of three
    assert not sprite[16:, 8:].any()


def test_what_a_projector_would_misread(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="a tab or a new line"):
        write_projector(tmp_path, np.ones((1, 2)), {"name": ["a\tb"]}, thumbnails(1))
    with pytest.raises(ValueError, match="entries"):
        write_projector(tmp_path, np.ones((2, 2)), {"name": ["a"]}, thumbnails(1))
    write_projector(tmp_path, np.ones((1, 2)), {"name": ["only"]}, thumbnails(1))
    assert (tmp_path / "metadata.tsv").read_text() == "only\n"  # one column has no heading
    monkeypatch.setattr(projector, "LARGEST_SPRITE", 40)
    monkeypatch.setattr(projector, "SMALLEST_THUMBNAIL", 4)
    assert make_sprite(thumbnails(50))[1] == 5
    with pytest.raises(UserError, match="a sprite holds 100"):
        make_sprite(thumbnails(101))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people") / "people"
    flags = ["--people", "3", "--videos", "2", "--sequences", "2", "--frames", "2", "--num-workers", "0"]
    make_people.main(["--output", str(folder), *flags])
    paths = read_pose(folder / "pose.pkl").paths
    signs = np.random.default_rng(0).normal(size=(len(paths), 6)).astype("f4")
    write_signatures(folder / "s.pkl", paths, signs)
    return folder


def show(people, output, *more):
    embeddings.main(
        ["--input", str(people / "images.tar"), "--signatures", str(people / "s.pkl"), "--output", str(output), *more]
    )
    return (output / "report.html").read_text()


def test_the_command(people, tmp_path, capsys):
    page = show(people, tmp_path / "a")
    assert "12 points of 6 numbers" in capsys.readouterr().out
    assert page.count('<div class="dot') == 12
    assert len((tmp_path / "a" / "tensors.tsv").read_text().splitlines()) == 12
    page = show(people, tmp_path / "b", "--unit", "video", "--people", "2", "--layout", "pca")
    assert page.count('<div class="dot') == 4
    assert (tmp_path / "b" / "metadata.tsv").read_text().splitlines()[1] == "person_0000\tperson_0000/video_0000"
    show(people, tmp_path / "c", "--unit", "video", "--people", "2", "--layout", "pca")
    assert (tmp_path / "c" / "report.html").read_bytes() == page.encode()


def test_the_page_in_a_browser(people, tmp_path):
    """It fits a phone, fetches nothing, and a picture shows under the pointer alone."""
    browser = installed_browser()
    page = show(people, tmp_path / "page")
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    for name, seen in measured(browser, tmp_path, {"page": tmp_path / "page" / "report.html"}).items():
        width = WIDTHS[name.split()[1]]
        assert (seen["width"], seen["scroll"]) == (width, width)
        for fault in ("wide", "faint", "small", "resources"):
            assert seen[fault] == [], name


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ([], "give --signatures FILE, or --model MODEL"),
        (["--signatures", "s", "--pose", "p"], "--pose goes with --model"),
        (["--model", "m,1", "--unit", "frame"], "--unit frame"),
        (["--signatures", "s", "--people", "0"], "--people 0"),
    ],
)
def test_typed_wrong(typed, says):
    with pytest.raises(UserError, match=says):
        embeddings.parse_arguments(["--input", ".", "--output", "o", *typed])


def test_signatures_of_other_frames(people, tmp_path):
    write_signatures(tmp_path / "s.pkl", ["person_0/video_0/seq_0/frame_9.jpg"], np.ones((1, 3), "f4"))
    with pytest.raises(UserError, match=r"holds no person_0/video_0/seq_0/frame_9\.jpg"):
        show(people, tmp_path / "o", "--signatures", str(tmp_path / "s.pkl"))
    assert not (tmp_path / "o").exists()
