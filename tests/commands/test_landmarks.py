"""The landmark challenge's four steps as they are typed: train, gate, predict, evaluate; and a model adapted."""

import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.base.journal import fingerprint, open_job
from lwface.commands import (
    adapt_landmarks,
    evaluate_landmarks,
    export,
    gate,
    package_landmarks,
    predict_landmarks,
    train_landmarks,
)
from lwface.formats.point_annotations import write_annotations
from lwface.formats.point_solution import read_solution
from lwface.landmarks.point_errors import FoundPoints
from lwface.landmarks.point_sets import read_point_set
from lwface.landmarks.solutions import read_faces
from lwface.synthetic import generate


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    """The challenge's layout, of procedural faces: annotations beside pictures."""
    made, root = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("data")
    options = generate.Options(
        train_people=8, images_per_person=4, heldout_people=6, heldout_images=2, video_people=0, pack_people=2,
        pack_pairs=2, frames=True,
    )  # fmt: skip
    with open_job(made, fingerprint({}, []), generate.PRODUCTS) as journal:
        generate.generate(options, made, journal, 1)
    for folder, part in (("synthetics_train", "train"), ("aflw_val", "val")):
        (root / folder).mkdir()
        annotations = {}
        for picture in read_point_set(made, part).pictures:
            flat = picture.name.replace("/", "_")
            (root / folder / flat).write_bytes(picture.path.read_bytes())
            annotations[flat] = picture.points
        write_annotations(root / folder / "annot.pkl", annotations)
    return root


