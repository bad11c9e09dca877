"""Several data sets in one run: joined by name, apart, or with a head each; and what a run says it forgot."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.commands.train import parse_arguments
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import decode_rgb, encode_jpeg
from lwface.formats.record_people import names_of_labels
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.formats.verification_pack import write_pack
from lwface.losses import Classifier, Heads
from lwface.losses.margin_softmax import MarginSoftmax
from lwface.losses.softmax import Softmax
from lwface.networks import NETWORKS, FaceNetwork
from lwface.recognition import train as face_training
from lwface.recognition.forgetting import changes
from lwface.reporting.training_log import read_run
from lwface.settings.resolve import resolve

SETS = {"one": ["Ann", "Ben", "Cy"], "two": ["Di", "Ben", "Éva", "Ann"]}
IMAGES = {"one": 9, "two": 12}


def tiny(emb_size: int = 6) -> FaceNetwork:
    body = nn.Sequential(nn.Conv2d(3, 4, 16, stride=16))
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(4 * 7 * 7, emb_size)), emb_size)


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "tiny", tiny)


def shade(name, number):
    """Of each image another grey."""
    return 20 + 25 * (sum(map(ord, name)) % 5) + number


@pytest.fixture
def data(tmp_path):
    for folder, people in SETS.items():
        root = tmp_path / folder
        root.mkdir()
        with RecordWriter(root / "train.rec") as writer:
            for key in range(IMAGES[folder]):
                label = key % len(people)
                image = np.full((112, 112, 3), shade(people[label], key), np.uint8)
                writer.write(key, pack(Header(0, float(label), key, 0), encode_jpeg(image)))
        (root / "property").write_text(f"{len(people)},112,112")
        (root / "people.txt").write_text("".join(f"{name}\n" for name in people), encoding="utf-8")
        grey = [encode_jpeg(np.full((112, 112, 3), 12 * i, np.uint8)) for i in range(20)]
        pairs = [(i, i if i % 2 == 0 else (i + 7) % 20) for i in range(20)]
        write_pack(root / "heldout.bin", [grey[i] for pair in pairs for i in pair], [a == b for a, b in pairs])
    return tmp_path


@pytest.fixture
def run_of(data):
    def make(join="names", loss="nsoftmax", names="one,two", **changes):
        settings = {"per_batch_size": 6, "max_steps": 2, "verbose": 2, "lr": 0.01, "num_workers": 0, "join": join}
        settings |= {"models_root": str(data / "models"), "lr_policy": "step", "wd": 0.0}
        return resolve("tiny", ",".join(str(data / name) for name in names.split(",")), loss, **(settings | changes))

    return make


def loop_of(run, data):
    return face_training.prepare(run, device="cpu", folder=data / "unused")


def names_and_greys(joined, labels):
    """Of each position, its image's grey and its joined label, by batches across the sets."""
    order = np.array([20, 3, 8, 9, 0, 15, 1, 2, 4, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 18, 19])
    found = {}
    for positions in np.split(order, [4, 5, 13]):
        batch = joined.batch(positions, 0)
        assert np.array_equal(batch.targets.numpy(), labels[positions])
        means = batch.images.float().mean(dim=(1, 2, 3)).round().int().tolist()
        found |= dict(zip(positions.tolist(), means, strict=True))
    return [found[position] for position in range(len(order))]


EXPECTED = {  # (set, label) to joined label
    "names": {("one", 0): 0, ("one", 1): 1, ("one", 2): 2, ("two", 0): 3, ("two", 1): 1, ("two", 2): 4, ("two", 3): 0},
    "apart": {("one", 0): 0, ("one", 1): 1, ("one", 2): 2, ("two", 0): 3, ("two", 1): 4, ("two", 2): 5, ("two", 3): 6},
}


