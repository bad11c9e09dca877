"""The video track's command: its rows against a naive float64 loop, and its errors."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.commands import run_command
from lwface.commands import gen_image_feature, gen_video_feature
from lwface.features.aggregation import MEAN, DominantCluster, NormWeighted, aggregate
from lwface.features.quality import QualityHead, save_quality
from lwface.formats.feature_file import read_features
from lwface.formats.image import encode_jpeg
from lwface.models.store import model_sha256

LENGTHS = {"v2": 7, "v1": 1, "nested/v3": 3, "v4": 2}


class Tiny(nn.Module):
    embedding_size = 6

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 9, stride=9)
        self.norm = nn.BatchNorm2d(5)
        self.linear = nn.Linear(5 * 12 * 12, 6)

    def forward(self, images):
        pixels = (images.to(self.linear.weight.dtype) - 127.5) / 128
        return self.linear(torch.relu(self.norm(self.conv(pixels))).flatten(1))


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    generator = np.random.default_rng(0)
    for name, length in LENGTHS.items():
        (folder / name).mkdir(parents=True)
        for frame in range(length):
            # frames of very different contrast: their features differ in norm, which must not weigh them
            image = generator.integers(0, 256, (112, 112, 3)) // (1 + 9 * (frame % 3))
            (folder / name / f"frame{frame}.jpg").write_bytes(encode_jpeg(image.astype(np.uint8)))
        (folder / name / "cover.txt").write_bytes(b"no frame")
    (folder / "filelist.txt").write_text("".join(f"{name} {length}\n" for name, length in LENGTHS.items()))
    return folder


@pytest.fixture
def command(videos, tmp_path, monkeypatch):
    """Runs the command with a tiny network; gives its exit status."""
    monkeypatch.chdir(tmp_path)
    Path("m-0001.safetensors").touch()  # of which the gate reads the size
    monkeypatch.setattr("lwface.models.store.load_model", lambda text, layer: (Tiny(), {"image_shape": [112, 112, 3]}))

    def run(*flags: str) -> int:
        given = ["--input", str(videos), "--output", str(tmp_path / "f.bin"), "--model", "m,1", "--device", "cpu"]
        with pytest.raises(SystemExit) as exit_info:
            run_command(lambda: gen_video_feature.main([*given, *flags]))
        return exit_info.value.code or 0

    return run


def naive_rows(folder: Path, flip: bool) -> np.ndarray:
    network, rows = Tiny().double().eval(), []
    for name, length in LENGTHS.items():
        total = np.zeros(6)
        for frame in range(length):
            rgb = cv2.imread(str(folder / name / f"frame{frame}.jpg"))[:, :, ::-1].astype(np.float64)
            both = torch.from_numpy(np.stack([rgb, rgb[:, ::-1]])).permute(0, 3, 1, 2)
            with torch.no_grad():
                feature = network(both).numpy()
            feature = feature[0] + feature[1] if flip else feature[0]
            total += feature / np.sqrt((feature**2).sum())
        rows.append(total / np.sqrt((total**2).sum()))
    return np.array(rows)


def test_rows_equal_the_definition_and_the_mirror_is_off(command, videos, tmp_path):
    plain, mirrored = naive_rows(videos, False), naive_rows(videos, True)
    assert np.abs(plain - mirrored).max() > 0.01  # so that the default is seen
    assert command("--batch_size", "4") == 0
    np.testing.assert_allclose(read_features(tmp_path / "f.bin"), plain, atol=2e-6)
    assert command("--flip") == 0
    np.testing.assert_allclose(read_features(tmp_path / "f.bin"), mirrored, atol=2e-6)


def test_a_wrong_frame_and_a_missing_video(command, videos, tmp_path, capsys):
    (videos / "v2" / "frame6.jpg").write_bytes(b"")
    (videos / "v4" / "frame0.jpg").write_bytes(encode_jpeg(np.zeros((100, 100, 3), np.uint8)))
    assert command() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: 2 images cannot be used: {videos}/v2/frame6.jpg: ")
    assert f"{videos}/v4/frame0.jpg: 100x100 pixels, not 112x112" in error
    (videos / "v1" / "frame0.jpg").unlink()
    with open(videos / "filelist.txt", "a") as file:
        file.write("none 4\n")
    assert command() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: 2 videos cannot be used: ")
    assert f"{videos}/v1: no frame in this folder; {videos}/none: no such folder" in error
    assert not (tmp_path / "f.bin").exists()


def test_folders_of_people_without_a_list(command, videos, tmp_path, capsys):
    assert command() == 0
    listed = read_features(tmp_path / "f.bin")
    assert "skipped 4: no image that is read here, by its ending .txt (" in capsys.readouterr().out
    (videos / "filelist.txt").unlink()
    assert command() == 0
    told = capsys.readouterr()
    assert f"note: {videos}: has no filelist.txt: its 4 folders with images are the rows" in told.err
    rows = (tmp_path / "f.filelist.txt").read_text().split()
    assert rows == ["nested/v3", "v1", "v2", "v4"]
    places = [list(LENGTHS).index(name) for name in rows]
    np.testing.assert_allclose(read_features(tmp_path / "f.bin"), listed[places], atol=2e-6)


def test_the_tracks_are_the_video_tracks(command, capsys):
    assert command("--track", "iqiyi-light") == 0
    assert "note: 4 rows, the official list has 203848" in capsys.readouterr().err
    assert command("--track", "deepglint-light") == 2
    assert "choose from" in capsys.readouterr().err


def test_the_list_under_its_first_name(command, videos, capsys):
    (videos / "filelist.txt").rename(videos / "video_filelist.txt")
    assert command() == 2
    assert f"rename {videos}/video_filelist.txt to filelist.txt" in capsys.readouterr().err


def naive_frames(folder: Path, flip: bool) -> np.ndarray:
    """Features (13, 6) of all frames as the network gives them, float64."""
    network, features = Tiny().double().eval(), []
    for name, length in LENGTHS.items():
        for frame in range(length):
            rgb = cv2.imread(str(folder / name / f"frame{frame}.jpg"))[:, :, ::-1].astype(np.float64)
            both = torch.from_numpy(np.stack([rgb, rgb[:, ::-1]])).permute(0, 3, 1, 2)
            with torch.no_grad():
                found = network(both).numpy()
            features.append(found[0] + found[1] if flip else found[0])
    return np.array(features)


@pytest.mark.parametrize("flip", [False, True])
def test_each_aggregation(command, videos, tmp_path, flip):
    head = QualityHead(np.linspace(-2, 2, 7), 0.5)
    save_quality(tmp_path / "q.safetensors", head, model_sha256(Tiny(), {"image_shape": [112, 112, 3]}, None), {})
    frames, lengths = naive_frames(videos, flip), np.array(list(LENGTHS.values()))
    rows = []
    for expected, *flags in (
        (MEAN, "--aggregate", "mean"),
        (NormWeighted(), "--aggregate", "norm"),
        (head.weighting(1 + flip), "--aggregate", "quality", "--quality-model", str(tmp_path / "q.safetensors")),
        (DominantCluster(0.3), "--aggregate", "cluster"),
        (DominantCluster(0.95), "--aggregate", "cluster", "--cluster-threshold", "0.95"),
    ):
        assert command("--batch_size", "4", *flags, *(["--flip"] if flip else [])) == 0
        rows.append(np.array(read_features(tmp_path / "f.bin")))
        np.testing.assert_allclose(rows[-1], aggregate(frames, lengths, expected), atol=1e-5)
    for other in (1, 2, 4):
        assert np.abs(rows[other] - rows[0]).max() > 1e-3


def test_settings_that_do_not_fit_are_refused_before_anything_is_read(command, tmp_path, capsys):
    for flags, message in (
        (["--aggregate", "quality"], "--aggregate quality: give the head, --quality-model FILE"),
        (["--quality-model", "q"], "--quality-model is a setting of --aggregate quality, not of mean"),
        (["--cluster-threshold", "0"], "--cluster-threshold is a setting of --aggregate cluster, not of mean"),
        (["--aggregate", "quality", "--quality-model", "none"], "none: no such quality head; train one: python"),
        (["--aggregate", "cluster", "--cluster-threshold", "nan"], "cluster threshold nan: a cosine, from -1 to 1"),
    ):
        assert command(*flags) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "f.bin").exists()
    save_quality(tmp_path / "q", QualityHead(np.zeros(7), 0.0), "0" * 64, {})
    assert command("--aggregate", "quality", "--quality-model", str(tmp_path / "q")) == 2
    assert f"{tmp_path}/q: trained for the model 000000000000, and m,1 is" in capsys.readouterr().err


def test_an_image_track_has_no_aggregation(tmp_path, monkeypatch, capsys):
    flags = ["--output", str(tmp_path / "f.bin"), "--model", "m,1", "--aggregate", "norm"]
    with pytest.raises(SystemExit):
        gen_image_feature.main(flags)
    assert "unrecognized arguments: --aggregate norm" in capsys.readouterr().err