@pytest.fixture(scope="module")
def model(challenge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    flags = "--network m025 --head coordinates --view both --max-steps 20 --per-batch-size 16 --warmup-steps 2"
    more = f"--verbose 20 --num-workers 0 --lr 0.003 --models-root {folder} --track landmarks-68"
    assert train_landmarks.main(["--data", str(challenge), *flags.split(), *more.split()]) == 0
    return f"{folder}/m025-coordinates-{challenge.name}/model,1"


@pytest.fixture(scope="module")
def solution(challenge, model, tmp_path_factory):
    """solution.txt and its zip of the validation pictures, whose labels are hidden: only the pictures are given."""
    folder = tmp_path_factory.mktemp("solution")
    hidden = folder / "pictures"
    hidden.mkdir()
    for path in (challenge / "aflw_val").glob("*.jpg"):
        (hidden / path.name).write_bytes(path.read_bytes())
    output = folder / "solution.txt"
    wish = ["--model", model, "--input", str(hidden), "--output", str(output), "--zip", "--draw", str(folder / "drawn")]
    predict_landmarks.main(wish)
    return output


def test_the_gate_admits_it(model, capsys):
    assert gate.main(["--model", model, "--track", "landmarks-68", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["embedding"] == 136
    assert figures["fits"]
    assert figures["model_bytes"] < 15 * 10**6
    assert gate.main(["--model", model, "--track", "landmarks-68"]) == 0
    assert f"{figures['model_bytes'] / (15 * 2**20):.1%} of 15,728,640, which do not decide" in capsys.readouterr().out


def test_fifteen_million_bytes_decide(model, monkeypatch, capsys):
    """The strict reading of "15MB"; the other would admit 15 * 2**20."""
    from lwface.gate.budgets import LANDMARKS, violations

    asked = {"flops": 10**12, "embedding": 136, "number_type": "float32"}
    assert violations(LANDMARKS, model_bytes=15_000_000, **asked) == []
    assert len(violations(LANDMARKS, model_bytes=15_000_001, **asked)) == 1
    assert len(violations(LANDMARKS, model_bytes=1000, **{**asked, "number_type": "float16"})) == 1
    assert violations(LANDMARKS, model_bytes=0, **asked) == ["it has no weights, which landmarks-68 demands"]
    assert gate.main(["--network", "r18", "--track", "landmarks-68"]) == 1


def test_a_network_is_counted_with_the_head_that_it_would_bear(capsys):
    """Its feature of a face is no part of it there."""
    from lwface.networks import create_network
    from lwface.settings.resolve import network_settings

    assert gate.main(["--network", "m025", "--track", "landmarks-68", "--json", "-"]) == 0
    figures = json.loads(capsys.readouterr().out)
    with_head = {**network_settings("m025"), "point_head": "integral", "points": 68, "point_loss": "l1"}
    counted = sum(parameter.numel() for parameter in create_network(with_head).parameters())
    assert (figures["head"], figures["embedding"], figures["params"]) == ("integral", 136, counted)
    assert gate.main(["--network", "m025", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["embedding"] == 128


def test_a_model_says_what_judged_it(model):
    from lwface.models.store import load_model

    assert load_model(model)[1]["validation"] == "aflw_val"


def test_the_zip_is_what_is_handed_in(solution, challenge):
    with zipfile.ZipFile(solution.with_suffix(".zip")) as archive:
        assert archive.namelist() == ["solution.txt"]
    found = read_solution(solution.with_suffix(".zip"))
    assert set(found) == {path.name for path in (challenge / "aflw_val").glob("*.jpg")}
    assert len(list((solution.parent / "drawn").glob("*.jpg"))) == len(found)


def test_it_is_scored(solution, challenge, tmp_path, capsys):
    truth = challenge / "aflw_val" / "annot.pkl"
    wish = ["--solution", str(solution.with_suffix(".zip")), "--truth", str(truth), "--public", "0.6", "--seed", "1"]
    evaluate_landmarks.main([*wish, "--report", str(tmp_path / "report"), "--json", str(tmp_path / "figures.json")])
    text = capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    found, true = read_solution(solution), {p.name: p.points for p in read_point_set(truth).pictures}
    naive = np.mean([np.linalg.norm(found[name] - true[name], axis=1).mean() / 384 for name in true])
    assert figures["nme"]["challenge"]["value"] == pytest.approx(naive, rel=1e-12)
    assert figures["sides"]["public"]["faces"] == round(0.6 * len(true))
    assert f"{100 * naive:.3f} %" in text
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Worst faces" in page
    assert "annot.pkl" in page
    assert page.count("data:image/jpeg") == min(24, len(true))


def test_labels_that_lie_apart_are_enough(solution, challenge, tmp_path, capsys):
    """No pictures beside them: the figures are the same, and the page says which faces it cannot show."""
    hidden = tmp_path / "annot.pkl"
    hidden.write_bytes((challenge / "aflw_val" / "annot.pkl").read_bytes())
    texts = []
    for truth in (challenge / "aflw_val" / "annot.pkl", hidden):
        evaluate_landmarks.main(["--solution", str(solution), "--truth", str(truth)])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    evaluate_landmarks.main(["--solution", str(solution), "--truth", str(hidden), "--report", str(tmp_path / "r")])
    assert ": cannot be read" in (tmp_path / "r" / "report.html").read_text()


def test_a_truth_without_a_length_is_refused(solution, challenge, tmp_path):
    true = {one.name: one.points for one in read_point_set(challenge / "aflw_val").pictures}
    name = next(iter(true))
    for points, norm in ((np.full((68, 2), 5.0), "inter-ocular"), (true[name] * (1, 0), "box")):
        write_annotations(tmp_path / "annot.pkl", {**true, name: points})
        with pytest.raises(UserError, match=f"{name}: true points that should lie apart .* no {norm} error"):
            read_faces(solution, tmp_path / "annot.pkl")


def test_boxes_of_the_truth_and_of_a_csv_are_the_same(challenge, model, tmp_path, capsys):
    pictures = challenge / "aflw_val"
    lines = ["image,left,top,right,bottom"]
    for picture in read_point_set(pictures).pictures:
        (left, top), (right, bottom) = picture.points.min(axis=0), picture.points.max(axis=0)
        lines.append(
            f"{picture.name},{left!r},{top!r},{right!r},{bottom!r}".replace("np.float64(", "").replace(")", "")
        )
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n")
    outputs = []
    table = [lines[0] + ",use", *(f"{line},1" for line in lines[1:]), "other.jpg,,,,,0"]  # as align_faces.py writes it
    (tmp_path / "faces.csv").write_text("\n".join(table) + "\n")
    boxes = [["--boxes", tmp_path / name] for name in ("boxes.csv", "faces.csv")]
    for name, flags in zip("abc", [*boxes, ["--truth-boxes", pictures]], strict=True):
        output = tmp_path / f"{name}.txt"
        predict_landmarks.main(["--model", model, "--input", str(pictures), "--output", str(output), *map(str, flags)])
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]
    capsys.readouterr()
    (tmp_path / "boxes.csv").write_text("\n".join([*lines, "gone.jpg,1,1,9,9"]) + "\n")
    wish = ["--model", model, "--input", str(pictures), "--output", str(tmp_path / "d.txt")]
    predict_landmarks.main([*wish, "--boxes", str(tmp_path / "boxes.csv")])
    assert "skipped 1: a box of no picture (gone.jpg)" in capsys.readouterr().out


def test_an_onnx_file_gives_the_same_points(challenge, model, tmp_path):
    """In the same boxes: where the box is found first, its rounding moves the pixels of the crop."""
    export.main(["--model", model, "--output", str(tmp_path / "points.onnx")])
    pictures = str(challenge / "aflw_val")
    found = []
    for which, backend in ((model, "eager"), (str(tmp_path / "points.onnx"), "onnxruntime")):
        wish = ["--model", which, "--input", pictures, "--truth-boxes", pictures, "--backend", backend, "--output"]
        predict_landmarks.main([*wish, str(tmp_path / f"{backend}.txt")])
        found.append(read_solution(tmp_path / f"{backend}.txt"))
    for name, points in found[0].items():
        np.testing.assert_allclose(found[1][name], points, atol=0.01)


def test_mirrored_pictures_are_averaged(challenge, model, tmp_path):
    from lwface.landmarks.predictor import PointPredictor
    from lwface.landmarks.scheme import MIRROR

    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    plain, both = PointPredictor.load(model), PointPredictor.load(model, mirror=True)
    mirrored = plain.places(crops[:, :, ::-1].copy())[:, MIRROR] * (-1, 1) + (111, 0)
    np.testing.assert_allclose(both.places(crops), (plain.places(crops) + mirrored) / 2, atol=1e-9)


def test_a_model_is_adapted_and_carries_the_map(challenge, model, tmp_path, capsys):
    """To eyes and a nose that lie lower in the same box."""
    moved = tmp_path / "moved"
    (moved).mkdir()
    annotations = {}
    for picture in read_point_set(challenge / "synthetics_train").pictures:
        (moved / picture.name).write_bytes(picture.path.read_bytes())
        annotations[picture.name] = picture.points + np.where(np.isin(np.arange(68), range(27, 48)), 16, 0)[:, None] * (
            0,
            1,
        )
    write_annotations(moved / "annot.pkl", annotations)
    output = f"{tmp_path}/adapted,1"
    adapt_landmarks.main(["--model", model, "--data", str(moved), "--held-out", "0.3", "--output", output])
    text = capsys.readouterr().out
    before, after = (float(line.split()[-2]) for line in text.splitlines() if "NME by the box" in line)
    assert after < before
    truths = ["--input", str(moved), "--truth-boxes", str(moved)]
    for name, which in (("raw", model), ("adapted", output)):
        predict_landmarks.main(["--model", which, *truths, "--output", str(tmp_path / f"{name}.txt")])
    errors = {}
    for name in ("raw", "adapted"):
        faces, _ = read_faces(tmp_path / f"{name}.txt", moved)
        assert isinstance(faces, FoundPoints)
        errors[name] = faces.nme("box").mean()
    assert errors["adapted"] < errors["raw"]
    with pytest.raises(UserError, match="it is adapted to moved"):
        adapt_landmarks.main(["--model", output, "--data", str(moved), "--output", f"{tmp_path}/again,1"])


def test_what_is_handed_in(model, solution, tmp_path):
    report = tmp_path / "my report.pdf"
    report.write_bytes(b"%PDF-1.4 nothing")
    wish = ["--student", "R07654321", "--model", model, "--report", str(report), "--solution", str(solution)]
    for folder in ("one", "two"):
        package_landmarks.main([*wish, "--output", str(tmp_path / folder)])
    assert (tmp_path / "one/R07654321.zip").read_bytes() == (tmp_path / "two/R07654321.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one/R07654321.zip") as archive:
        names = archive.namelist()
        readme = archive.read("R07654321/README.md").decode()
    assert {name.partition("/")[0] for name in names} == {"R07654321"}
    expected = ("README.md", "report.pdf", "solution.txt", "model/model-0001.safetensors", "code/landmarks/train.py")
    assert {f"R07654321/{name}" for name in expected} <= set(names)
    assert not [name for name in names if name.endswith((".jpg", ".pkl", ".rec"))]
    assert "train.py --data data --network m025 --head coordinates --loss wing --view both" in readme
    assert "--lr-policy cosine --optimizer adamw --accumulate 1 --verbose 20 --ckpt 3" in readme
    assert "R07654321/code/config.py" in names
    assert "torch 2" in readme


def test_how_a_run_is_told_to_be_made_again():
    """Every flag that changes the result, and what judged."""
    from lwface.landmarks.options import PointSource, PointWish
    from lwface.landmarks.package import _readme
    from lwface.landmarks.train import point_run

    wish = PointWish(
        "m025", "integral", "l1", [PointSource(Path("data/synthetics_train"), 2)], held_out=0.2, split_seed=3
    )
    run = point_run(wish, lr_policy="poly", optimizer="sgd", accumulate=2, wd=0.1)
    data = {"kind": "challenge", "name": "synthetics_train", "pictures": 9, "times": 2}
    readme = _readme("R1", "model-0001.safetensors", {**run.declared, **vars(run), "data": [data]}, 1000)
    assert "train.py --data data/synthetics_train:2 --network m025" in readme
    for flags in ("--lr-policy poly", "--optimizer sgd", "--accumulate 2", "--held-out 0.2 --split-seed 3"):
        assert flags in readme


def test_programs_that_are_not_under_version_control_yet_are_packed(tmp_path):
    from lwface.landmarks.package import _code

    for name in (
        "lwface/networks/old.py",
        "lwface/networks/mine.py",
        "lwface/style.css",
        "config.py",
        "landmarks/a.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "lwface/__pycache__").mkdir()
    (tmp_path / "lwface/__pycache__/old.pyc").write_text("x")
    plain = ["config.py", "landmarks/a.jpg", "lwface/networks/mine.py", "lwface/networks/old.py", "lwface/style.css"]
    assert _code(tmp_path) == plain  # nothing is under version control
    for arguments in (["init", "-q"], ["add", "lwface/networks/old.py", "lwface/style.css"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    assert _code(tmp_path) == [name for name in plain if name != "landmarks/a.jpg"]


def test_outside_data_are_not_handed_in():
    from lwface.landmarks.package import require_own_data

    own = {"name": "synthetics_train", "kind": "challenge", "pictures": 100_000}
    require_own_data("m", {"data": [own], "started_from": ""})
    for config, message in (
        (
            {"data": [own, {"name": "ytf", "kind": "youtube", "pictures": 9}]},
            r"it learnt from ytf \(youtube, 9 pictures\)",
        ),
        ({"data": [{**own, "name": "aflw_val"}]}, "it learnt from aflw_val"),
        (
            {"data": [own], "started_from": "model,0"},
            "it started from model,0, .*: hand in a model that was trained in one run",
        ),
        ({"data": [own], "point_adapted_to": "300W"}, "it is adapted to 300W"),
        ({}, "does not say what it learnt from"),
    ):
        with pytest.raises(UserError, match=message):
            require_own_data("m", config)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,left,top,right"], "line 1 has no column bottom"),
        (["image,left,top,right,bottom", "a.jpg,1,2,3,x"], "line 2: a box of 1, 2, 3, x is not four numbers"),
        (["image,left,top,right,bottom", "a.jpg,5,2,3,9"], "line 2: left < right and top < bottom expected"),
        (["image,left,top,right,bottom", "a.jpg,1,2,3,4", "a.jpg,1,2,3,4"], r"line 3: a\.jpg is there twice"),
        (["image,left,top,right,bottom", "a.jpg,1,2,3,4"], r"none of its names, such as a\.jpg, is a picture's"),
    ],
)
def test_boxes_that_are_wrong(challenge, model, tmp_path, lines, message):
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n")
    wish = ["--model", model, "--input", str(challenge / "aflw_val"), "--output", str(tmp_path / "solution.txt")]
    with pytest.raises(UserError, match=message):
        predict_landmarks.main([*wish, "--boxes", str(tmp_path / "boxes.csv")])
    assert not (tmp_path / "solution.txt").exists()


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        (train_landmarks, "--data nowhere", "--data nowhere: no such folder or csv"),
        (train_landmarks, "--data . --held-out 1", "--held-out 1: expected a share"),
        (train_landmarks, "--data . --augmentation 9", "--augmentation 9: expected 0 to 3"),
        (train_landmarks, "--data . --network m05x", "network 'm05x'"),
        (train_landmarks, "--data . --track landmark-68", "track 'landmark-68': did you mean 'landmarks-68'"),
        (
            evaluate_landmarks,
            "--solution pyproject.toml --truth pyproject.toml --public 2",
            "--public 2: expected a share",
        ),
        (evaluate_landmarks, "--solution pyproject.toml --truth pyproject.toml --seed -1", "--seed -1: expected 0"),
        (predict_landmarks, "--model nowhere,1 --input . --output s.txt", "nowhere"),
        (predict_landmarks, "--model default-landmarks --input . --output s.zip", "is text; give solution.txt, and"),
        (package_landmarks, "--student ../x --model m,1 --report pyproject.toml", "letters and digits expected"),
        (adapt_landmarks, "--model nowhere,1 --data . --output m,1", "nowhere"),
    ],
)
def test_command_lines_that_are_wrong(command, flags, message, monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    with pytest.raises((UserError, OSError), match=message):
        command.parse_arguments(flags.split())


def test_a_detector_is_none_of_points(challenge, tmp_path):
    wish = ["--model", "default-detector", "--input", str(challenge / "aflw_val"), "--output", str(tmp_path / "s.txt")]
    with pytest.raises(UserError, match=r"detector-0001\.safetensors: finds faces .*: --detector-model takes it"):
        predict_landmarks.main(wish)


def test_a_model_of_faces_is_none_of_points(tmp_path, challenge):
    from lwface.models.store import save_model
    from lwface.networks import create_network

    config = {"net_name": "fmobilenet", "net_multiplier": 0.25, "net_input": 0, "net_output": "E", "emb_size": 16}
    save_model(str(tmp_path / "face"), 1, create_network(config), config)
    wish = ["--model", f"{tmp_path}/face,1", "--input", str(challenge / "aflw_val"), "--output"]
    with pytest.raises(UserError, match="gives 16 numbers a face and is none of 68 points"):
        predict_landmarks.main([*wish, str(tmp_path / "s.txt")])
