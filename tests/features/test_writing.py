"""Rows against a naive float64 loop, and runs that are killed at every step they make on the disk."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.features.aggregation import MEAN, DominantCluster, NormWeighted, QualityWeighted
from lwface.features.embedder import Embedder
from lwface.features.writing import Work, decode, decoded_batches, look_through, write_features
from lwface.formats.feature_file import read_features
from lwface.formats.image import encode_jpeg

ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH = 12, 16
LENGTHS = (3, 1, 9, 2, 5, 1, 1, 4)  # frames of each video


class Tiny(nn.Module):
    embedding_size = 6

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 3, stride=2)
        self.linear = nn.Linear(5 * 5 * 7, 6)
        for value in self.parameters():
            nn.init.normal_(value, std=0.2, generator=generator)

    def forward(self, images):
        pixels = (images.to(self.linear.weight.dtype) - 127.5) / 128
        return self.linear(torch.relu(self.conv(pixels)).flatten(1))


def save_face(path: Path, seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)))


def make_images(folder: Path, count: int = 23) -> Path:
    names = [f"part{seed % 3}/{seed:03}.jpg" for seed in range(count)][::-1]
    for seed, name in enumerate(names):
        save_face(folder / name, seed)
    (folder / "filelist.txt").write_text("\n".join([*names, names[0]]) + "\n")
    return folder


def make_videos(folder: Path, lengths: tuple[int, ...] = LENGTHS) -> Path:
    for video, length in enumerate(lengths):
        for frame in range(length):
            save_face(folder / f"video{video}" / f"{frame:02}.jpg", 100 * video + frame)
    (folder / "filelist.txt").write_text("".join(f"video{video} {n}\n" for video, n in enumerate(lengths)))
    return folder


def write(folder: Path, output: Path, *, videos: bool = False, flip: bool = True, **options) -> np.ndarray:
    embedder = Embedder(Tiny(), device=torch.device("cpu"), batch_size=options.pop("batch_size", 4))
    work = Work(flip, HEIGHT, WIDTH, options.pop("workers", 2))
    options = {"model_sha256": "m", "resume": False, **options}
    write_features(look_through(folder, videos=videos), output, embedder, work, **options)
    return read_features(output)


def naive_feature(path: Path, flip: bool) -> np.ndarray:
    """f(image), or f(image) + f(mirrored), L2-normalised, in float64."""
    network = Tiny().double()
    rgb = cv2.imread(str(path))[:, :, ::-1].astype(np.float64)
    total = np.zeros(6)
    for image in [rgb, rgb[:, ::-1]] if flip else [rgb]:
        with torch.no_grad():
            total += network(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])[0].numpy()
    return total / np.sqrt((total**2).sum())


@pytest.mark.parametrize("flip", [True, False])
def test_image_rows_equal_the_definition(tmp_path, flip):
    folder = make_images(tmp_path / "in")
    features = write(folder, tmp_path / "f.bin", flip=flip)
    expected = [naive_feature(folder / name, flip) for name in (folder / "filelist.txt").read_text().split()]
    assert features.shape == (24, 6)
    np.testing.assert_allclose(features, expected, atol=2e-6)


@pytest.mark.parametrize("flip", [True, False])
def test_video_rows_equal_the_definition(tmp_path, flip):
    folder = make_videos(tmp_path / "in")
    features = write(folder, tmp_path / "f.bin", videos=True, flip=flip)
    for video, length in enumerate(LENGTHS):
        frames = [naive_feature(folder / f"video{video}" / f"{frame:02}.jpg", flip) for frame in range(length)]
        total = np.sum(frames, axis=0)
        np.testing.assert_allclose(features[video], total / np.linalg.norm(total), atol=2e-6)


@pytest.mark.parametrize("videos", [False, True])
def test_batches_and_threads_do_not_matter(tmp_path, videos):
    folder = (make_videos if videos else make_images)(tmp_path / "in")
    expected = write(folder, tmp_path / "f.bin", videos=videos)
    for workers in (0, 1, 7):
        features = write(folder, tmp_path / f"{workers}.bin", videos=videos, workers=workers)
        np.testing.assert_array_equal(features, expected)
    for batch_size in (1, 3, 64):
        features = write(folder, tmp_path / f"b{batch_size}.bin", videos=videos, batch_size=batch_size)
        np.testing.assert_allclose(features, expected, atol=1e-6)


def test_videos_fill_batches(tmp_path, monkeypatch):
    sizes = []
    embed = Embedder.embed
    monkeypatch.setattr(
        Embedder, "embed", lambda self, images, flip: sizes.append(len(images)) or embed(self, images, flip)
    )
    write(make_videos(tmp_path / "in"), tmp_path / "f.bin", videos=True)
    assert sizes == [4] * 6 + [2]  # 26 frames


AGGREGATIONS = {
    "mean": MEAN,
    "norm": NormWeighted(),
    "quality": QualityWeighted("head", np.linspace(-1, 1, 7), 0.5),
    "cluster": DominantCluster(0.9),
}


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_aggregations_do_not_depend_on_batches_and_threads(tmp_path, name):
    folder, aggregation = make_videos(tmp_path / "in"), AGGREGATIONS[name]
    expected = write(folder, tmp_path / "f.bin", videos=True, aggregation=aggregation)
    threaded = write(folder, tmp_path / "t.bin", videos=True, aggregation=aggregation, workers=0)
    np.testing.assert_array_equal(threaded, expected)
    for batch_size in (1, 3, 64):
        output = tmp_path / f"b{batch_size}.bin"
        features = write(folder, output, videos=True, aggregation=aggregation, batch_size=batch_size)
        np.testing.assert_allclose(features, expected, atol=1e-6)
    if name != "mean":
        assert np.abs(write(folder, tmp_path / "m.bin", videos=True) - expected).max() > 1e-3


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_aggregations_interrupted_and_resumed_give_the_same_bytes(tmp_path, monkeypatch, name):
    folder, options = make_videos(tmp_path / "in"), {"videos": True, "aggregation": AGGREGATIONS[name]}
    expected = write(folder, tmp_path / "whole.bin", **options).tobytes()
    interrupted(folder, tmp_path / "f.bin", monkeypatch, **options)  # in the middle of the third video
    assert write(folder, tmp_path / "f.bin", resume=True, **options).tobytes() == expected


def test_decoding_is_lazy_and_bounded():
    """However long the stream, only a few batches of it are taken ahead of what is asked for."""
    taken = itertools.count()
    paths = (f"none{next(taken)}.jpg" for _ in range(10**6))
    batches = decoded_batches(paths, 4, 4, Work(False, HEIGHT, WIDTH, 3))
    for _ in range(5):
        next(batches)
    assert next(taken) <= 4 * (5 + 3 + 2)
    batches.close()


def test_faults_of_single_images(tmp_path):
    save_face(tmp_path / "good.jpg", 0)
    save_face(tmp_path / "large.jpg", 0, (HEIGHT + 1, WIDTH))
    whole = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "folder.jpg").mkdir()
    names = ["cut", "empty", "good", "folder", "large", "none", "text"]
    batch = decode([str(tmp_path / f"{name}.jpg") for name in names], HEIGHT, WIDTH)
    faults = {Path(path).stem: reason for path, reason in batch.faults}
    assert list(faults) == ["cut", "empty", "folder", "large", "none", "text"]
    assert faults["large"] == "16x13 pixels, not 16x12"
    assert faults["none"] == "No such file or directory"
    np.testing.assert_array_equal(batch.images[2], cv2.imread(str(tmp_path / "good.jpg"))[:, :, ::-1])


def test_missing_files_are_one_error_before_any_work(tmp_path):
    folder = make_images(tmp_path / "in", 30)
    names = (folder / "filelist.txt").read_text().split()
    for name in names[5:17]:
        (folder / name).unlink()
    with pytest.raises(UserError, match=r"^12 images cannot be used: ") as caught:
        write(folder, tmp_path / "f.bin")
    message = str(caught.value)
    assert all(f"{folder / name}: no such file" in message for name in names[5:15])
    assert names[15] not in message
    assert "; and 2 more. Add them" in message
    assert os.listdir(tmp_path) == ["in"]


def test_bad_images_are_one_error_and_the_rows_before_are_kept(tmp_path, capsys):
    folder, output = make_images(tmp_path / "in"), tmp_path / "f.bin"
    expected = write(folder, tmp_path / "whole.bin").tobytes()
    names = (folder / "filelist.txt").read_text().split()
    good = {name: (folder / name).read_bytes() for name in (names[9], names[17])}
    (folder / names[9]).write_bytes(good[names[9]][:-40])
    save_face(folder / names[17], 0, (WIDTH, HEIGHT))
    capsys.readouterr()
    with pytest.raises(UserError, match=r"^2 images cannot be used: ") as caught:
        write(folder, output)
    message = str(caught.value)
    assert message.index(names[9]) < message.index(names[17])
    assert "12x16 pixels, not 16x12" in message
    assert "forbids resizing" in message
    assert not output.exists()
    assert "8 of 24 rows are kept; the same command with --resume" in capsys.readouterr().err
    for name, data in good.items():
        (folder / name).write_bytes(data)
    assert write(folder, output, resume=True).tobytes() == expected
    assert "resuming at row 8 of 24" in capsys.readouterr().err


def test_videos_without_frames_are_one_error(tmp_path):
    folder = make_videos(tmp_path / "in")
    (folder / "empty").mkdir()
    (folder / "empty" / "frame.txt").touch()
    (folder / "file").touch()
    with open(folder / "filelist.txt", "a") as file:
        file.write("empty 3\nnone\nfile\n")
    with pytest.raises(UserError, match=r"^3 videos cannot be used: ") as caught:
        write(folder, tmp_path / "f.bin", videos=True)
    for fault in ("empty: no frame in this folder", "none: no such folder", "file: no such folder"):
        assert f"{folder}/{fault}" in str(caught.value)


def test_frames_of_any_ending_and_what_is_beside_them(tmp_path):
    folder = make_videos(tmp_path / "in", (3, 2))
    expected = write(folder, tmp_path / "f.bin", videos=True)
    image = cv2.imread(str(folder / "video0" / "01.jpg"))
    (folder / "video0" / "01.jpg").unlink()
    cv2.imwrite(str(folder / "video0" / "01.png"), image)
    (folder / "video0" / "02.jpg").rename(folder / "video0" / "02.JPG")
    (folder / "video1" / "00.jpg").rename(folder / "video1" / "00.jfif")
    for extra in ("video0/._01.jpg", "video1/.DS_Store", "video1/notes.txt"):
        (folder / extra).write_bytes(b"no image")
    np.testing.assert_array_equal(write(folder, tmp_path / "g.bin", videos=True), expected)
    account = look_through(folder, videos=True).account
    assert (account.seen, account.taken) == (8, 5)
    shutil.copy(folder / "video0" / "00.jpg", folder / "video0" / "00.png")
    with pytest.raises(UserError, match=r"video0: 00\.jpg and 00\.png have one name with two endings"):
        look_through(folder, videos=True)


def test_a_folder_without_a_list_is_its_own(tmp_path, capsys):
    folder = make_videos(tmp_path / "in", (3, 1, 2))
    videos = write(folder, tmp_path / "f.bin", videos=True)
    (folder / "filelist.txt").unlink()
    (folder / "video1" / "notes.txt").touch()
    listing = look_through(folder, videos=True)
    assert list(listing.names) == ["video0", "video1", "video2"]
    assert (listing.account.seen, listing.account.taken) == (7, 6)
    assert "its 3 folders with images are the rows" in capsys.readouterr().err
    np.testing.assert_array_equal(write(folder, tmp_path / "g.bin", videos=True), videos)
    names = ["video0/00.jpg", "video0/01.jpg", "video0/02.jpg", "video1/00.jpg", "video2/00.jpg", "video2/01.jpg"]
    assert list(look_through(folder, videos=False).names) == names
    rows = write(folder, tmp_path / "i.bin")
    np.testing.assert_allclose(rows, [naive_feature(folder / name, True) for name in names], atol=2e-6)
    save_face(folder / "top.jpg", 1)
    with pytest.raises(UserError, match=r"top\.jpg: lies beside the folders of frames"):
        look_through(folder, videos=True)


def test_a_folder_that_changes_under_the_run(tmp_path):
    folder = make_videos(tmp_path / "in")
    listing = look_through(folder, videos=True)
    (folder / "video2" / "00.jpg").unlink()
    with pytest.raises(UserError, match="video2: 8 frames, but 9 when the run began"):
        list(listing.paths(0))


def interrupted(folder: Path, output: Path, monkeypatch, **options) -> None:
    """A run that gets Ctrl-C before its third batch."""
    embed, calls = Embedder.embed, []

    def embed_twice(self, images, flip):
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(self, images, flip)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patch.setattr(Embedder, "embed", embed_twice)
        write(folder, output, **options)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"flip": False}, r"flip True \(now False\)"),
        ({"batch_size": 5}, r"batch_size 4 \(now 5\)"),
        ({"model_sha256": "other"}, r"model m \(now other\)"),
        ({"aggregation": NormWeighted()}, r"aggregate mean \(now norm\)"),
        ({"aggregation": DominantCluster(0.25)}, r"aggregate mean \(now cluster 0.25\)"),
    ],
)
def test_resume_with_other_settings_is_refused(tmp_path, monkeypatch, change, named):
    folder, output = make_images(tmp_path / "in"), tmp_path / "f.bin"
    interrupted(folder, output, monkeypatch)
    with pytest.raises(UserError, match=f"cannot resume, the unfinished file was made with another {named}; give"):
        write(folder, output, resume=True, **change)


def test_resume_with_another_list_or_other_frames_is_refused(tmp_path, monkeypatch):
    images, videos, output = make_images(tmp_path / "i"), make_videos(tmp_path / "v"), tmp_path / "f.bin"
    interrupted(images, output, monkeypatch)
    lines = (images / "filelist.txt").read_text().split()
    (images / "filelist.txt").write_text("\n".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(UserError, match="another list "):
        write(images, output, resume=True)
    interrupted(videos, output, monkeypatch, videos=True)
    (videos / "video1" / "00.jpg").rename(videos / "video1" / "01.jpg")
    with pytest.raises(UserError, match="another list "):
        write(videos, output, videos=True, resume=True)


def test_without_resume_the_unfinished_rows_go_and_it_is_said(tmp_path, monkeypatch, capsys):
    folder, output = make_images(tmp_path / "in"), tmp_path / "f.bin"
    interrupted(folder, output, monkeypatch)
    capsys.readouterr()
    write(folder, output, flip=False)
    assert "8 rows that an unfinished run had left are discarded (--resume would have kept" in capsys.readouterr().err
    write(folder, output, resume=True)
    assert "nothing to resume, starting at the first row" in capsys.readouterr().err


KILLER = """
import os, signal, sys
from pathlib import Path
import pytest
sys.path[:0] = [{here!r}]
import torch
import lwface.formats.feature_file as feature_file
from test_writing import write

