"""The keypoint challenge as it is typed: train, gate, submit, check, score; and what a user may do wrong."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.commands import check_keypoints, export, gate, score_keypoints, submit_keypoints, train_keypoints
from lwface.formats.keypoint_images import AskedFaces, KeypointFaces, read_test, write_test, write_training
from lwface.formats.keypoint_lookup import Lookup, write_lookup
from lwface.formats.keypoint_tables import FOUR, POINTS
from lwface.landmarks.keypoint_models import load_keypoint_model
from lwface.landmarks.keypoint_task import predict
from lwface.models.store import load_model

STEPS = ["--max-steps", "4", "--per-batch-size", "8", "--verbose", "2", "--network", "lenet5", "--device", "cpu"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A set of 40 rows, 20 of them complete, and of 6 test images."""
    folder = tmp_path_factory.mktemp("keypoints")
    random = np.random.default_rng(0)
    points = random.uniform(30, 60, (40, 15, 2)).round(3)
    points[20:, [number for number, point in enumerate(POINTS) if point not in FOUR]] = np.nan
    write_training(
        folder / "training.csv", KeypointFaces(random.integers(0, 256, (40, 96, 96)).astype(np.uint8), points)
    )
    write_test(folder / "test.csv", AskedFaces(np.arange(1, 7), random.integers(0, 256, (6, 96, 96)).astype(np.uint8)))
    images, features = (part.ravel() for part in np.meshgrid(np.arange(1, 7), np.arange(30), indexing="ij"))
    truth = Lookup(np.arange(1, 181), images, features, random.uniform(30, 60, 180).round(3))
    write_lookup(folder / "truth.csv", truth)
    write_lookup(folder / "IdLookupTable.csv", truth._replace(locations=np.full(180, np.nan)))
    return folder


@pytest.fixture(scope="module")
def models(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for approach in ("two-models", "masked"):
        flags = ["--data", str(data), "--models-root", str(folder), "--approach", approach]
        assert train_keypoints.main([*flags, *STEPS]) == 0
    return folder


def test_the_whole_road(data, models, tmp_path, capsys):
    prefix = models / f"lenet5-two-models-{data.name}"
    given = ["--model", f"{prefix}/model,1", "--four-model", f"{prefix}/four/model,1", "--data", str(data)]
    output = tmp_path / "submission.csv"
    submit_keypoints.main([*given, "--output", str(output), "--picture", str(tmp_path / "p.png"), "--device", "cpu"])
    assert f"{output}: 180 locations of 6 images, 0 clipped" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "p.png")).shape == (192, 8 * 192, 3)
    check_keypoints.main(["--submission", str(output), "--data", str(data)])
    assert "180 locations of 6 images, as" in capsys.readouterr().out
    figures = tmp_path / "s.json"
    score = ["--submission", str(output), "--truth", str(data / "truth.csv"), "--bootstrap", "50"]
    score_keypoints.main([*score, "--json", str(figures)])
    assert "RMSE" in capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert 5 < found["rmse"] < 20
    score_keypoints.main([*score, "--json"])
    assert json.loads(capsys.readouterr().out) == found
    score_keypoints.main([*score, "--compare", str(output)])
    assert "RMSE, minus the other       +0.0000   95 % over images: +0.0000 to +0.0000" in capsys.readouterr().out


def test_the_gate_counts_models_and_networks(data, models, capsys):
    model = f"{models}/lenet5-masked-{data.name}/model,1"
    assert gate.main(["--model", model, "--track", "deepglint-light"]) == 0
    assert gate.main(["--network", "lenet5"]) == 0
    counts = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FLOPs")]
    assert counts == ["FLOPs: 12725040"] * 2


def test_a_four_point_model_alone_does_not_answer(data, models, tmp_path):
    model = f"{models}/lenet5-two-models-{data.name}/four/model,1"
    with pytest.raises(UserError, match="asks for left_eye_inner_corner_x of image 1, which the model does not put"):
        submit_keypoints.main(["--model", model, "--data", str(data), "--output", str(tmp_path / "s.csv")])
    assert not list(tmp_path.iterdir())


