"""The set loss against a loop, and heads trained where it is known which frames are good."""

import cv2
import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.features.aggregation import MEAN, aggregate
from lwface.features.embedder import Embedder
from lwface.features.quality_training import (
    SCALE,
    LabelledFrames,
    choose_frames,
    degraded,
    embed_frames,
    open_frames,
    set_loss,
    train_head,
)
from lwface.formats.feature_file import read_features
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import RecordWriter, pack

WIDTH = 16
SIZE = (112, 112)


def test_the_loss_is_the_formula():
    generator = np.random.default_rng(0)
    weight = generator.normal(size=4)
    inputs, units = generator.normal(size=(2, 3, 5, 4)), generator.normal(size=(2, 3, 5, 2))
    sets = np.zeros((2, 3, 2))
    for side in range(2):
        for person in range(3):
            total = sum(np.exp(inputs[side, person, k] @ weight) * units[side, person, k] for k in range(5))
            sets[side, person] = total / np.linalg.norm(total)
    expected = 0.0
    for person in range(3):
        for one, other in ((sets[0], sets[1]), (sets[1], sets[0])):
            scores = [np.exp(SCALE * one[person] @ each) for each in other]
            expected -= np.log(scores[person] / sum(scores)) / 6
    found = set_loss(*(torch.from_numpy(each) for each in (weight, inputs, units)))
    assert float(found) == pytest.approx(expected, abs=1e-12)


