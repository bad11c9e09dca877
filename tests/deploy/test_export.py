"""Writing ONNX files: what is checked, what is refused, and what a conversion is said to cost."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.commands import export as command
from lwface.deploy import conversion_cost
from lwface.deploy.export import export
from lwface.deploy.wish import Wish
from lwface.formats.verification_pack import write_pack
from lwface.gate.budgets import TRACKS, BudgetError, Track
from lwface.models.store import save_model
from lwface.networks import create_network
from lwface.networks.base import FaceNetwork
from lwface.networks.layers import BatchNorm
from lwface.onnx.checks import compare, pseudo_random_images, require_agreement
from lwface.onnx.choices import Pixels
from lwface.onnx.model import OnnxNetwork, load_onnx
from lwface.scoring.pack_accuracy import verify
from lwface.settings.resolve import network_settings


def face_network():
    torch.manual_seed(4)
    body = nn.Sequential(
        nn.Conv2d(3, 8, 8, 8, bias=False), BatchNorm(8), nn.PReLU(8), nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.ReLU()
    )
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(16 * 49, 6)), 6).eval()


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """48 smooth images of 12 people, their list, labels and a pack."""
    folder = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(5)
    people = random.uniform(0, 255, (12, 6, 6, 3)).astype(np.float32)
    names, encoded = [], []
    for i in range(48):
        coarse = people[i % 12] + random.normal(0, 25, (6, 6, 3)).astype(np.float32)
        image = cv2.resize(coarse, (112, 112)).clip(0, 255).astype(np.uint8)
        names.append(f"{i:02d}.png")
        assert cv2.imwrite(str(folder / names[-1]), image)
        encoded.append(cv2.imencode(".png", image)[1].tobytes())
    (folder / "filelist.txt").write_text("\n".join(names))
    (folder / "labels.txt").write_text("\n".join(str(i % 12) for i in range(48)))
    pairs = [index for i in range(24) for index in (i, i + 12 if i % 2 else i + 1)]
    write_pack(folder / "pack.bin", [encoded[i] for i in pairs], np.array([bool(i % 2) for i in range(24)]))
    return folder


def scored(faces, **options):
    return Wish(score_images=faces, labels=faces / "labels.txt", **options)


def test_float32_file(tmp_path, faces):
    network, path = face_network(), tmp_path / "f.onnx"
    lines = export(network, {"net_name": "tiny"}, path, Wish(pack=faces / "pack.bin", track=TRACKS["deepglint-light"]))
    found = load_onnx(path)
    images = pseudo_random_images()
    torch.testing.assert_close(found(images), network(images).detach(), rtol=1e-4, atol=1e-4)
    assert found.config == {"net_name": "tiny"}
    text = "\n".join(lines)
    flops = (2 * 192 - 1) * 196 * 8 + (2 * 72 - 1) * 49 * 16 + 2 * 16 * 49 * 6
    assert f"FLOPs: {flops}" in text
    assert "32 pseudo-random images at batch 1, 7 and 32: cosine at least 1.0000000" in text
    assert f"images of {faces / 'pack.bin'} at batch" in text
    assert f"opset 17, float32, embedding of 6, {path.stat().st_size} bytes" in text
    assert "deepglint-light: within the budget" in text


def test_outside_and_opset(tmp_path):
    path = tmp_path / "f.onnx"
    export(face_network(), {}, path, Wish(normalise="outside", opset=14))
    assert load_onnx(path).pixels == Pixels(127.5, 0.0078125)
    assert onnx.load(path).opset_import[0].version == 14


class Watching(nn.Module):
    """A network whose rows see the other rows, as batch statistics would let them."""

    embedding_size = 6

    def __init__(self, amount):
        super().__init__()
        self.network, self.amount = face_network(), amount

    def forward(self, images):
        rows = self.network(images)
        return rows + self.amount * rows.mean(0, keepdim=True)


@pytest.mark.parametrize("amount", [1.0, 1e-3])
def test_embeddings_that_change_with_the_batch_are_refused(tmp_path, amount):
    path = tmp_path / "f.onnx"
    path.write_bytes(b"before")
    with pytest.raises(UserError, match=r"change with the number of images .* nothing is written"):
        export(Watching(amount), {}, path, Wish())
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["f.onnx"]


def test_model_that_is_not_the_network_is_refused(monkeypatch, tmp_path):
    from lwface.deploy import export as exporting

    other = face_network()
    other.head[1].weight.data += 0.01 * torch.randn(other.head[1].weight.shape)
    make = exporting.export_onnx
    monkeypatch.setattr(exporting, "export_onnx", lambda network, **options: make(other, **options))
    with pytest.raises(UserError, match=r"are not the network's \(cosine 0\.\d+, at least 0.99999"):
        export(face_network(), {}, tmp_path / "f.onnx", Wish())
    assert not list(tmp_path.iterdir())


class Rows(nn.Module):
    """Gives the rows a function makes of the images."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, images):
        return self.rows(images.float().flatten(1)[:, :50])