def test_another_lookup_table(data, models, tmp_path, capsys):
    some = tmp_path / "some.csv"
    some.write_text("RowId,ImageId,FeatureName\n7,2,nose_tip_x\n")
    model = f"{models}/lenet5-two-models-{data.name}/four/model,1"
    given = ["--model", model, "--data", str(data), "--lookup", str(some), "--output", str(tmp_path / "s.csv")]
    submit_keypoints.main(given)
    assert (tmp_path / "s.csv").read_text().startswith("RowId,Location\n7,")
    check_keypoints.main(["--submission", str(tmp_path / "s.csv"), "--lookup", str(some)])
    with pytest.raises(UserError, match=r"7 is not in the lookup table|is missing"):
        check_keypoints.main(
            ["--submission", str(tmp_path / "s.csv"), "--data", str(data), "--lookup", str(data / "truth.csv")]
        )


def test_a_run_that_is_there(data, models, capsys):
    flags = ["--data", str(data), "--models-root", str(models), "--approach", "masked", *STEPS]
    with pytest.raises(UserError, match="there is a run: add --resume"):
        train_keypoints.main(flags)
    assert train_keypoints.main([*flags, "--resume"]) == 0
    assert "the run is finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--held-out", "1"], "--held-out 1: expected more than 0 and less than 1"),
        (["--max-steps", "0"], "--max-steps 0: expected 1 or more"),
        (["--per-batch-size", "0"], "--per-batch-size 0: expected at least 1"),
        (["--shift", "99"], "--shift 99: expected 0 to 48"),
        (["--no-augmentation", "--shift", "2"], "leave out the flags that say how they change"),
    ],
)
def test_flags_that_cannot_be(data, flags, message):
    with pytest.raises(UserError, match=message):
        train_keypoints.parse_arguments(["--data", str(data), *flags])


def test_what_check_needs(data, tmp_path):
    (tmp_path / "s.csv").write_text("RowId,Location\n")
    with pytest.raises(UserError, match="give --data FOLDER, or --lookup FILE"):
        check_keypoints.parse_arguments(["--submission", str(tmp_path / "s.csv")])
    files = ["--submission", str(tmp_path / "s.csv"), "--truth", str(data / "truth.csv")]
    with pytest.raises(UserError, match="--bootstrap -1: expected 0 or more"):
        score_keypoints.parse_arguments([*files, "--bootstrap", "-1"])


def test_a_picture_of_no_kind(data, models, tmp_path):
    given = ["--model", f"{models}/lenet5-masked-{data.name}/model,1", "--data", str(data)]
    with pytest.raises(UserError, match=r"--picture .*/p\.what: expected a name that ends in .png or .jpg"):
        submit_keypoints.main([*given, "--output", str(tmp_path / "s.csv"), "--picture", str(tmp_path / "p.what")])


def test_a_model_as_an_onnx_file(data, models, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, output = f"{models}/lenet5-two-models-{data.name}/four/model,1", tmp_path / "four.onnx"
    export.main(["--model", model, "--output", str(output)])
    assert "FLOPs: 12721344 (12.7M FLOPs)" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["keypoints"]) == list(FOUR)
    images = read_test(data / "test.csv").images
    (found,) = session.run(["fc1"], {"data": images[:, None].astype(np.float32)})
    expected = predict(load_keypoint_model(model), images, torch.device("cpu"))
    np.testing.assert_allclose(found.reshape(6, 4, 2), expected, atol=1e-3)
    with pytest.raises(UserError, match="is a keypoint model: only --output and --opset are for it"):
        export.main(["--model", model, "--output", str(output), "--track", "deepglint-light"])


def test_a_keypoint_model_embeds_no_face(data, models):
    with pytest.raises(UserError, match="puts keypoints on greys and gives no embedding"):
        load_model(f"{models}/lenet5-masked-{data.name}/model,1")