def noisy_people(people: int, frames: int, seed: int, marked: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, WIDTH), people (n,), and how bad each frame is (n,): identity + noise, of no telling norm.

    The first number of a feature says how bad the frame is, unless ``marked`` is False.
    """
    generator = np.random.default_rng(seed)
    names = np.repeat(np.arange(people), frames)
    bad = generator.uniform(0, 1, len(names)) ** 2
    centres = np.random.default_rng(seed + 1).normal(size=(people, WIDTH))[names]
    features = centres + 4 * bad[:, None] * generator.normal(size=centres.shape)
    features[:, 0] = 3 * bad if marked else 0
    norms = generator.uniform(5, 10, (len(names), 1))
    return (norms * features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32), names, bad


def tar(rows: np.ndarray, names: np.ndarray, far: float = 1e-2) -> float:
    scores = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    same = (names[:, None] == names)[np.triu_indices(len(rows), 1)]
    impostors = np.sort(scores[~same])[::-1]
    return float((scores[same] > impostors[int(far * len(impostors))]).mean())


def test_a_head_learns_which_frames_are_noise_and_beats_the_mean_on_other_people():
    features, names, _ = noisy_people(60, 10, seed=0)
    trained = train_head(np.stack([features, features], axis=1), names, steps=200, seed=0)
    assert (trained.people, trained.checked) == (54, 6)
    assert trained.loss < 0.8 * trained.loss_of_mean
    new, people, bad = noisy_people(100, 8, seed=5)
    weights = trained.head.weighting().weights(new.astype(float))
    assert np.corrcoef(np.log(weights), bad)[0, 1] < -0.7
    assert weights[bad < 0.1].mean() > 3 * weights[bad > 0.6].mean()
    videos, owners = np.full(200, 4), people[::4]
    of_mean, of_head = (tar(aggregate(new, videos, each), owners) for each in (MEAN, trained.head.weighting()))
    assert of_head > of_mean + 0.05


def test_the_norm_is_learned_where_it_tells():
    features, names, bad = noisy_people(60, 10, seed=0, marked=False)
    features *= np.exp(-2 * bad)[:, None].astype(np.float32)
    head = train_head(np.stack([features, features], axis=1), names, steps=200, seed=0).head
    new, _, bad = noisy_people(50, 8, seed=5, marked=False)
    new *= np.exp(-2 * bad)[:, None].astype(np.float32)
    assert np.corrcoef(head.weighting().weights(new.astype(float)), bad)[0, 1] < -0.6


def test_degraded_frames_teach_too():
    """All frames are good as they are: it is their degraded version that is noise."""
    features, names, _ = noisy_people(60, 10, seed=0)
    good = features.copy()
    generator = np.random.default_rng(9)
    centres = np.random.default_rng(1).normal(size=(60, WIDTH))[names]
    good[:] = centres + 0.1 * generator.normal(size=centres.shape)
    poor = centres + 3 * generator.normal(size=centres.shape)
    good[:, 0], poor[:, 0] = 0, 3
    both = np.stack([good, poor], axis=1).astype(np.float32)
    weights = train_head(both, names, steps=100, seed=0).head.weighting()
    assert weights.weights(both[:, 0].astype(float)).mean() > 3 * weights.weights(both[:, 1].astype(float)).mean()


def test_training_is_the_same_each_time_and_the_seed_matters():
    features, names, _ = noisy_people(30, 6, seed=0)
    both = np.stack([features, features], axis=1)
    one, two, other = (train_head(both, names, steps=20, seed=seed).head for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.weight, two.weight)
    assert one.bias == two.bias
    assert np.abs(one.weight - other.weight).max() > 1e-6


def test_few_people_are_all_trained_on_and_bad_features_are_an_error():
    features, names, _ = noisy_people(5, 2, seed=0)
    both = np.stack([features, features], axis=1)
    trained = train_head(both, names, steps=2, seed=0)
    assert (trained.people, trained.checked) == (5, 0)
    both[3, 1] = 0
    with pytest.raises(UserError, match="zero or not finite"):
        train_head(both, names, steps=2, seed=0)


def test_frames_are_chosen_by_person():
    people = np.array([3, 0, 3, -1, -1, 5, 3, 0, 3, 9, 3, 9])
    assert choose_frames(people, 100, 100).tolist() == [0, 1, 2, 6, 7, 8, 9, 10, 11]  # not 5, who has one frame
    assert choose_frames(people, 100, 2).tolist() == [0, 1, 6, 7, 9, 11]  # of the five frames of 3, the first and third
    assert len(set(people[choose_frames(people, 2, 100)])) == 2
    with pytest.raises(UserError, match="1 people have two frames or more"):
        choose_frames(np.array([1, 1, 2]), 10, 10)


def face(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (14, 14, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def test_degraded_images_are_other_images_and_the_same_each_time():
    image = face(0)
    kinds = [degraded(image, np.random.default_rng(seed)) for seed in range(30)]
    again = [degraded(image, np.random.default_rng(seed)) for seed in range(30)]
    for one, two in zip(kinds, again, strict=True):
        assert one.shape == image.shape
        assert one.dtype == np.uint8
        assert (one != image).mean() > 0.2
        assert abs(float(one.mean()) - float(image.mean())) < 12
        np.testing.assert_array_equal(one, two)
    assert len({one.tobytes() for one in kinds}) == 30


@pytest.fixture
def folders(tmp_path):
    """The same 12 frames of 3 people as a record set, as images and as videos; with damage to none."""
    people = [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    names = [f"v{person}/{number:02}.jpg" for number, person in enumerate(people)]
    for kind, rows in (("images", names), ("videos", ["v0", "v1", "v2"])):
        for number, name in enumerate(names):
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / kind / name).write_bytes(encode_jpeg(face(number)))
        (tmp_path / kind / "filelist.txt").write_text("".join(f"{row}\n" for row in rows))
        labels = people if kind == "images" else [0, 1, 2]
        (tmp_path / kind / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    (tmp_path / "records").mkdir()
    with RecordWriter(tmp_path / "records" / "train.rec") as writer:
        for number, person in enumerate(people):
            writer.write(number, pack((0, person, number, 0), encode_jpeg(face(number))))
    (tmp_path / "records" / "property").write_text("3,112,112\n")
    return tmp_path


def test_records_images_and_videos_give_the_same_frames(folders):
    sources = [open_frames(folders / kind, SIZE) for kind in ("records", "images", "videos")]
    for source in sources:
        assert source.people.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]
        for place in (0, 5, 11):
            np.testing.assert_array_equal(source.read(place), sources[0].read(place))
    assert len({source.sha256 for source in sources}) == 3
    (folders / "videos" / "labels.txt").write_text("0\n1\n")
    with pytest.raises(UserError, match=r"labels\.txt"):
        open_frames(folders / "videos", SIZE)
    (folders / "videos" / "labels.txt").unlink()
    with pytest.raises(UserError, match=r"expected train.rec, filelist.txt and labels.txt of images or videos, or"):
        open_frames(folders / "videos", SIZE)


def test_a_list_of_images_with_blanks_in_their_names(folders):
    before = open_frames(folders / "images", SIZE)
    fifth = before.read(5)
    names = (folders / "images" / "filelist.txt").read_text().splitlines()
    for place, name in enumerate(names):
        (folders / "images" / name).rename(folders / "images" / f"a face {place}.jpg")
    listed = "".join(f"a face {place}.jpg\n" for place in range(len(names)))
    (folders / "images" / "filelist.txt").write_text(listed)
    found = open_frames(folders / "images", SIZE)
    np.testing.assert_array_equal(found.read(5), fifth)
    assert found.people.tolist() == before.people.tolist()


def test_a_folder_of_people_gives_its_frames(folders):
    listed = open_frames(folders / "images", SIZE)
    for place, person in enumerate(listed.people):
        target = folders / "people" / f"person {person}" / "clip" / f"{place:03}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), listed.read(place)[:, :, ::-1])
    found = open_frames(folders / "people", SIZE)
    assert found.people.tolist() == listed.people.tolist()
    for place in (0, 5, 11):
        np.testing.assert_array_equal(found.read(place), listed.read(place))


class Averages(torch.nn.Module):
    embedding_size = 3

    def forward(self, images):
        return images.float().mean(dim=(2, 3)) + 1


def test_features_of_frames_and_of_their_degraded_versions(folders, tmp_path, monkeypatch):
    frames, places = open_frames(folders / "images", SIZE), np.array([1, 4, 5, 8, 9])
    embedder = Embedder(Averages(), device=torch.device("cpu"), batch_size=4)
    found = embed_frames(frames, places, embedder, tmp_path / "whole.bin")
    for row, place in enumerate(places.tolist()):
        image = frames.read(place)
        poor = degraded(image, np.random.default_rng(place))
        expected = [each.reshape(-1, 3).mean(axis=0) + 1 for each in (image, poor)]
        np.testing.assert_allclose(found[row], expected, rtol=1e-5)
    read, calls = frames.read, []

    def interrupted_read(place):
        calls.append(place)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return read(place)

    with pytest.raises(KeyboardInterrupt):
        embed_frames(LabelledFrames(frames.people, interrupted_read, ""), places, embedder, tmp_path / "cut.bin")
    assert not (tmp_path / "cut.bin").exists()
    calls.extend([0] * 10)
    embed_frames(LabelledFrames(frames.people, interrupted_read, ""), places, embedder, tmp_path / "cut.bin")
    assert calls[14:] == [5, 8, 9]  # the two of the first batch were kept
    assert (tmp_path / "cut.bin").read_bytes() == (tmp_path / "whole.bin").read_bytes()
    monkeypatch.setattr(Embedder, "embed", None)  # a file that is there is taken
    again = embed_frames(frames, places, embedder, tmp_path / "cut.bin")
    np.testing.assert_array_equal(again.reshape(-1, 3), read_features(tmp_path / "whole.bin"))


def test_frames_that_cannot_be_used_are_named(folders):
    path = folders / "images" / "v1" / "04.jpg"
    path.write_bytes(encode_jpeg(face(4)[:100]))
    with pytest.raises(UserError, match=f"{path}: 112x100 pixels, not 112x112: align"):
        open_frames(folders / "images", SIZE).read(4)
    with pytest.raises(UserError, match=r"train.rec: record 4: 112x112 pixels, not 96x112"):
        open_frames(folders / "records", (112, 96)).read(4)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=f"{path}: cannot read this image: the file is empty"):
        open_frames(folders / "images", SIZE).read(4)
