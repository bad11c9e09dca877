"""Trials of models by kinds of tracks: what our programs make of the kit passes, what another model makes does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.challenge.definition import read_challenge
from lwface.challenge.kinds import KINDS
from lwface.challenge.results import Malformed
from lwface.challenge.templates import check_trials
from lwface.features.aggregation import MEAN, DominantCluster, NormWeighted
from lwface.features.embedder import Embedder
from lwface.features.writing import Work, look_through, write_features
from lwface.formats.feature_file import FeatureWriter, read_features
from lwface.formats.image import encode_jpeg
from lwface.formats.keypoint_images import AskedFaces, read_test, write_test
from lwface.formats.keypoint_lookup import Lookup, read_lookup, write_lookup
from lwface.formats.keypoint_submission import read_submission, write_submission
from lwface.formats.keypoint_tables import FOUR, POINTS
from lwface.formats.point_solution import read_solution, write_solution, zip_solution
from lwface.hosting import trial_features
from lwface.hosting.gate import TRIALS, pass_gate
from lwface.hosting.trial_points import BOXES
from lwface.landmarks.keypoint_models import load_keypoint_model, locations_of, predict_all
from lwface.landmarks.keypoint_networks import create_keypoint_network
from lwface.landmarks.prediction import predict_folder
from lwface.models.store import load_model, save_model
from lwface.networks import create_network
from lwface.onnx.export import export_onnx

FACE = {"net_name": "fmobilenet", "net_multiplier": 0.25, "emb_size": 16, "net_output": "E", "net_input": 0}
POINT = {**FACE, "point_head": "coordinates", "points": 68, "point_loss": "l1", "view": "both"}
TOML = """
title = "All kinds"
opens = 2026-01-01T00:00:00+00:00
closes = 2099-01-01T00:00:00+00:00
[tracks.videos]
kind = "recognition-videos"
needs_model = true
[tracks.landmarks]
kind = "landmarks"
needs_model = true
[tracks.keypoints]
kind = "keypoints"
needs_model = true
"""


def saved(folder, seed, settings, **more):
    """A network of ``seed`` as a model in ``folder``."""
    torch.manual_seed(seed)
    network = create_network({**settings, **more}).eval()
    with torch.no_grad():  # a head of points begins with the mean face, whatever it sees
        network.head.load_state_dict({n: t + 0.1 * torch.randn(t.shape) for n, t in network.head.state_dict().items()})
    return save_model(str(folder / f"model{seed}"), 1, network, {**settings, **more})


def picture(draws, height=112, width=112):
    blocks = draws.integers(0, 256, (height // 8, width // 8, 3))
    return np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """A challenge of noise with a kit of each kind that has a trial."""
    folder, draws = tmp_path_factory.mktemp("kinds"), np.random.default_rng(0)
    (folder / "challenge.toml").write_text(TOML)
    kit = folder / "kit"
    for video in range(5):
        (kit / "videos" / "test" / f"v{video}").mkdir(parents=True)
        for frame in range(2 + video % 2):
            (kit / "videos" / "test" / f"v{video}" / f"{frame}.jpg").write_bytes(encode_jpeg(picture(draws)))
    (kit / "landmarks" / "test").mkdir(parents=True)
    for number in range(3):
        (kit / "landmarks" / "test" / f"{number}.jpg").write_bytes(encode_jpeg(picture(draws, 160, 120)))
    (kit / "keypoints").mkdir()
    ids = np.array([7, 3, 9])
    write_test(kit / "keypoints" / "test.csv", AskedFaces(ids, draws.integers(0, 256, (3, 96, 96), np.uint8)))
    asked = np.array([(image, feature) for image in (3, 9) for feature in range(0, 30, 3)])
    unknown = np.full(len(asked), np.nan)
    write_lookup(kit / "keypoints" / "IdLookupTable.csv", Lookup(np.arange(len(asked)), *asked.T, unknown))
    return folder


def gate(folder, name, model, submission, **changed):
    track = replace(read_challenge(folder).track(name), **changed)
    return pass_gate(track, model, submission, folder / "kit" / name, b"secret")


def refused(folder, name, model, submission):
    """What a refusal says: one line, about the model."""
    with pytest.raises(Malformed) as error:
        gate(folder, name, model, submission)
    line = str(error.value)
    assert line.startswith(f"{model.name}: ")
    assert "\n" not in line
    assert str(folder) not in line
    return line


def video_rows(folder, model, output, flip=False, aggregation=MEAN):
    """As ``gen_video_feature.py`` writes them."""
    network, _ = load_model(str(model))
    embedder = Embedder(network, device=torch.device("cpu"), batch_size=4)
    listing = look_through(folder / "kit" / "videos" / "test", videos=True)
    work = Work(flip=flip, height=112, width=112, workers=0)
    write_features(listing, output, embedder, work, model_sha256="", resume=False, aggregation=aggregation)
    return output


@pytest.mark.parametrize(
    ("flip", "aggregation"), [(False, MEAN), (True, NormWeighted()), (False, DominantCluster())], ids=str
)
def test_rows_of_videos(kinds, tmp_path, flip, aggregation):
    rows = video_rows(kinds, saved(tmp_path, 0, FACE), tmp_path / "video.bin", flip, aggregation)
    told = gate(kinds, "videos", tmp_path / "model0-0001.safetensors", rows)
    assert (told["rows_tried"], told["frames_tried"], told["worst_cosine"]) == (5, 12, "1.000000")


def test_rows_of_videos_that_differ_by_rounding_or_by_more(kinds, tmp_path):
    model = saved(tmp_path, 0, FACE)
    rows = read_features(video_rows(kinds, model, tmp_path / "video.bin"))
    other = np.random.default_rng(1).normal(size=(1, rows.shape[1]))
    for name, changed in (("half", rows.astype(np.float16)), ("other", np.concatenate((other, rows[1:])))):
        with FeatureWriter(tmp_path / f"{name}.bin", *rows.shape, unit_rows=False) as writer:
            writer.write(changed.astype(np.float32))
    assert gate(kinds, "videos", model, tmp_path / "half.bin")["rows_tried"] == 5
    assert "row 0 (from 0) of other.bin is not what it makes" in refused(kinds, "videos", model, tmp_path / "other.bin")
    assert "is not what it makes" in refused(kinds, "videos", saved(tmp_path, 1, FACE), tmp_path / "video.bin")


def test_so_many_frames_are_tried_and_no_more(kinds, tmp_path, monkeypatch):
    model = saved(tmp_path, 0, FACE)
    rows = video_rows(kinds, model, tmp_path / "video.bin")
    monkeypatch.setattr(trial_features, "FRAMES", 5)
    told = gate(kinds, "videos", model, rows)
    assert (told["rows_tried"], told["frames_tried"]) in ((2, 4), (2, 5))
    monkeypatch.setattr(trial_features, "FRAMES", 1)
    assert gate(kinds, "videos", model, rows)["why"] == "none of the 5 videos drawn has 1 frames or fewer"


def solved(folder, model, output, **how):
    """As ``landmarks/predict.py`` writes it."""
    predict_folder(str(model), folder / "kit" / "landmarks" / "test", output, **how)
    return output


def test_68_points(kinds, tmp_path, capsys):
    model = saved(tmp_path, 0, POINT)
    solution = solved(kinds, model, tmp_path / "solution.txt")
    zip_solution(tmp_path / "solution.zip", solution)
    told = gate(kinds, "landmarks", model, tmp_path / "solution.zip")
    assert (told["pictures_tried"], told["worst_difference"]) == (3, "0.0000 pixels, at most 0.21 allowed")
    points = {name: found.round(1) for name, found in read_solution(solution).items()}
    write_solution(tmp_path / "rounded.txt", points)
    assert gate(kinds, "landmarks", model, tmp_path / "rounded.txt")["pictures_tried"] == 3
    points["1.jpg"] += 0.4
    write_solution(tmp_path / "moved.txt", points)
    line = refused(kinds, "landmarks", model, tmp_path / "moved.txt")
    assert "the points of 1.jpg in moved.txt are not what it puts there: coordinates differ by 0." in line
    assert "are not what it puts there" in refused(kinds, "landmarks", saved(tmp_path, 1, POINT), solution)


def test_68_points_with_those_of_the_mirrored_picture(kinds, tmp_path, capsys):
    model = saved(tmp_path, 0, POINT)
    solution = solved(kinds, model, tmp_path / "solution.txt", mirror=True)
    assert gate(kinds, "landmarks", model, solution)["pictures_tried"] == 3


def test_68_points_of_an_onnx_file(kinds, tmp_path, capsys):
    model = saved(tmp_path, 0, POINT)
    (tmp_path / "m.onnx").write_bytes(export_onnx(load_model(str(model))[0], config=POINT))
    solution = solved(kinds, model, tmp_path / "solution.txt")
    assert gate(kinds, "landmarks", tmp_path / "m.onnx", solution)["pictures_tried"] == 3


def test_68_points_in_boxes(kinds, tmp_path, capsys):
    model = saved(tmp_path, 0, POINT, view="box")
    boxes = kinds / "kit" / "landmarks" / BOXES
    boxes.write_text("image,left,top,right,bottom\n" + "".join(f"{n}.jpg,20,30,90,110\n" for n in range(3)))
    try:
        solution = solved(kinds, model, tmp_path / "solution.txt", boxes=boxes)
        assert gate(kinds, "landmarks", model, solution)["pictures_tried"] == 3
    finally:
        boxes.unlink()
    assert "this track gives none: train with --view both" in refused(kinds, "landmarks", model, solution)


@pytest.mark.parametrize("value", [np.nan, 1e38])
def test_a_model_that_puts_no_points(kinds, tmp_path, capsys, value):
    solution = solved(kinds, saved(tmp_path, 0, POINT), tmp_path / "solution.txt")
    network = create_network(POINT)
    for parameter in network.parameters():
        parameter.data.fill_(value)
    hostile = save_model(str(tmp_path / "hostile"), 1, network, POINT)
    assert "puts points far outside" in refused(kinds, "landmarks", hostile, solution)
    assert "is none of 68 points" in refused(kinds, "landmarks", saved(tmp_path, 2, FACE), solution)


def keypoint_model(folder, seed, points=POINTS):
    torch.manual_seed(seed)
    network = create_keypoint_network("lenet5", points)
    return save_model(str(folder / f"key{seed}"), 1, network, {"keypoints": list(points), "net_name": "lenet5"})


def test_15_keypoints(kinds, tmp_path, capsys):
    kit, model = kinds / "kit" / "keypoints", keypoint_model(tmp_path, 0)
    lookup, test = read_lookup(kit / "IdLookupTable.csv"), read_test(kit / "test.csv")
    points = predict_all([load_keypoint_model(str(model))], test.images, torch.device("cpu"))
    write_submission(tmp_path / "s.csv", lookup, locations_of(lookup, test.ids, points))
    told = gate(kinds, "keypoints", model, tmp_path / "s.csv")
    assert (told["pictures_tried"], told["embedding"]) == (2, 30)
    given = read_submission(tmp_path / "s.csv", lookup)
    write_submission(tmp_path / "rounded.csv", lookup, given.round(1))
    gate(kinds, "keypoints", model, tmp_path / "rounded.csv")
    write_submission(tmp_path / "moved.csv", lookup, np.where(lookup.images == 9, given + 0.2, given))
    assert "the points of image 9 in moved.csv" in refused(kinds, "keypoints", model, tmp_path / "moved.csv")
    assert "not what it puts there" in refused(kinds, "keypoints", keypoint_model(tmp_path, 1), tmp_path / "s.csv")
    few = keypoint_model(tmp_path, 2, FOUR)
    assert "which the model does not put" in refused(kinds, "keypoints", few, tmp_path / "s.csv")
    assert "is no keypoint model" in refused(kinds, "keypoints", saved(tmp_path, 3, FACE), tmp_path / "s.csv")


def test_counted_alone_where_the_organiser_says_so(kinds, tmp_path):
    (tmp_path / "solution.txt").write_text("of any program")
    told = gate(kinds, "landmarks", saved(tmp_path, 0, FACE), tmp_path / "solution.txt", tries_model=False)
    assert told["tried"].startswith("no: ")


def test_kinds_with_a_trial_have_one_and_look_for_their_kit(kinds, tmp_path):
    assert set(TRIALS) == {kind.name for kind in KINDS.values() if kind.trial}
    check_trials(read_challenge(kinds))
    (tmp_path / "challenge.toml").write_text(TOML.replace("needs_model", "tries_model = false\nneeds_model"))
    check_trials(read_challenge(tmp_path))
    (tmp_path / "challenge.toml").write_text(TOML)
    with pytest.raises(UserError, match=r"kit/videos/test: is not there, .* say tries_model = false"):
        check_trials(read_challenge(tmp_path))