def test_comparison_measures_angle_and_drift():
    plain = Rows(lambda x: x + 1)
    same = compare(plain, plain, pseudo_random_images(), "x")
    assert (same.cosine, same.drift) == (pytest.approx(1), 0)
    # the last of four chunks of seven and four: only batches of four are off, by a hundredth of the norm
    drifting = compare(Rows(lambda x: (x + 1) * (1.01 if len(x) == 4 else 1)), plain, pseudo_random_images(), "x")
    assert (drifting.cosine, drifting.drift) == (pytest.approx(1), pytest.approx(0.01, rel=1e-4))
    turned = compare(Rows(lambda x: -(x + 1)), plain, pseudo_random_images(), "x")
    assert (turned.cosine, turned.drift) == (pytest.approx(-1), 0)
    with pytest.raises(UserError, match="zero or not finite"):
        compare(Rows(lambda x: x * float("nan")), plain, pseudo_random_images(), "x")
    for precision in ("float32", "fp16", "int8"):
        require_agreement(same, precision)
        with pytest.raises(UserError, match="not the network's"):
            require_agreement(turned, precision)


def test_over_the_budget(tmp_path):
    small = Track("small", 1000, 10_000, 1, 1e-4, "image")
    with pytest.raises(BudgetError, match=r"FLOPs \d+ exceed the limit 1000 of small .*; model size"):
        export(face_network(), {}, tmp_path / "f.onnx", Wish(track=small))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_track_demands_float32(faces, precision):
    with pytest.raises(BudgetError, match="deepglint-light demands float32, a model of"):
        scored(faces, precision=precision, track=TRACKS["deepglint-light"], calibration=faces)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"precision": "fp16"}, "give --score-images FOLDER --labels FILE, or --pack FILE"),
        ({"precision": "int8", "calibration": Path("x")}, "give --score-images"),
        ({"precision": "int8", "pack": Path("x")}, "needs --calibration"),
        ({"precision": "int8", "pack": Path("x"), "calibration": Path("x"), "calibration_images": 2}, "at least 32"),
        ({"score_images": Path("x")}, "go together"),
        ({"labels": Path("x")}, "go together"),
        ({"calibration": Path("x")}, "is for --precision int8"),
    ],
)
def test_wishes_that_lack_something(options, reason):
    with pytest.raises(UserError, match=reason):
        Wish(**options)


def brute_force_tar(rows, labels, far):
    """TAR by sorting all scores: at most far * impostors may be accepted."""
    units = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    left, right = np.triu_indices(len(rows), 1)
    scores, same = (units[left] * units[right]).sum(1), labels[left] == labels[right]
    impostors = np.sort(scores[~same])[::-1]
    return np.mean(scores[same] > impostors[int(far * len(impostors))])


@pytest.mark.parametrize(("precision", "share"), [("fp16", 0.5), ("int8", 0.3)])
def test_conversions_say_what_they_cost(tmp_path, faces, precision, share):
    plain, path = tmp_path / "plain.onnx", tmp_path / f"{precision}.onnx"
    export(face_network(), {}, plain, Wish())
    wish = scored(faces, precision=precision, calibration=faces, calibration_images=40, pack=faces / "pack.bin")
    if precision == "fp16":
        wish = scored(faces, precision=precision, pack=faces / "pack.bin")
    text = "\n".join(export(face_network(), {}, path, wish))
    assert path.stat().st_size < plain.stat().st_size * (share + 0.35)  # names and nodes do not shrink
    onnx.checker.check_model(onnx.load(path), full_check=True)
    models = [load_onnx(plain), load_onnx(path)]
    assert models[1].metadata["number_type"] == {"fp16": "float16"}.get(precision, precision)
    images = conversion_cost.read_faces(faces, [f"{i:02d}.png" for i in range(48)])
    batch = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    labels = np.arange(48) % 12
    features = [(model(batch) + model(batch.flip(3))).numpy() for model in models]
    for far in (1e-1, 1e-2):
        tars = [brute_force_tar(rows, labels, far) for rows in features]
        row = rf"{far:.0e} +{tars[0]:.6f} +{tars[1]:.6f} +{re.escape(f'{tars[0] - tars[1]:+.6f}')} "
        assert re.search(row, text), (row, text)
    assert "48 images, 72 genuine and 1056 impostor pairs" in text
    order = [index for i in range(24) for index in (i, i + 12 if i % 2 else i + 1)]
    issame = np.array([bool(i % 2) for i in range(24)])
    for name, model in zip(("float32", precision), models, strict=True):
        score = verify(model(batch)[order].numpy(), model(batch.flip(3))[order].numpy(), issame)
        assert f"{name} {score.accuracy:.5f}+-{score.std:.5f}" in text
    assert "within the budget of: no track" in text