torch.set_num_threads(1)  # and no tensor is computed here, so the children's threads are their own
feature_file.SYNC_INTERVAL_S = 0.0

def run(output, videos, kill_at, resume):
    "Write in a child process that dies at its step number kill_at on the disk; whether it lived."
    child = os.fork()
    if child == 0:
        steps = 0
        def counting(function):
            def counted(*args, **kwargs):
                nonlocal steps
                steps += 1
                if steps == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)
            return counted
        os.fsync = lambda descriptor: None  # a killed process loses nothing that it wrote: only the moment counts
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, counting(getattr(os, name)))
        feature_file.FeatureWriter.write = counting(feature_file.FeatureWriter.write)
        write(Path({folder!r}), output, videos=videos, resume=resume)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

output, videos = Path({output!r}), {videos!r}
assert run(output, videos, 0, False)
whole = output.read_bytes()
output.unlink()
kill_at, alive = 0, False
while not alive:
    kill_at += {stride}
    alive = run(output, videos, kill_at, False)
    assert not output.exists() or output.read_bytes() == whole, kill_at
    assert run(output, videos, 0, True), kill_at
    assert output.read_bytes() == whole, kill_at
    assert [path.name for path in output.parent.iterdir()] == [output.name], kill_at
    output.unlink()
steps = kill_at
# and a run that is killed again and again, each time a little later
for first in (7, 8):
    for kill_at in range(first, 200, 5):
        if run(output, videos, kill_at, True):
            break
    assert output.read_bytes() == whole
    output.unlink()
print(steps)
"""


@pytest.mark.parametrize(("videos", "stride"), [(True, 1), (False, 4)])
def test_killed_at_its_steps_and_resumed_gives_the_same_bytes(tmp_path, videos, stride):
    folder = make_videos(tmp_path / "in", (3, 1, 6, 2)) if videos else make_images(tmp_path / "in", 10)
    (tmp_path / "out").mkdir()
    names = {
        "root": str(ROOT),
        "here": str(Path(__file__).parent),
        "folder": str(folder),
        "videos": videos,
        "stride": stride,
    }
    script = KILLER.format(**names, output=str(tmp_path / "out" / "f.bin"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 20
