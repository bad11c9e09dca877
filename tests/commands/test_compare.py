"""Two faces compared on the command line: the cosine, its meaning, the picture, and what is refused."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

import lwface
from lwface.base.errors import UserError
from lwface.commands import compare, gen_image_feature, tar_far
from lwface.formats.feature_file import read_features
from lwface.models import shipped
from lwface.models.shipped import digests, shipped_path
from lwface.models.shipping import ship, write_notes
from lwface.models.store import save_model
from lwface.networks import create_network
from lwface.reporting.comparison import write_comparison
from lwface.synthetic.render import sample_image
from tests.documented_programs import SETTINGS, pictures


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model, twelve faces of six people with their features, and the scores of these."""
    folder = tmp_path_factory.mktemp("compare")
    torch.manual_seed(0)
    save_model(str(folder / "model"), 1, create_network(SETTINGS).eval(), SETTINGS)
    model = f"{folder / 'model'},1"
    faces = pictures(12)
    for row, face in enumerate(faces):
        cv2.imwrite(str(folder / f"{row}.png"), face[:, :, ::-1])
    (folder / "filelist.txt").write_text("".join(f"{row}.png\n" for row in range(12)))
    (folder / "labels.txt").write_text("".join(f"{row // 2}\n" for row in range(12)))
    gen_image_feature.main(["--model", model, "--input", str(folder), "--output", str(folder / "f.bin")])
    features = ["--features", str(folder / "f.bin"), "--labels", str(folder / "labels.txt")]
    tar_far.main([*features, "--far", "0.2,0.05", "--json", str(folder / "scores.json")])
    return folder, model, faces


def run(world, *arguments, images=("0.png", "1.png")):
    folder, model, _ = world
    compare.main([*(str(folder / name) for name in images), "--model", model, *map(str, arguments)])


def test_the_score_is_that_of_the_feature_file(world, capsys):
    folder, model, faces = world
    features = read_features(folder / "f.bin")
    run(world, "--json", images=("3.png", "8.png"))
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["cosine"]
    assert found["cosine"] == pytest.approx(float(features[3] @ features[8]), abs=2e-6)
    assert found["cosine"] == lwface.compare(lwface.load_model(model), faces[3], faces[8], flip=True)
    run(world, "--no-flip", "--json", folder / "o.json", images=("3.png", "8.png"))
    plain = json.loads((folder / "o.json").read_text())["cosine"]
    assert plain == lwface.compare(lwface.load_model(model), faces[3], faces[8])
    assert plain != found["cosine"]
    assert capsys.readouterr().out.startswith(f"cosine {plain:.4f}\n")


def test_the_verdict_is_that_of_the_thresholds(world, capsys):
    folder, _, _ = world
    results = json.loads((folder / "scores.json").read_text())["results"]
    features = np.array(read_features(folder / "f.bin"), dtype=np.float64)
    seen = set()
    for a, b in ((0, 0), (0, 1), (2, 7), (4, 9), (5, 10), (3, 8), (1, 6)):
        score = features[a] @ features[b]
        if min(abs(score - entry["threshold"]) for entry in results) < 1e-5:  # the pair that made the threshold
            continue
        run(world, "--report", folder / "scores.json", images=(f"{a}.png", f"{b}.png"))
        lines = capsys.readouterr().out.splitlines()
        passed = [entry["far"] for entry in results if score >= entry["threshold"]]
        expected = f"one person at FAR {min(passed):g}" if passed else "not shown to be one person"
        assert expected in lines[0]
        seen.add(expected)
        assert sum(line.endswith(": one person") for line in lines) == len(passed)
        assert "by scores: 6 genuine, 60 impostor pairs" in lines
    assert len(seen) > 1