@pytest.mark.parametrize("join", ["names", "apart", "heads"])
def test_labels_are_those_of_the_people(run_of, data, join, capsys):
    task = loop_of(run_of(join), data).task
    expected = EXPECTED["names" if join == "names" else "apart"]
    pairs = [(folder, key % len(SETS[folder])) for folder in SETS for key in range(IMAGES[folder])]
    labels = task.data.labels()
    assert labels.tolist() == [expected[pair] for pair in pairs]
    keys = [key for folder in SETS for key in range(IMAGES[folder])]
    greys = [shade(SETS[folder][label], key) for (folder, label), key in zip(pairs, keys, strict=True)]
    assert names_and_greys(task.data, labels) == pytest.approx(greys, abs=1)
    assert [len(head.shard) for head in task.heads] == {"names": [5], "apart": [7], "heads": [3, 4]}[join]
    said = capsys.readouterr().out
    counted = {"names": "5 people, 2 of them in several", "apart": "7 people", "heads": "told apart by 2 heads"}
    assert counted[join] in said
    assert "images 9 + 12 = 21" in said


def test_how_sets_are_joined_is_asked_and_never_guessed(run_of, data):
    with pytest.raises(UserError, match=r"2 data sets, .*--join names .*--join apart .*--join heads"):
        loop_of(run_of(join=""), data)
    with pytest.raises(UserError, match="join = 'names': there is one data set"):
        loop_of(run_of(names="one"), data)
    (data / "two" / "people.txt").unlink()
    with pytest.raises(UserError, match=r"two/people.txt: there is no such file, so nothing says .*--join apart"):
        loop_of(run_of(), data)
    with pytest.raises(UserError, match="the loss triplet has no head"):
        loop_of(run_of(join="heads", loss="triplet"), data)
    with pytest.raises(UserError, match=r"leave_out = 'a.csv': a list is of one data set"):
        loop_of(run_of(leave_out="a.csv"), data)
    with pytest.raises(UserError, match=r"no data set 'three'|three: no such folder"):
        parse_arguments(["--network", "y1", "--dataset", f"{data / 'one'},{data / 'three'}"])


def test_names_come_from_folders_too_and_only_where_they_are_people(data):
    root = data / "two"
    (root / "people.txt").unlink()
    listing = [f"1\t{SETS['two'][key % 4]}/{key}.jpg\t{key % 4}\n" for key in range(12)]
    (root / "train.lst").write_text("".join(listing), encoding="utf-8")
    assert names_of_labels(FaceRecords(root)) == dict(enumerate(SETS["two"]))
    for wrong, reason in (
        ([f"1\ttrain/{key}.jpg\t{key % 4}\n" for key in range(12)], "begin alike for several labels"),
        ([f"1\tp{key}/{key}.jpg\t{key % 4}\n" for key in range(12)], "do not begin with the folder of the person"),
        (listing[:5], "5 lines for 12 images"),
    ):
        (root / "train.lst").write_text("".join(wrong))
        with pytest.raises(UserError, match=reason):
            names_of_labels(FaceRecords(root))
    for names, reason in (("Di Ben", "2 lines for labels up to 3"), ("Di Ben Eva Ben", "1 and 3 are both 'Ben'")):
        (root / "people.txt").write_text("".join(f"{name}\n" for name in names.split()))
        with pytest.raises(UserError, match=reason):
            names_of_labels(FaceRecords(root))


def test_two_spellings_of_unicode_are_one_person_and_numbers_are_told(run_of, data, capsys):
    (data / "one" / "people.txt").write_text("E\u0301va\n7\nCy\n", encoding="utf-8")
    (data / "two" / "people.txt").write_text("Di\n7\nÉva\nAnn\n", encoding="utf-8")
    assert loop_of(run_of(), data).task.data.heads == [5]
    assert "1 of 2 shared names are numbers (7)" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [MarginSoftmax, Softmax])