def test_int8_keeps_layers_that_harm_in_float32(tmp_path, faces):
    """A layer whose inputs span five orders of magnitude has no steps left for the small ones, which decide."""
    network = face_network()
    network.body[2] = nn.Identity()
    network.body[4] = nn.Identity()
    with torch.no_grad():
        network.body[1].weight[0] = 1e5  # a channel that drowns the others and that the next layer hardly reads
        network.body[3].weight[:, 0] *= 1e-7
    text = "\n".join(export(network, {}, tmp_path / "f.onnx", scored(faces, precision="int8", calibration=faces)))
    assert re.search(r"in float32 stay \S*body", text), text
    kept = load_onnx(tmp_path / "f.onnx").metadata["float_layers"]
    assert "body" in kept


def test_images_that_are_no_aligned_faces(tmp_path, faces):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((96, 112, 3), np.uint8))
    with pytest.raises(UserError, match=r"a\.png: is 112x96; expected an aligned face"):
        export(face_network(), {}, tmp_path / "f.onnx", scored(faces, precision="int8", calibration=tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        export(
            face_network(), {}, tmp_path / "f.onnx", Wish(**{**vars(scored(faces)), "score_images": tmp_path / "empty"})
        )


def test_onnx_model_gets_to_say_what_it_takes(tmp_path):
    path = tmp_path / "ours.onnx"
    export(face_network(), {}, path, Wish(normalise="outside"))
    model = onnx.load(path)
    del model.metadata_props[:]
    foreign = OnnxNetwork(model.SerializeToString())
    export(foreign, {}, tmp_path / "told.onnx", Wish(pixels=Pixels(127.5, 1 / 128)))
    images = pseudo_random_images()
    assert torch.equal(load_onnx(tmp_path / "told.onnx")(images), load_onnx(path)(images))
    for wish in (Wish(opset=15), Wish(normalise="inside")):
        with pytest.raises(UserError, match="do not change an ONNX model"):
            export(foreign, {}, tmp_path / "no.onnx", wish)
    with pytest.raises(UserError, match="is for an ONNX model"):
        export(face_network(), {}, tmp_path / "no.onnx", Wish(pixels=Pixels()))


def test_output_must_be_a_file_name_for_onnx(tmp_path):
    for output in (tmp_path / "f.bin", tmp_path):
        with pytest.raises(UserError, match=r"ends in \.onnx"):
            export(face_network(), {}, output, Wish())


def test_command(tmp_path, capsys):
    settings = network_settings("m025")
    torch.manual_seed(0)
    save_model(str(tmp_path / "model"), 1, create_network(settings), {**settings, "network": "m025"})

    def run(*flags):
        command.main(["--model", f"{tmp_path}/model,1", *map(str, flags)])
        return capsys.readouterr().out

    said = run("--output", tmp_path / "f.onnx", "--track", "deepglint-light")
    assert "deepglint-light: within the budget" in said
    assert said.endswith("f.onnx: written\n")
    assert json.loads(load_onnx(tmp_path / "f.onnx").metadata["config"])["network"] == "m025"
    with pytest.raises(BudgetError, match="iqiyi-light demands float32, a model of float16 may not enter"):
        run("--output", tmp_path / "g.onnx", "--precision", "fp16", "--track", "iqiyi-light")
    with pytest.raises(UserError, match="--pixels 1/0: expected MEAN/DIVISOR"):
        run("--output", tmp_path / "g.onnx", "--pixels", "1/0")
    assert not (tmp_path / "g.onnx").exists()


@pytest.mark.parametrize(
    ("text", "pixels"), [("127.5/128", Pixels(127.5, 1 / 128)), ("0/255,BGR", Pixels(0.0, 1 / 255, "BGR"))]
)
def test_pixels_as_typed(text, pixels):
    assert command.parse_pixels(text) == pixels


@pytest.mark.parametrize("text", ["127.5", "1/0", "-1/2", "1/2,GBR", "1/2 ", "1e3/2", "nan/1"])
def test_pixels_mistyped(text):
    with pytest.raises(UserError, match="expected MEAN/DIVISOR"):
        command.parse_pixels(text)
