"""The command: from labelled images to a head that gen_video_feature.py takes, and its errors."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from lwface.base.commands import run_command
from lwface.commands import train_quality
from lwface.features.embedder import Embedder
from lwface.features.quality import load_quality
from lwface.formats.image import encode_jpeg
from lwface.models.store import model_sha256

CONFIG = {"image_shape": [112, 112, 3]}


class Tiny(nn.Module):
    embedding_size = 4

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(48, 4)

    def forward(self, images):
        return self.linear(nn.functional.adaptive_avg_pool2d(images.float() / 128 - 1, 4).flatten(1))


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs the command on 30 images of 10 people; gives its exit status."""
    folder = tmp_path / "in"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(30):
        coarse = np.random.default_rng(number // 3).integers(0, 256, (7, 7, 3))
        image = np.kron(coarse, np.ones((16, 16, 1))) + generator.normal(0, 20, (112, 112, 3))
        (folder / f"{number:02}.jpg").write_bytes(encode_jpeg(np.clip(image, 0, 255).astype(np.uint8)))
    (folder / "filelist.txt").write_text("".join(f"{number:02}.jpg\n" for number in range(30)))
    (folder / "labels.txt").write_text("".join(f"{number // 3}\n" for number in range(30)))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m-0001.safetensors").touch()
    monkeypatch.setattr("lwface.models.store.load_model", lambda text, layer: (Tiny(), CONFIG))

    def run(*flags: str) -> int:
        given = [
            "--model",
            f"{tmp_path}/models/m,1",
            "--input",
            str(folder),
            "--output",
            str(tmp_path / "q.safetensors"),
            "--steps",
            "5",
        ]
        given += ["--device", "cpu", "--backend", "eager"]
        with pytest.raises(SystemExit) as exit_info:
            run_command(lambda: train_quality.main([*given, *flags]))
        return exit_info.value.code or 0

    return run


def files(folder: Path) -> list[str]:
    return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir() if path.is_file())


def test_from_images_to_a_head(command, tmp_path, capsys, monkeypatch):
    assert command() == 0
    assert "trained on 10 people; loss of sets of the same people, too few" in capsys.readouterr().out
    path, model = tmp_path / "q.safetensors", model_sha256(Tiny(), CONFIG, None)
    head, whole = load_quality(path, model, "m,1"), path.read_bytes()
    assert head.weight.shape == (5,)
    with safe_open(path, framework="numpy") as file:
        facts = json.loads(file.metadata()["quality_head"])
    assert {name: facts[name] for name in ("people", "frames", "steps", "seed", "model_sha256")} == {
        "people": 10, "frames": 30, "steps": 5, "seed": 0, "model_sha256": model,
    }  # fmt: skip
    assert files(tmp_path) == ["q-frames", "q.safetensors"]
    cache = next(tmp_path.glob("q-frames-*.bin"))
    cache.rename(tmp_path / "away")
    assert command("--batch_size", "7") == 0  # features anew: the same head
    assert path.read_bytes() == whole
    monkeypatch.setattr(Embedder, "embed", None)
    assert command("--seed", "1") == 0  # from the features that are there
    assert path.read_bytes() != whole
    assert command() == 0
    assert path.read_bytes() == whole


def test_other_frames_are_other_features(command, tmp_path):
    assert command("--people", "5") == 0
    assert command("--frames", "2") == 0
    assert len(list(tmp_path.glob("q-frames-*.bin"))) == 2


def test_an_interrupted_run_is_one_line_and_goes_on(command, tmp_path, capsys, monkeypatch):
    assert command() == 0
    whole = (tmp_path / "q.safetensors").read_bytes()
    for path in tmp_path.glob("q*"):
        path.unlink()
    embed, calls = Embedder.embed, []

    def embed_once(self, images, flip):
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return embed(self, images, flip)

    monkeypatch.setattr(Embedder, "embed", embed_once)
    capsys.readouterr()
    assert command() == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert not (tmp_path / "q.safetensors").exists()
    assert command() == 0
    assert calls == [32, 28, 28]  # 30 frames, each with its degraded version
    assert (tmp_path / "q.safetensors").read_bytes() == whole


def test_errors_are_one_line(command, tmp_path, capsys):
    for flags, message in (
        (["--people", "1"], "--people 1: expected 2 or more"),
        (["--output", str(tmp_path)], f"--output {tmp_path}: is a folder"),
        (["--input", str(tmp_path / "none")], "none: expected train.rec, filelist.txt and labels.txt"),
    ):
        assert command(*flags) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "in" / "labels.txt").write_text("".join(f"{number}\n" for number in range(30)))
    assert command() == 2
    assert "0 people have two frames or more" in capsys.readouterr().err.splitlines()[-1]
