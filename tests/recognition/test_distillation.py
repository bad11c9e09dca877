"""Runs with a teacher: its features are those of the view that the student sees, kept once, gone on with to the bit."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.formats.face_records import FaceRecords
from lwface.formats.feature_file import FeatureWriter, read_features
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.models.store import load_model, save_model
from lwface.networks import NETWORKS, FaceNetwork
from lwface.recognition import teachers as teachers_module
from lwface.recognition.rounds import train_in_rounds
from lwface.recognition.train import prepare, run_folder
from lwface.settings.resolve import BEST_DISTILLATION, resolve
from lwface.training.checkpoint import read_checkpoint
from lwface.training.loop import Loop
from lwface.training.sampler import BatchSampler

PEOPLE, IMAGES, BAD = 6, 40, 7
WAYS = {"adadistill": {"sample_rate": 0.4}, "ekd": {"accumulate": 2}, "logit": {"sample_rate": 0.4, "ema": 0.5}}


def tiny(emb_size: int = 8) -> FaceNetwork:
    body = nn.Sequential(nn.Conv2d(3, 4, 16, stride=16), nn.BatchNorm2d(4), nn.PReLU(4), nn.Dropout(0.2))
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(4 * 7 * 7, emb_size)), emb_size)


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "tiny", tiny)
    monkeypatch.setattr(teachers_module, "BATCH", 16)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_data(folder, bad=False):
    random = np.random.default_rng(0)
    base = random.integers(60, 195, (PEOPLE, 7, 7, 3))
    with RecordWriter(folder / "train.rec") as writer:
        for key in range(IMAGES):
            noisy = np.clip(base[key % PEOPLE] + random.integers(-60, 61, (7, 7, 3)), 0, 255).astype(np.uint8)
            image = encode_jpeg(np.kron(noisy, np.ones((16, 16, 1), np.uint8)))
            label = Header(0, float(key % PEOPLE), key, 0)
            writer.write(key, pack(label, b"no image" if bad and key == BAD else image))
    (folder / "property").write_text(f"{PEOPLE},112,112")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


def teacher_at(folder, name, width=8, seed=5):
    torch.manual_seed(seed)
    network = tiny(width)
    with torch.no_grad():
        network(torch.randint(0, 256, (16, 3, 112, 112)))  # batch norms that are no identity
    save_model(str(folder / name), 1, network.eval(), {"net_name": "tiny", "emb_size": width})
    return f"{folder / name},1"


@pytest.fixture
def teacher(tmp_path):
    return teacher_at(tmp_path, "teacher")


@pytest.fixture
def run_of(data, tmp_path, teacher):
    def make(root="models", loss="nsoftmax", **changes):
        settings = {"per_batch_size": 8, "max_steps": 7, "frequent": 1, "verbose": 50, "lr": 0.02, "num_workers": 0}
        settings |= {"dataset_path": str(data), "models_root": str(tmp_path / root), "val_targets": []}
        settings |= {"lr_policy": "step", "warmup_steps": 0, "loss_s": 8.0, "teacher": [teacher], "distill": "cosine"}
        settings |= {"teacher_cache": str(tmp_path / "cache")}
        return resolve("tiny", "synthetic", loss, **(settings | changes))

    return make


@pytest.fixture
def loop_of(run_of, tmp_path):
    return lambda **changes: prepare(run_of(**changes), device="cpu", folder=tmp_path / changes.get("root", "models"))


def losses_of(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["acc"], line["teacher"]) for line in lines if "loss" in line]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stop_at(monkeypatch, step):
    original = Loop.training_step

    def stopping(self, batch, rate):
        if self.step == step - 1:
            signal.raise_signal(signal.SIGTERM)
        return original(self, batch, rate)

    monkeypatch.setattr(Loop, "training_step", stopping)


@pytest.mark.parametrize("mirror", [True, False])
def test_the_teacher_sees_what_the_student_sees(loop_of, teacher, mirror):
    """The rows of a batch are the teacher's own features of the very pixels that the student is given."""
    task = loop_of(data_rand_mirror=mirror).task
    network, _ = load_model(teacher)
    views = []
    for step, positions in enumerate(BatchSampler(IMAGES, 8, seed=0, stop=4)):
        inputs, targets = task.on_device(task.data.batch(positions, step), step)
        with torch.no_grad():
            torch.testing.assert_close(task.rows, network(inputs), rtol=1e-5, atol=1e-5)
        assert targets[:, 1].tolist() == list(range(8))
        assert (targets[:, 0] == torch.from_numpy(positions % PEOPLE)).all()
        views.append(inputs)
    assert len(torch.cat(views)) == 32


