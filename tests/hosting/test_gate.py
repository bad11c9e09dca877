"""The gate of a track that asks for the model, and what becomes of hostile files."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from hosting.conftest import Hosted, solution

from lwface.base.errors import UserError
from lwface.challenge.definition import read_challenge
from lwface.challenge.results import Malformed
from lwface.features.embedder import Embedder
from lwface.features.writing import decode
from lwface.formats.feature_file import FeatureWriter
from lwface.formats.image import encode_jpeg
from lwface.gate.budgets import Budget
from lwface.gate.flops import count_flops
from lwface.hosting.child import scored
from lwface.hosting.client import ChallengeClient
from lwface.hosting.gate import pass_gate
from lwface.hosting.site import Site, sqlite_url
from lwface.hosting.trial import drawn_rows
from lwface.models.store import load_model, save_model
from lwface.networks import create_network
from lwface.onnx.export import export_onnx

SETTINGS = {"net_name": "fmobilenet", "net_multiplier": 0.25, "emb_size": 16, "net_output": "E", "net_input": 0}
ROWS = 24
TOML = """
title = "Faces"
opens = 2026-01-01T00:00:00+00:00
closes = 2099-01-01T00:00:00+00:00
[tracks.faces]
kind = "recognition-images"
reference = "reference/faces"
needs_model = true
limits = { flops = 1000000000, model_bytes = 10000000 }
settings = { far = "1e-1" }
"""


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A challenge of 24 pictures of noise, the submission of a model, and that model."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "challenge.toml").write_text(TOML)
    reference, kit = folder / "reference" / "faces", folder / "kit" / "faces" / "test"
    reference.mkdir(parents=True)
    kit.mkdir(parents=True)
    draws = np.random.default_rng(0)
    pictures = np.kron(draws.integers(0, 256, (ROWS, 7, 7, 3)), np.ones((1, 16, 16, 1))).astype(np.uint8)
    for number, picture in enumerate(pictures):
        (kit / f"{number}.jpg").write_bytes(encode_jpeg(picture))
    (kit / "filelist.txt").write_text("".join(f"{number}.jpg\n" for number in range(ROWS)))
    (reference / "labels.txt").write_text("".join(f"{number // 2}\n" for number in range(ROWS)))
    torch.manual_seed(0)
    network = create_network(SETTINGS).eval()
    save_model(str(folder / "model"), 1, network, SETTINGS)
    (folder / "model.onnx").write_bytes(export_onnx(network))
    images = decode([str(kit / f"{number}.jpg") for number in range(ROWS)], 112, 112).images
    rows = Embedder(network, device=torch.device("cpu"), batch_size=4).embed(images, flip=True)
    write(folder / "image.bin", rows)
    return folder


def write(path, rows):
    with FeatureWriter(path, *rows.shape) as writer:
        writer.write(np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32))
    return path


def gate(folder, **changed):
    track = read_challenge(folder).tracks[0]
    track = replace(track, limits=changed.pop("limits", track.limits))
    given = {"model": folder / "model.onnx", "submission": folder / "image.bin", **changed}
    return pass_gate(track, kit=folder / "kit" / "faces", secret=b"s", **given)


@pytest.mark.parametrize("name", ["model.onnx", "model-0001.safetensors"])
def test_an_honest_model_passes_and_is_counted(faces, name):
    told = gate(faces, model=faces / name)
    assert told["flops"] == count_flops(load_model(str(faces / "model-0001.safetensors"))[0]).flops
    assert (told["rows_tried"], told["worst_cosine"]) == (ROWS, "1.000000")


def test_rows_that_the_model_has_not_made(faces, tmp_path):
    rows = np.fromfile(faces / "image.bin", np.float32)[4:].reshape(ROWS, -1).copy()
    rows[5] = rows[5][::-1]
    with pytest.raises(Malformed, match=r"row 5 \(from 0\) of image.bin is not what it makes"):
        gate(faces, submission=write(tmp_path / "image.bin", rows))
    with pytest.raises(Malformed, match=r"gives 16 numbers an image, image\.bin has 8"):
        gate(faces, submission=write(tmp_path / "image.bin", rows[:, :8]))
    with pytest.raises(Malformed, match="has 23 rows, expected 24"):
        gate(faces, submission=write(tmp_path / "image.bin", rows[1:]))


def test_limits(faces):
    with pytest.raises(Malformed, match=r"FLOPs [0-9]+ exceed the limit 1000 of faces"):
        gate(faces, limits=Budget("faces", 1000, None))
    with pytest.raises(Malformed, match="bytes exceeds the limit 1000 of faces"):
        gate(faces, limits=Budget("faces", None, 1000))


def test_weights_outside_its_folder(faces, tmp_path):
    model = onnx.load(faces / "model.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(Malformed, match="outside the model's folder: refused"):
        gate(faces, model=tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(Malformed, match=r"^model.onnx: "):
        gate(faces, model=tmp_path / "model.onnx")


def test_rows_are_drawn_by_bytes_and_secret(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    first = drawn_rows(tmp_path / "a", 1000, b"secret")
    assert len(set(first.tolist())) == 64
    assert (first == drawn_rows(tmp_path / "a", 1000, b"secret")).all()
    assert (first != drawn_rows(tmp_path / "a", 1000, b"other")).any()


def test_both_files_are_handed_in_and_scored(faces, tmp_path):
    hosted = Hosted(Site(challenge=str(faces), data=str(tmp_path), database=sqlite_url(tmp_path)))
    try:
        leader = hosted.team("Elm")
        sender = ChallengeClient(hosted.url, leader.made("/keys", label="x"), tmp_path / "state.json")
        with pytest.raises(UserError, match="track faces takes submission and model: give --with-model, too"):
            sender.hand_in("faces", {"submission": faces / "image.bin"}, "", lambda *_: None)
        data, model = ((faces / name).read_bytes() for name in ("image.bin", "model-0001.safetensors"))
        number = leader.hand_in(data, track="faces", filename="image.bin")
        assert leader.get(f"/api/submissions/{number}").json["state"] == "uploading"
        assert leader.hand_in(model, track="faces", filename="m.safetensors", part="model", submission=number) == number
        hosted.score(apart=True)
        told = leader.get(f"/api/submissions/{number}").json
        assert (told["state"], told["line"]) == ("scored", None)
        page = leader.get("/board/faces").text
        assert "against FLOPs" in page
        assert "rows tried: 24" in leader.get(f"/submissions/{number}").text
    finally:
        hosted.end()


def zipped(data, name="solution.txt", mode=0o100644):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, mode << 16
        archive.writestr(entry, data)
    return file.getvalue()


FIRST = solution(1.0).split(b"\n", 1)[0]
HOSTILE = {
    "pickle.txt": pickle.dumps({"a": 1}),
    "bomb.zip": zipped(bytes(300_000_000)),
    "link.zip": zipped("/etc/passwd", mode=0o120777),
    "path.zip": zipped(solution(1.0), "../../solution.txt"),
    "nan.txt": solution(1.0).replace(FIRST.split()[5], b"nan", 1),
    "large.txt": solution(1.0).replace(FIRST.split()[5], b"1e308", 1),
    "endless.txt": (FIRST + b"\n") * 3000,
}


def a_line(line, name):
    return line.startswith(f"{name}: ") and len(line) < 500 and "\n" not in line


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_one_line(name, course, tmp_path):
    (tmp_path / name).write_bytes(HOSTILE[name])
    job = {"challenge": str(course), "track": "points", "files": {"submission": str(tmp_path / name)}, "digests": {}}
    end = scored(job, lambda line: None)
    assert a_line(end["refused"], name), end
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_it_goes_on_after_one(hosted):
    leader = hosted.team("Elm")
    numbers = [
        leader.hand_in(data, track="points", filename="a.zip") for data in (HOSTILE["bomb.zip"], zipped(solution(1)))
    ]
    hosted.score()
    refused, fine = (leader.get(f"/api/submissions/{number}").json for number in numbers)
    assert a_line(refused["line"], "a.zip")
    assert (refused["state"], fine["state"]) == ("refused", "scored")
