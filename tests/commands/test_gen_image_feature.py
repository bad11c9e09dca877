"""The image track's command: flags, the gate, errors, and its rows against a naive float64 loop."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.commands import run_command
from lwface.base.origin import file_sha256, read_origin
from lwface.commands import gen_image_feature
from lwface.features.embedder import Embedder
from lwface.formats.feature_file import read_features
from lwface.formats.image import encode_jpeg
from lwface.formats.verification_pack import write_pack
from lwface.gate.budgets import TRACKS, Track
from lwface.models.store import save_model
from lwface.mxnet.export import save_mxnet
from lwface.networks import create_network
from lwface.onnx.export import export_onnx
from lwface.settings.resolve import network_settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["b.jpg", "folder/a.jpg", "c.jpg", "b.jpg", "folder/d.jpg"]


class Tiny(nn.Module):
    embedding_size = 6

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 9, stride=9)
        self.norm = nn.BatchNorm2d(5)
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(5 * 12 * 12, 6)

    def forward(self, images):
        pixels = (images.to(self.linear.weight.dtype) - 127.5) / 128
        return self.linear(self.drop(torch.relu(self.norm(self.conv(pixels)))).flatten(1))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    generator = np.random.default_rng(0)
    for name in sorted(set(NAMES)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_jpeg(generator.integers(0, 256, (112, 112, 3), dtype=np.uint8)))
    (folder / "filelist.txt").write_text("\n".join(NAMES) + "\n")
    return folder


@pytest.fixture
def command(images, tmp_path, monkeypatch):
    """Runs the command with a tiny network; gives its exit status."""
    monkeypatch.chdir(tmp_path)
    Path("m-0001.safetensors").touch()  # of which the gate reads the size
    config = {"image_shape": [112, 112, 3]}
    monkeypatch.setattr("lwface.models.store.load_model", lambda text, layer: (Tiny(), {**config, "name": text}))

    def run(*flags: str) -> int:
        given = ["--input", str(images), "--output", str(tmp_path / "f.bin"), "--model", "m,1", "--device", "cpu"]
        with pytest.raises(SystemExit) as exit_info:
            run_command(lambda: gen_image_feature.main([*given, *flags]))
        return exit_info.value.code or 0

    return run


def naive_rows(folder: Path, flip: bool, normalise: bool = True) -> np.ndarray:
    network, rows = Tiny().double().eval(), []
    for name in NAMES:
        rgb = cv2.imread(str(folder / name))[:, :, ::-1].astype(np.float64)
        both = torch.from_numpy(np.stack([rgb, rgb[:, ::-1]])).permute(0, 3, 1, 2)
        with torch.no_grad():
            feature = network(both).numpy()
        row = feature[0] + feature[1] if flip else feature[0]
        rows.append(row / np.sqrt((row**2).sum()) if normalise else row)
    return np.array(rows)


def test_rows_equal_the_definition_and_the_mirror_is_on(command, images, tmp_path, capsys):
    assert command() == 0
    np.testing.assert_allclose(read_features(tmp_path / "f.bin"), naive_rows(images, True), atol=2e-6)
    assert "f.bin: 5 rows of 6 float32, complete and checked" in capsys.readouterr().out
    assert command("--no-flip", "--batch_size", "2", "--num-workers", "0") == 0
    np.testing.assert_allclose(read_features(tmp_path / "f.bin"), naive_rows(images, False), atol=2e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "f.bin",
        "f.bin.origin.json",
        "images",
        "m-0001.safetensors",
    ]
    noted = read_origin(tmp_path / "f.bin", file_sha256(tmp_path / "f.bin"))
    assert noted is not None
    assert noted.versions["torch"] == torch.__version__


def test_the_norm_can_be_kept(command, images, tmp_path, capsys):
    assert command("--no-normalise", "--no-flip") == 0
    found = read_features(tmp_path / "f.bin")
    np.testing.assert_allclose(found, naive_rows(images, flip=False, normalise=False), rtol=1e-5, atol=1e-6)
    assert command("--no-normalise") == 0
    np.testing.assert_allclose(
        read_features(tmp_path / "f.bin"), naive_rows(images, flip=True, normalise=False), rtol=1e-5, atol=1e-6
    )
    capsys.readouterr()
    assert command("--no-normalise", "--track", "deepglint-light") == 2
    assert "the rows of a submission for deepglint-light are L2-normalised" in capsys.readouterr().err


def test_a_network_over_the_budget_is_refused_before_any_work(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TRACKS, "deepglint-light", Track("deepglint-light", 1000, 100, 5, 0.1, "image"))
    assert command("--track", "deepglint-light") == 1
    error = capsys.readouterr().err
    assert "exceed the limit 1000 of deepglint-light by" in error
    assert "exceeds the limit 100 of deepglint-light by" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "f.bin").exists()


def test_a_file_over_the_budget_is_refused_like_its_tensors(command, tmp_path, capsys):
    limit = TRACKS["deepglint-light"].model_bytes
    os.truncate(tmp_path / "m-0001.safetensors", limit + 1)
    assert command("--track", "deepglint-light") == 1
    assert f"model size {limit + 1} bytes exceeds the limit {limit}" in capsys.readouterr().err
    os.truncate(tmp_path / "m-0001.safetensors", limit)
    assert command("--track", "deepglint-light") == 0


def test_a_local_list_is_written_and_called_no_submission(command, tmp_path, monkeypatch, capsys):
    assert command("--track", "deepglint-large") == 0
    note = "note: 5 rows, the official list has 1862120: this file is no submission for deepglint-large"
    assert note in capsys.readouterr().err
    monkeypatch.setitem(TRACKS, "deepglint-large", Track("deepglint-large", 10**12, None, 5, 0.1, "image"))
    assert command("--track", "deepglint-large") == 0
    assert "note:" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch_size", "0"], "--batch-size 0: expected 1 or more"),
        (["--batch_size", "many"], "invalid int value"),
        (["--image_size", "112,112"], "--image-size 112,112: expected 3,HEIGHT,WIDTH such as 3,112,112"),
        (["--image_size", "1,112,112"], "expected 3,HEIGHT,WIDTH"),
        (["--image_size", "3,0,112"], "expected 3,HEIGHT,WIDTH"),
        (["--image_size", "3,96,112"], "was trained on images of 112x112, not 96x112"),
        (["--num-workers", "-1"], "--num-workers -1: expected 0 or more"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--track", "iqiyi-light"], "invalid choice: 'iqiyi-light'"),  # a track of videos
        (["--precision", "bf16"], "needs a CUDA device"),
        (["--input", "none"], "none/filelist.txt: no such file"),
        (["--output", "/"], "is a folder"),
        (["--flip=yes"], "--flip"),
        (["--res"], "--res"),  # no guessing
    ],
)
def test_bad_flags_are_one_line_and_status_2(command, tmp_path, capsys, flags, message):
    assert command(*flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "f.bin").exists()


def test_bad_images_are_one_line(command, images, tmp_path, capsys):
    small = encode_jpeg(np.zeros((112, 96, 3), np.uint8))
    (images / "c.jpg").write_bytes(small)
    (images / "folder" / "d.jpg").write_bytes(b"no image")
    assert command() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: 2 images cannot be used: ")
    assert f"{images}/c.jpg: 96x112 pixels, not 112x112; {images}/folder/d.jpg: " in error
    assert "forbids resizing" in error
    (images / "b.jpg").unlink()
    assert command() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(
        f"error: 2 images cannot be used: {images}/b.jpg: no such file; {images}/b.jpg: no such file."
    )
    assert not (tmp_path / "f.bin").exists()


def test_the_advice_on_bad_images_works(command, images, tmp_path, capsys):
    """Replaced under its name, the run goes on; taken out, --resume is refused and a new run is not."""
    bad, good = images / "folder" / "d.jpg", (images / "folder" / "d.jpg").read_bytes()
    assert command("--batch_size", "1") == 0
    expected = (tmp_path / "f.bin").read_bytes()
    for replaced in (True, False):
        bad.write_bytes(good[:200])
        (tmp_path / "f.bin").unlink()
        assert command("--batch_size", "1") == 2
        advice = capsys.readouterr().err.splitlines()[-1]
        assert (
            "Replace them under their names (the list must stay the same), then --resume; or take them out, and"
            in advice
        )
        if replaced:
            bad.write_bytes(good)
            assert command("--batch_size", "1", "--resume") == 0
            assert (tmp_path / "f.bin").read_bytes() == expected
        else:
            bad.unlink()
            names = [name for name in NAMES if name != "folder/d.jpg"]
            (images / "filelist.txt").write_text("\n".join(names) + "\n")
            assert command("--batch_size", "1", "--resume") == 2
            assert "another list" in capsys.readouterr().err
            assert command("--batch_size", "1") == 0


def test_a_weight_of_the_model_changed_between_runs(command, monkeypatch, tmp_path, capsys):
    class Other(Tiny):
        def __init__(self):
            super().__init__()
            self.linear.bias.data[3] += 1e-3

    embed = Embedder.embed

    def one_batch(self, images, flip, calls=[]):  # noqa: B006 - counts the calls
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return embed(self, images, flip)

    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "embed", one_batch)
        assert command("--batch_size", "2") == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    with monkeypatch.context() as patch:
        patch.setattr("lwface.models.store.load_model", lambda text, layer: (Other(), {"name": text}))
        assert command("--batch_size", "2", "--resume") == 2
    assert "cannot resume, the unfinished file was made with another model" in capsys.readouterr().err
    assert command("--batch_size", "2", "--resume") == 0
    assert "resuming at row 2 of 5" in capsys.readouterr().err
    resumed = (tmp_path / "f.bin").read_bytes()
    assert command("--batch_size", "2") == 0
    assert (tmp_path / "f.bin").read_bytes() == resumed


def interrupted(command, monkeypatch, *flags: str) -> None:
    """A run that gets Ctrl-C after its first batch of two images."""
    embed, calls = Embedder.embed, []

    def one_batch(self, images, flip):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return embed(self, images, flip)

    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "embed", one_batch)
        assert command("--batch_size", "2", *flags) == 130


def test_a_resumed_run_takes_the_backend_of_the_interrupted_one(command, monkeypatch, tmp_path, capsys):
    assert command("--batch_size", "2", "--backend", "openvino") == 0
    expected = (tmp_path / "f.bin").read_bytes()
    assert command("--batch_size", "2") == 0  # auto, and so few images are eager's
    assert (tmp_path / "f.bin").read_bytes() != expected  # in the last bits, by which the test can tell
    interrupted(command, monkeypatch, "--backend", "openvino")
    capsys.readouterr()
    assert command("--batch_size", "2", "--resume", "--backend", "eager") == 2
    message = (
        r"cannot resume, the unfinished file was made with another backend openvino \S+ \(now eager\); give the same"
    )
    assert re.search(message, capsys.readouterr().err)
    assert command("--batch_size", "2", "--resume") == 0
    error = capsys.readouterr().err
    assert "resuming at row 2 of 5" in error
    assert "too few" not in error  # nothing was chosen anew
    assert (tmp_path / "f.bin").read_bytes() == expected
    assert command("--batch_size", "2", "--resume", "--backend", "openvino") == 0  # nothing to resume: starts anew
    assert (tmp_path / "f.bin").read_bytes() == expected


def test_a_state_that_names_no_backend_of_ours_is_refused(command, monkeypatch, tmp_path, capsys):
    interrupted(command, monkeypatch)
    state = tmp_path / ".f.bin.part.json"
    for name in ("auto", "quantised 3.0"):
        state.write_text(re.sub(r'"backend": "[^"]*"', f'"backend": "{name}"', state.read_text()))
        assert command("--batch_size", "2", "--resume") == 2
        assert f"made with another backend {name} (now eager)" in capsys.readouterr().err


@pytest.mark.parametrize("backend", ["eager", "openvino"])
def test_models_of_three_formats_give_the_same_rows(images, tmp_path, backend):
    network = create_network(network_settings("m025"))
    network.head.fc1.running_mean.normal_()
    save_model(str(tmp_path / "ours"), 1, network, network_settings("m025"))
    save_mxnet(tmp_path / "mxnet", 1, network)
    (tmp_path / "model.onnx").write_bytes(export_onnx(network))

    def rows(model: str, *flags: str) -> np.ndarray:
        given = ["--input", str(images), "--output", str(tmp_path / "f.bin"), "--model", str(tmp_path / model)]
        given += ["--backend", backend, "--device", "cpu", "--track", "deepglint-light"]
        gen_image_feature.main([*given, *flags])
        return np.array(read_features(tmp_path / "f.bin"))

    expected = rows("ours,1")
    for model in ("mxnet,1", "model.onnx"):
        np.testing.assert_allclose(rows(model), expected, atol=3e-6)
    before_the_last_norm = rows("mxnet,1", "--layer", "pre_fc1")
    assert before_the_last_norm.shape == expected.shape
    assert np.abs(before_the_last_norm - expected).max() > 1e-3


def test_from_another_folder_a_missing_model_is_one_line(images, tmp_path):
    command = [sys.executable, str(ROOT / "gen_image_feature.py"), "--input", "images", "--output", "f.bin"]
    done = subprocess.run([*command, "--model", "none,1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: none-0001")
    assert done.stderr.count("\n") == 1
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "--model" in done.stderr) == (2, True)


def test_a_pack_gives_the_features_of_its_images_in_its_order(command, images, tmp_path, capsys):
    encoded = [(images / name).read_bytes() for name in (*NAMES, NAMES[0])]
    write_pack(tmp_path / "lfw.bin", encoded, [True, False, True])
    assert command("--input", str(tmp_path / "lfw.bin"), "--batch-size", "2") == 0
    found = read_features(tmp_path / "f.bin")
    expected = naive_rows(images, flip=True)
    np.testing.assert_allclose(found, [*expected, expected[0]], atol=2e-6)
    assert "6 rows of 6 float32" in capsys.readouterr().out
    write_pack(tmp_path / "bad.bin", [encoded[0], encoded[1][:-50]], [True])
    assert command("--input", str(tmp_path / "bad.bin")) == 2
    assert "bad.bin: image 1: the JPEG is cut short" in capsys.readouterr().err
    assert command("--input", str(images / "b.jpg")) == 2
    assert "b.jpg: not a verification pack" in capsys.readouterr().err


def test_the_mirrored_image_alone_is_what_the_sum_lacks(command, images, tmp_path, capsys):
    rows = {}
    for name, flags in (("plain", ["--no-flip"]), ("mirror", ["--no-flip", "--mirror"]), ("sum", [])):
        assert command("--no-normalise", "--output", str(tmp_path / f"{name}.bin"), *flags) == 0
        rows[name] = np.array(read_features(tmp_path / f"{name}.bin"))
    np.testing.assert_allclose(rows["plain"] + rows["mirror"], rows["sum"], atol=1e-5)
    assert np.abs(rows["plain"] - rows["mirror"]).max() > 0.01
    assert command("--mirror") == 2
    assert "give --no-flip with it" in capsys.readouterr().err