def test_heads_are_their_classifiers_by_their_share_of_the_batch(kind):
    torch.manual_seed(3)
    alone = [Classifier(kind(), count, 5) for count in (3, 4)]
    heads = Heads(alone)
    x, labels = torch.randn(7, 5, requires_grad=True), torch.tensor([0, 5, 2, 3, 6, 1, 3])
    heads.begin(labels, 1.0, torch.Generator().manual_seed(0))
    found = heads(x, labels)
    found.loss.backward()
    gradients = [x.grad.clone(), *(head.weight.grad.clone() for head in alone)]
    x.grad = None
    losses, correct = [], 0
    for row, label in enumerate(labels.tolist()):
        head, own = (alone[0], label) if label < 3 else (alone[1], label - 3)
        weight = head.weight.detach().requires_grad_()
        scores = x[row] @ weight.T
        if head.margin.cosine:
            scores = 64 * scores / (x[row].square().sum() + 1e-10).sqrt() / (weight.square().sum(1) + 1e-10).sqrt()
        losses.append(nn.functional.cross_entropy(scores[None], torch.tensor([own])))
        correct += int(scores.argmax()) == own
    sum(losses).div(7).backward()
    torch.testing.assert_close(found.loss, sum(losses) / 7)
    torch.testing.assert_close(gradients[0], x.grad)
    assert int(found.correct) == correct
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_a_head_without_a_row_stays_as_it_is(run_of, data):
    loop = loop_of(run_of("heads", wd=0.1), data)
    task = loop.task
    before = [head.weight.detach().clone() for head in task.heads]
    loop.training_step(task.data.batch(np.arange(6), 0), 0.1)  # of the first set
    assert [torch.equal(head.weight, was) for head, was in zip(task.heads, before, strict=True)] == [False, True]


def test_each_head_begins_at_the_means_of_its_own_people(run_of, data):
    task = loop_of(run_of("heads", head_start="mean"), data).task
    task.network.eval()
    for head, (folder, people) in zip(task.heads, SETS.items(), strict=True):
        records = FaceRecords(data / folder)
        sums = torch.zeros(len(people), 6)
        with torch.no_grad():
            for position in range(len(records)):
                label, jpeg = records.read(position)
                image = torch.from_numpy(decode_rgb(jpeg)).permute(2, 0, 1)[None]
                for seen in (image, image.flip(3)):
                    sums[label] += nn.functional.normalize(task.network(seen))[0]
        torch.testing.assert_close(nn.functional.normalize(head.weight.detach()), nn.functional.normalize(sums))


def test_a_run_says_what_became_of_each_pack(run_of, data, capsys):
    first = run_of("apart", names="one,two", max_steps=1)
    assert face_training.train(first, device="cpu") == 0
    assert (data / "models" / "tiny-nsoftmax-one+two" / "model-0001.safetensors").exists()
    model = str(data / "models" / "tiny-nsoftmax-one+two" / "model,1")
    capsys.readouterr()
    also = str(data / "two" / "heldout.bin")
    run = run_of("", names="one", pretrained=model, verify_also=also, head_start="random")
    assert face_training.train(run, device="cpu") == 0
    said = capsys.readouterr().out
    names = ["two-heldout", "heldout"]  # the second decides
    assert [line.split()[1] for line in said.splitlines() if line.startswith("ver ")] == names
    ends = [line for line in said.splitlines() if " before, " in line]
    assert [line.partition(":")[0] for line in ends] == names


@pytest.mark.parametrize(
    ("after", "told"), [(0.9, "better than before"), (0.5, "worse: "), (0.81, "not to be told apart")]
)
def test_words_of_a_change(tmp_path, after, told):
    log = [{"step": 0, "epoch": 0, "verification": "lfw", "accuracy": 0.8, "std": 0.02, "folds": 10}]
    log += [{**log[0], "step": 4, "accuracy": after}, {**log[0], "verification": "none", "step": 4}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    (line,) = changes(read_run(tmp_path), 4)
    assert line.startswith(f"lfw: Accuracy 0.80000 before, {after:1.5f} after step 4, ")
    assert told in line