def test_of_images_left_out_no_row_is_taken_for_another(loop_of, teacher, tmp_path):
    listed = tmp_path / "clean.csv"
    listed.write_text("key,person,proposal,other,reason,score,neighbour\n3,3,leave out,,mislabelled,0.1,\n")
    task = loop_of(leave_out=str(listed)).task
    assert len(task.data) == IMAGES - 1
    inputs, _ = task.on_device(task.data.batch(np.arange(8), 0), 0)
    with torch.no_grad():
        torch.testing.assert_close(task.rows, load_model(teacher)[0](inputs), rtol=1e-5, atol=1e-5)


def test_where_an_image_is_replaced_so_is_its_row(loop_of, teacher, tmp_path, capfd):
    (tmp_path / "bad").mkdir()
    task = loop_of(dataset_path=str(make_data(tmp_path / "bad", bad=True)), skip_bad=True).task
    assert "1 images do not decode" in capfd.readouterr().err
    batch = task.data.batch(np.array([2, BAD, 9, 11]), 0)
    assert batch.bad.keys() == {BAD}
    assert batch.targets.tolist() == [[2, 2], [3, 9], [3, 9], [5, 11]]
    inputs, _ = task.on_device(batch, 0)
    with torch.no_grad():
        torch.testing.assert_close(task.rows, load_model(teacher)[0](inputs), rtol=1e-5, atol=1e-5)


def test_features_are_computed_once_and_beside_no_data(loop_of, data, tmp_path, teacher, capfd, monkeypatch):
    before = sorted(os.listdir(data))
    loop_of()
    said = capfd.readouterr().out
    (path,) = (tmp_path / "cache").glob("*.bin")
    assert f"8 wide, features in {path} (0.00258 MB, computed)" in said
    assert sorted(os.listdir(data)) == before
    images = np.stack([image for image, _ in FaceRecords(data)])
    embedder = Embedder(load_model(teacher)[0], device=torch.device("cpu"), batch_size=16)
    np.testing.assert_array_equal(np.stack(embedder.embed_both(images), axis=1).reshape(-1, 8), read_features(path))
    monkeypatch.setattr(Embedder, "embed_both", None)  # never again
    loop_of(root="other", distill="relational")
    assert "there already, of this teacher and these images" in capfd.readouterr().out