def test_the_picture_shows_both_faces(world, tmp_path, capsys):
    folder, _, faces = world
    run(world, "--report", folder / "scores.json", "--output", tmp_path / "new" / "o.png", images=("0.png", "9.png"))
    assert f"picture: {tmp_path / 'new' / 'o.png'}" in capsys.readouterr().out
    picture = cv2.imread(str(tmp_path / "new" / "o.png"))[:, :, ::-1]
    assert picture.shape[1] == 960
    for face, left in ((faces[0], 10), (faces[9], 490)):
        shown = cv2.resize(picture[150:610, left : left + 460], (14, 14), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(shown, cv2.resize(face, (14, 14), interpolation=cv2.INTER_AREA), atol=12)
    edges = np.concatenate([picture[:, :4].ravel(), picture[:, -4:].ravel(), picture[:3].ravel(), picture[-3:].ravel()])
    assert (edges == 255).all()  # no text is cut off


def test_a_long_line_goes_on_below(tmp_path):
    """A threshold's line is longer than the width: what was in its middle, the TAR, was left out once."""
    verdict = "at FAR 0.001, threshold 0.7330, TAR 0.34 (0.30 to 0.39): not shown to be one person"
    faces, heights = [np.zeros((112, 112, 3), np.uint8)] * 2, []
    for lines in ([], ["short"], ["short", "short"], [verdict], [verdict, "short"]):
        write_comparison(tmp_path / "o.png", faces, ["a", "b"], ["cosine 0.1"], lines)
        heights.append(cv2.imread(str(tmp_path / "o.png")).shape[0])
    rows = (np.array(heights) - heights[0]) / (heights[1] - heights[0])
    np.testing.assert_allclose(rows, [0, 1, 2, 2, 3], atol=0.05)


def test_other_sizes_are_resized_aloud_or_refused(world, tmp_path, capsys):
    folder, _, faces = world
    cv2.imwrite(str(folder / "large.png"), faces[1][:, :, ::-1].repeat(2, 0).repeat(2, 1))
    run(world, "--json", images=("0.png", "large.png"))
    said = capsys.readouterr()
    assert "large.png: taken as an aligned face and resized from 224x224 to 112x112" in said.err
    assert "align_faces" in said.err
    run(world, "--json", images=("0.png", "1.png"))
    assert json.loads(said.out) == json.loads(capsys.readouterr().out)  # each pixel was four of the same
    for name, shape in (("wide.png", (112, 160, 3)), ("tall.jpg", (640, 480, 3)), ("thin.png", (112, 111, 3))):
        cv2.imwrite(str(folder / name), np.full(shape, 90, np.uint8))
        with pytest.raises(UserError, match=rf"{name}: {shape[1]}x{shape[0]} pixels is no aligned face.*align_faces"):
            run(world, images=("0.png", name))


def test_what_does_not_go_together(world, tmp_path):
    folder = world[0]
    scores = json.loads((folder / "scores.json").read_text())
    (tmp_path / "wide.json").write_text(json.dumps({**scores, "dim": 999}))
    with pytest.raises(UserError, match="features of 999 numbers, this model gives"):
        run(world, "--report", tmp_path / "wide.json")
    with pytest.raises(UserError, match="--report-name says which"):
        run(world, "--report-name", "x")
    with pytest.raises(UserError, match=r"ends in \.png"):
        run(world, "--output", tmp_path / "o.jpg")
    with pytest.raises(UserError, match=r"--network y2: .* says itself"):
        run(world, "--network", "y2")
    with pytest.raises(UserError, match="is a folder"):
        run(world, "--json", tmp_path)
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:90])
    with pytest.raises(UserError, match=r"broken\.png: cannot read this image"):
        run(world, images=("0.png", "broken.png"))
    with pytest.raises(UserError, match="no such model"):
        compare.main([str(folder / "0.png"), str(folder / "1.png"), "--model", f"{folder}/none,1"])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package with a face network that knows nothing, whose card says so; two photographs and two that are none."""
    weights = shutil.copytree(shipped.WEIGHTS, tmp_path / "weights")
    torch.manual_seed(0)
    model = save_model(str(tmp_path / "model"), 1, create_network(SETTINGS).eval(), SETTINGS)
    point = {"far": 0.1, "threshold": -1.0, "tar": 0.7, "tar_interval": [0.65, 0.75], "achieved_far": 0.1}
    strict = {**point, "far": 0.01, "threshold": 2.0, "tar": 0.4, "tar_interval": [0.3, 0.5], "achieved_far": 0.01}
    scores = {"dim": SETTINGS["emb_size"], "genuine_pairs": 10, "impostor_pairs": 90, "results": [point, strict]}
    use = {"quality": "it knows nothing", "not_for": "not for anything", "better": "any other", "licence": "ours"}
    write_notes(ship("face", model, weights), {"scores": {"set": "nobody", **scores}, "use": use})
    monkeypatch.setattr(shipped, "WEIGHTS", weights)
    monkeypatch.chdir(tmp_path)
    frames = [sample_image(11, person, 0, difficulty=0.5).frame for person in range(2)]
    images = {
        "a": frames[0],
        "b": frames[1],
        "two": np.concatenate(frames, axis=1),
        "wall": np.full_like(frames[0], 90),
    }
    for name, image in images.items():
        cv2.imwrite(f"{name}.png", image[:, :, ::-1])
    (tmp_path / "no.png").write_bytes(b"text")
    for kept in (digests, shipped_path):
        kept.cache_clear()
    yield frames
    for kept in (digests, shipped_path):
        kept.cache_clear()


def test_two_photographs_by_what_comes_with_the_package(package, capsys):
    compare.main(["a.png", "b.png"])
    told = capsys.readouterr().out.splitlines()
    expected = lwface.compare(lwface.load_model(), *package, align=True, flip=True)
    assert told[0] == f"cosine {expected:.4f}: one person at FAR 0.1, not at 0.01"
    assert told[1].startswith("of the test's 90 pairs of strangers, at most 9 score as much (FAR 0.1")
    assert "at FAR 0.1, threshold -1.0000, TAR 0.70 (0.65 to 0.75): one person" in told
    assert "at FAR 0.01, threshold 2.0000, TAR 0.40 (0.30 to 0.50): not shown" in told
    assert told[-4:] == [
        "by nobody: 10 genuine, 90 impostor pairs",
        "it knows nothing",
        "not for anything",
        "any other",
    ]
    compare.main(["a.png", "b.png", "--model", "default", "--align", "--no-flip"])
    plain = capsys.readouterr().out.splitlines()  # the thresholds are of mirrored features too
    assert plain[0] == f"cosine {lwface.compare(lwface.load_model('default'), *package, align=True):.4f}"
    assert not [line for line in plain if "TAR" in line]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two", r"two\.png: has 2 faces, and it is not clear which is meant"),
        ("wall", r"wall\.png: no face was found in it; cut the picture"),
        ("no", r"no\.png: cannot read this image: not a JPEG"),
    ],
)
def test_what_is_no_photograph_of_one_face(package, name, message):
    with pytest.raises(UserError, match=message):
        compare.main(["a.png", f"{name}.png"])


def test_crops_are_taken_as_they_are_where_that_is_said(package, capsys):
    crops = lwface.align(package)
    for name, crop in zip("cd", crops, strict=True):
        cv2.imwrite(f"{name}.png", crop[:, :, ::-1])
    compare.main(["c.png", "d.png", "--no-align", "--json"])
    assert json.loads(capsys.readouterr().out)["cosine"] == lwface.compare(lwface.load_model(), *crops, flip=True)
    cv2.imwrite("wide.png", np.zeros((100, 150, 3), np.uint8))
    with pytest.raises(UserError, match=r"wide\.png: 150x100 pixels is no aligned face"):
        compare.main(["c.png", "wide.png", "--no-align"])