def test_an_interrupted_cache_goes_on_to_the_same_bytes(loop_of, tmp_path, monkeypatch):
    loop_of()
    (path,) = (tmp_path / "cache").glob("*.bin")
    whole, count = path.read_bytes(), [0]
    path.unlink()
    original = Embedder.embed_both

    def interrupted(self, images):
        count[0] += 1
        if count[0] == 2:
            raise KeyboardInterrupt
        return original(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "embed_both", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop_of()
    assert not path.exists()
    seen = []
    monkeypatch.setattr(Embedder, "embed_both", lambda self, images: seen.append(len(images)) or original(self, images))
    loop_of()
    assert seen == [16, 8]  # the first 16 were there
    assert path.read_bytes() == whole


def test_another_teacher_or_data_set_has_another_file(loop_of, tmp_path, data):
    loop_of()
    loop_of(teacher=[teacher_at(tmp_path, "second", seed=6)])
    (tmp_path / "more").mkdir()
    loop_of(dataset_path=str(make_data(tmp_path / "more", bad=True)), skip_bad=True)
    files = sorted((tmp_path / "cache").glob("*.bin"))
    assert len(files) == 3
    origin = files[0].with_name(files[0].name + ".origin.json")
    noted = json.loads(origin.read_text())
    origin.write_text(json.dumps({**noted, "data_sha256": "0"}))
    with pytest.raises(UserError, match="of another teacher or other images"):
        teachers_module._check_origin(files[0], noted["model_sha256"], noted["data_sha256"])
    origin.write_text("{")
    with pytest.raises(UserError, match="damaged: delete it"):
        teachers_module._check_origin(files[0], noted["model_sha256"], noted["data_sha256"])


def test_a_feature_file_may_teach(loop_of, tmp_path):
    task = loop_of().task
    rows = np.array(task.teachers.each[0].features)
    mine = tmp_path / "mine.bin"
    with FeatureWriter(mine, *rows.shape, unit_rows=False) as writer:
        writer.write(rows)
    other = loop_of(teacher=[str(mine)]).task
    np.testing.assert_array_equal(other.teachers.rows(np.arange(9)), rows[:9])
    assert other.facts() != task.facts()
    with FeatureWriter(tmp_path / "short.bin", 40, 8, unit_rows=False) as writer:
        writer.write(rows[:40])
    with pytest.raises(UserError, match=r"short\.bin: 40 rows, expected 80: two for each of the 40 images"):
        loop_of(teacher=[str(tmp_path / "short.bin")])


def test_the_cosine_of_two_teachers_is_the_mean_of_theirs(loop_of, tmp_path, teacher):
    wide = teacher_at(tmp_path, "wide", width=12, seed=6)
    both = loop_of(teacher=[teacher, wide]).task
    assert both.teachers.width == 20
    assert both.teaching.map.weight.shape == (20, 8)
    places = np.arange(2 * IMAGES)
    cosines = []
    for found in (both.teachers, *(loop_of(teacher=[one]).task.teachers for one in (teacher, wide))):
        rows = found.rows(places)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        cosines.append(rows @ rows.T)
    np.testing.assert_allclose(cosines[0], (cosines[1] + cosines[2]) / 2, atol=1e-6)


def test_centres_are_the_mean_of_unit_rows_of_both_views(loop_of, monkeypatch):
    monkeypatch.setattr(teachers_module, "ROWS_AT_ONCE", 7)
    task = loop_of(distill="logit").task
    rows = task.teachers.rows(np.arange(2 * IMAGES)).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    people = np.repeat(np.arange(IMAGES) % PEOPLE, 2)
    means = np.stack([rows[people == person].mean(axis=0) for person in range(PEOPLE)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(task.teaching.way.centres.numpy(), means, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_stopped_and_resumed_it_is_the_same_run(run_of, tmp_path, monkeypatch, way):
    changes = {"distill": way, **WAYS[way]}
    if way == "adadistill":
        changes["teacher"] = [teacher_at(tmp_path, "wide", width=12)]
    assert train_in_rounds(run_of(root="whole", **changes), device="cpu") == 0
    with monkeypatch.context() as patch:
        stop_at(patch, 4)
        assert train_in_rounds(run_of(**changes), device="cpu") == 143
    torch.manual_seed(99)
    assert train_in_rounds(run_of(**changes), device="cpu", resume=True) == 0
    folders = [run_folder(run_of(root=root)) for root in ("models", "whole")]
    assert losses_of(folders[0]) == losses_of(folders[1])
    states = [read_checkpoint(folder / "last.ckpt")["modules"] for folder in folders]
    assert all(same(states[0].get(name, {}), states[1].get(name, {})) for name in ("network", "teaching"))
    models = [(folder / "model-0001.safetensors").read_bytes() for folder in folders]
    assert models[0] == models[1]
    assert not any(name.startswith("map") for name in load_model(f"{folders[0] / 'model'},1")[0].state_dict())


def test_the_loss_is_the_weighted_sum(loop_of):
    losses = {}
    for weights in ((1.0, 3.0), (0.0, 3.0), (2.0, 6.0)):
        loop = loop_of(identity_weight=weights[0], distill_weight=weights[1])
        torch.manual_seed(1)  # dropout
        made = loop.training_step(loop.task.data.batch(np.arange(8), 0), 0.0)
        losses[weights] = made.loss, made.sums
    (whole, sums), (alone, of_alone), (twice, _) = losses.values()
    assert alone == pytest.approx(sums["teacher"] / 8, rel=1e-6)
    assert alone == pytest.approx(of_alone["teacher"] / 8, rel=1e-6)
    assert whole > alone
    assert twice == pytest.approx(2 * whole, rel=1e-6)


def test_the_teacher_alone_leaves_the_classifier_as_it_is(loop_of):
    loop = loop_of(identity_weight=0.0)
    before = {name: tensor.clone() for name, tensor in loop.task.modules["classifier"].state_dict().items()}
    network = [parameter.clone() for parameter in loop.task.network.parameters()]
    loop.training_step(loop.task.data.batch(np.arange(8), 0), 0.1)
    assert torch.equal(loop.task.modules["classifier"].weight, before["weight"])
    assert any(not torch.equal(old, new) for old, new in zip(network, loop.task.network.parameters(), strict=True))


def test_rounds_begin_where_the_last_one_ended(run_of, tmp_path, monkeypatch, capfd):
    run = run_of(distill_rounds=2)
    started = []
    original = Loop.start

    def starting(self, *, resume):
        started.append({name: tensor.clone() for name, tensor in self.task.network.state_dict().items()})
        return original(self, resume=resume)

    monkeypatch.setattr(Loop, "start", starting)
    assert train_in_rounds(run, device="cpu") == 0
    folder = run_folder(run)
    assert same(started[1], read_checkpoint(folder / "round1" / "last.ckpt")["modules"]["network"])
    assert not same(started[0], started[1])
    whole = losses_of(folder)
    with pytest.raises(UserError, match="there is a run"):
        train_in_rounds(run, device="cpu")
    again = run_of(root="again", distill_rounds=2)
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        assert train_in_rounds(again, device="cpu") == 143  # in the first round
    with monkeypatch.context() as patch:
        stop_at(patch, 4)
        assert train_in_rounds(again, device="cpu", resume=True) == 143  # in the first again
    capfd.readouterr()
    assert train_in_rounds(again, device="cpu", resume=True) == 0
    assert train_in_rounds(again, device="cpu", resume=True) == 0
    assert capfd.readouterr().out.count("the run is finished") == 2
    assert losses_of(run_folder(again)) == whole


def test_the_best_measured_is_the_default(run_of):
    assert run_of(distill="").distill == BEST_DISTILLATION


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": []}, "distill = 'cosine', and there is no teacher: name one, --teacher MODEL"),
        ({"teacher": [], "distill": "", "distill_rounds": 2}, "distill_rounds = 2, and there is no teacher"),
        ({"distill": "cosin"}, "unknown way to distil 'cosin'"),
        ({"distill": "adadistill", "loss": "softmax"}, "adadistill puts the loss's margin on cosines"),
        ({"loss": "triplet"}, "the loss triplet has no identities"),
        ({"teacher": ["nobody,1"]}, "no such model"),
    ],
)
def test_what_is_refused(loop_of, changes, message):
    with pytest.raises(UserError, match=message):
        loop_of(**changes)


def test_a_run_goes_on_with_the_same_teacher_only(run_of, tmp_path, teacher):
    assert train_in_rounds(run_of(), device="cpu") == 0
    elsewhere = teacher_at(tmp_path, "elsewhere")  # the same weights
    assert train_in_rounds(run_of(teacher=[elsewhere], max_steps=8), device="cpu", resume=True) == 0
    with pytest.raises(UserError, match=r"started on .* teachers"):
        train_in_rounds(run_of(teacher=[teacher_at(tmp_path, "b", seed=6)], max_steps=9), device="cpu", resume=True)
    with pytest.raises(UserError, match="distill = 'cosine', now it is 'l2'"):
        train_in_rounds(run_of(distill="l2", max_steps=9), device="cpu", resume=True)
