"""Whole runs of a tiny network on a tiny data set: resuming, stopping, refusing, saving."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from lwface.base.errors import UserError
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.formats.verification_pack import write_pack
from lwface.gate.budgets import BudgetError
from lwface.losses import LOSSES, Margin
from lwface.models.card import read_card
from lwface.models.names import model_file
from lwface.models.store import load_model
from lwface.mxnet.network import load_mxnet
from lwface.networks import NETWORKS, FaceNetwork
from lwface.recognition import train as face_training
from lwface.settings.places import typed
from lwface.settings.resolve import resolve
from lwface.settings.run import Run
from lwface.settings.sections import load_sections
from lwface.training.checkpoint import read_checkpoint
from lwface.training.loop import Loop
from lwface.training.processes import Processes
from lwface.training.resuming import parts_of_a_step

ROOT = Path(__file__).resolve().parents[2]
RUN = "tiny-nsoftmax-synthetic"
SECTIONS = load_sections()
IDENTITIES = 6
IMAGES = torch.randint(0, 256, (2, 3, 112, 112), generator=torch.Generator().manual_seed(0))


class Options(NamedTuple):
    """What the command would be told."""

    run: Run
    device: str = "cpu"
    resume: bool = False
    track: str | None = None


def train(options):
    return face_training.train(options.run, device=options.device, resume=options.resume, track=options.track)


def prepared(options, folder):
    return face_training.prepare(options.run, device=options.device, track=options.track, folder=folder)


def tiny(emb_size: int = 8, dropout: float = 0.2, bn: bool = True) -> FaceNetwork:
    """Batch norm has state, dropout draws from the global random state: both must survive a resume."""
    norm = nn.BatchNorm2d(4) if bn else nn.Identity()
    body = nn.Sequential(nn.Conv2d(3, 4, 16, stride=16), norm, nn.PReLU(4), nn.Dropout(dropout))
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(4 * 7 * 7, emb_size)), emb_size)


class Flip(nn.Module):
    def forward(self, x):
        return x.flip(3)


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "tiny", tiny)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    base = random.integers(40, 215, (IDENTITIES, 7, 7, 3))

    def face(identity):
        noisy = np.clip(base[identity] + random.integers(-25, 26, (7, 7, 3)), 0, 255).astype(np.uint8)
        return encode_jpeg(np.kron(noisy, np.ones((16, 16, 1), np.uint8)))

    with RecordWriter(folder / "train.rec") as writer:
        for key in range(34):
            writer.write(key, pack(Header(0, float(key % IDENTITIES), key, 0), face(key % IDENTITIES)))
    (folder / "property").write_text(f"{IDENTITIES},112,112")
    pairs = [(i % IDENTITIES, (i + i % 2) % IDENTITIES) for i in range(20)]
    write_pack(folder / "heldout.bin", [face(i) for pair in pairs for i in pair], [a == b for a, b in pairs])
    return folder


@pytest.fixture
def options(data, tmp_path):
    def make(resume=False, track=None, root="models", **changes):
        settings = {"per_batch_size": 4, "max_steps": 11, "frequent": 1, "verbose": 4, "lr": 0.02, "num_workers": 0}
        settings |= {
            "dataset_path": str(data),
            "models_root": str(tmp_path / root),
            "warmup_steps": 3,
            "lr_policy": "step",
        }
        run = resolve("tiny", "synthetic", "nsoftmax", **(settings | changes))
        return Options(run, "cpu", resume, track)

    return make


def log_of(folder):
    """The log without its times."""
    objects = [json.loads(line) for line in (folder / RUN / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "images_per_s"} for entry in objects]


def assert_same_run(folder, reference):
    assert log_of(folder) == log_of(reference)  # every loss, accuracy, rate and verification, bit for bit
    a, b = (read_checkpoint(path / RUN / "last.ckpt") for path in (folder, reference))
    for part in ("network", "classifier"):
        assert all(torch.equal(a["modules"][part][name], b["modules"][part][name]) for name in b["modules"][part])
    assert a["best"] == b["best"]
    for part in ("network", "classifier"):
        momenta = a["optimizer"][part], b["optimizer"][part]
        assert momenta[0].keys() == momenta[1].keys()
        assert all(name.endswith("/momentum_buffer") for name in momenta[0])
        assert all(torch.equal(momenta[0][name], momenta[1][name]) for name in momenta[1])
    models = [sorted((path / RUN).glob("model-*")) for path in (folder, reference)]  # ours and MXNet's
    assert [path.name for path in models[0]] == [path.name for path in models[1]]
    assert all(x.read_bytes() == y.read_bytes() for x, y in zip(*models, strict=True))


@pytest.fixture
def unbroken(options, tmp_path):
    assert train(options(root="unbroken")) == 0
    return tmp_path / "unbroken"


def test_a_run_leaves_what_it_promises(unbroken, capfd):
    folder = unbroken / RUN
    models = {"model-0001.safetensors", "model-0001.card.json", "model-0001.params", "model-symbol.json"}
    assert {*models, "config.json", "last.ckpt", "last.ckpt.00000011", "log.jsonl", "tensorboard"} == set(
        os.listdir(folder)
    ) - {".lock"}
    assert list((folder / "tensorboard").glob("events*"))
    log = log_of(unbroken)
    assert [entry["step"] for entry in log if "loss" in entry] == list(range(1, 12))
    assert [entry["epoch"] for entry in log if "loss" in entry] == [0] * 8 + [1] * 3
    assert [entry["step"] for entry in log if "verification" in entry] == [4, 8, 11]
    assert log[0].keys() == {"step", "epoch", "loss", "acc", "lr"}
    config = json.loads((folder / "config.json").read_text())
    assert config["num_classes"] == IDENTITIES
    assert config["precision"] == "float32"
    network, saved = load_model(f"{folder}/model,1")
    assert saved["network"] == "tiny"
    assert network(IMAGES).shape == (2, 8)
    torch.testing.assert_close(load_mxnet(folder / "model", 1)(IMAGES), network(IMAGES))
    card = read_card(f"{folder}/model,1")
    judged = [entry for entry in log if entry.get("verification") and entry["step"] == card["step"]]
    assert [entry["accuracy"] for entry in judged] == [entry["accuracy"] for entry in card["verification"]]
    (data,) = card["data"]
    assert (data["people"], data["images"], data["licence"]) == (IDENTITIES, 34, "not stated")
    assert (card["settings"]["lr"], card["start"]) == (0.02, None)


def test_training_learns(unbroken):
    losses = [entry["loss"] for entry in log_of(unbroken) if "loss" in entry]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("step", [1, 5, 8, 10])
def test_stopped_by_a_signal_and_resumed(options, unbroken, tmp_path, monkeypatch, capfd, step):
    original = Loop.training_step

    def stopping(self, batch, rate):
        if self.step == step - 1:
            signal.raise_signal(signal.SIGTERM if step % 2 else signal.SIGINT)
        return original(self, batch, rate)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "training_step", stopping)
        assert train(options()) == (143 if step % 2 else 130)
    assert signal.getsignal(signal.SIGTERM) == before
    assert f"stopped after step {step}; the same command with --resume continues" in capfd.readouterr().out
    torch.manual_seed(99)  # whatever the next process starts with
    assert train(options(resume=True)) == 0
    assert f"resuming after step {step} of 11" in capfd.readouterr().out
    assert_same_run(tmp_path / "models", unbroken)


def test_averaged_weights_are_the_formulas_and_do_not_disturb_the_run(options, unbroken, tmp_path, monkeypatch):
    """What is verified and saved is the average of all weights and running statistics, here summed up in float64."""
    expected = {}
    original = Loop.training_step

    def following(self, batch, rate):
        found = original(self, batch, rate)
        decay = min(0.7, (self.step + 1) / (self.step + 10))
        for name, tensor in self.task.modules["network"].state_dict().items():
            value = tensor.double()
            if self.step == 0:
                expected[name] = start[name].double()
            expected[name] = decay * expected[name] + (1 - decay) * value
        return found

    start = prepared(options(ema=0.7), tmp_path / "none").task.modules["network"].state_dict()
    start = {name: tensor.clone() for name, tensor in start.items()}
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "training_step", following)
        assert train(options(ema=0.7, ckpt=2)) == 0
    losses = [[entry["loss"] for entry in log_of(root) if "loss" in entry] for root in (tmp_path / "models", unbroken)]
    assert losses[0] == losses[1]
    checkpoint = read_checkpoint(tmp_path / "models" / RUN / "last.ckpt")
    network = load_model(f"{tmp_path}/models/{RUN}/model,3")[0].state_dict()
    for name, tensor in network.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-7)
    assert not torch.equal(checkpoint["modules"]["network"]["body.0.weight"], network["body.0.weight"])


SAMPLED = {"sample_rate": 0.2, "sample_policy": "linear", "sample_full": 0.7}


@pytest.mark.parametrize("changes", [{"ema": 0.7}, SAMPLED], ids=["averaged", "sampled"])
def test_such_a_run_stopped_and_resumed_is_the_same(options, tmp_path, monkeypatch, changes):
    assert train(options(**changes, root="whole")) == 0
    original = Loop.training_step
    samples = []

    def stopping(self, batch, rate):
        samples.append(self.task.classifier.sample)
        if len(samples) == 6:
            signal.raise_signal(signal.SIGTERM)
        return original(self, batch, rate)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "training_step", stopping)
        assert train(options(**changes)) == 143
        assert train(options(**changes, resume=True)) == 0
    assert_same_run(tmp_path / "models", tmp_path / "whole")
    if changes is SAMPLED:
        assert any(sample is not None and len(sample) < IDENTITIES for sample in samples[:6])
        assert samples[-1] is None  # all of them, in the end
        return
    a, b = (read_checkpoint(tmp_path / root / RUN / "last.ckpt")["average"]["network"] for root in ("models", "whole"))
    assert all(torch.equal(a[name], b[name]) for name in a.keys() | b.keys())


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import torch
torch.set_num_threads(1)
import json, test_train
from lwface.networks import NETWORKS
NETWORKS._entries["tiny"] = test_train.tiny
from lwface.settings.run import Run
sys.exit(test_train.train(test_train.Options(Run(**json.loads(sys.argv[1])), resume=True)))
"""


def test_killed_at_a_random_moment_and_resumed(options, unbroken, tmp_path):
    lines = int(np.random.default_rng(int.from_bytes(os.urandom(4), "little")).integers(1, 9))
    script = SCRIPT.format(root=str(ROOT), tests=str(Path(__file__).parent))
    config = dataclasses.asdict(options(checkpoint_steps=2, num_workers=1).run)
    command = [sys.executable, "-u", "-c", script, json.dumps(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        seen = 0
        for line in process.stderr:
            seen += "Speed" in line
            if seen == lines:
                break
        process.kill()
    assert seen == lines, "the run ended before it was killed"
    assert process.returncode == -signal.SIGKILL
    assert train(options(resume=True, checkpoint_steps=2)) == 0
    assert not list((tmp_path / "models" / RUN).glob(".*.part"))
    saved = [json.loads((folder / RUN / "config.json").read_text()) for folder in (tmp_path / "models", unbroken)]
    assert saved[0].pop("checkpoint_steps") != saved[1].pop("checkpoint_steps")
    for folder in (tmp_path / "models", unbroken):
        for name in [*(folder / RUN).glob("*.safetensors"), *(folder / RUN).glob("*.card.json")]:
            name.unlink()  # they hold checkpoint_steps
    assert_same_run(tmp_path / "models", unbroken)


def test_number_of_workers_changes_nothing(options, unbroken, tmp_path):
    assert train(options(num_workers=2)) == 0
    assert log_of(tmp_path / "models") == log_of(unbroken)


def test_more_steps_continue_a_finished_run(options, unbroken, capfd):
    assert train(options(root="unbroken", resume=True)) == 0
    assert "the run is finished: 11 steps of 11" in capfd.readouterr().out
    assert train(options(root="unbroken", resume=True, max_steps=13)) == 0
    assert [entry["step"] for entry in log_of(unbroken) if "loss" in entry] == list(range(1, 14))


def test_an_existing_run_is_not_overwritten(options, unbroken):
    before = (unbroken / RUN / "last.ckpt").read_bytes()
    with pytest.raises(UserError, match=r"last\.ckpt: .*--resume .*--models-root"):
        train(options(root="unbroken"))
    assert (unbroken / RUN / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_batch_size": 5}, "per_batch_size = 4, now it is 5"),
        ({"lr": 0.5}, "lr = 0.02, now it is 0.5"),
        ({"loss_s": 32.0}, r"loss_s = 64\.0, now it is 32\.0"),
        ({"lr_policy": "cosine"}, "lr_policy = 'step', now it is 'cosine'"),
        ({"data_images_filter": 6}, "data_images_filter = 0, now it is 6"),
    ],
)
def test_resume_refuses_a_changed_configuration(options, unbroken, change, message):
    with pytest.raises(UserError, match=message):
        train(options(root="unbroken", resume=True, **change))


def test_a_longer_cosine_is_another_run(options):
    changes = {"lr_policy": "cosine", "max_steps": 4, "verbose": 4}
    assert train(options(**changes)) == 0
    with pytest.raises(UserError, match="total_steps = 4, now it is 6"):
        train(options(resume=True, **(changes | {"max_steps": 6})))
    assert train(options(resume=True, **(changes | {"max_steps": 6, "total_steps": 4}))) == 0


def test_resume_without_a_checkpoint_starts_afresh(options, unbroken, tmp_path, capfd):
    assert train(options(resume=True)) == 0
    assert "starting from the beginning" in capfd.readouterr().out
    assert_same_run(tmp_path / "models", unbroken)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(options, tmp_path):
    assert train(options(max_steps=4, warmup_steps=0, lr_steps="4")) == 0
    checkpoint = tmp_path / "models" / RUN / "last.ckpt"
    (part,) = (checkpoint.parent / "last.ckpt.00000004").iterdir()
    before = part.read_bytes()
    with safe_open(part, framework="pt") as file:
        tensors, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    tensors["modules/network/head.1.weight"].fill_(float("nan"))
    save_file(tensors, part, about)
    message = r"the loss is nan at step 5 with learning rate 0\.002: lower --lr.*lower loss_s \(it is 64\)"
    with pytest.raises(UserError, match=message) as caught:
        train(options(max_steps=6, warmup_steps=0, lr_steps="4", resume=True, nonfinite_limit=0))
    assert str(checkpoint) in str(caught.value)
    assert read_checkpoint(checkpoint)["step"] == 4
    part.write_bytes(before)
    assert train(options(max_steps=6, warmup_steps=0, lr_steps="4", resume=True)) == 0


def test_weights_that_overflow_do_not_replace_a_checkpoint(options, tmp_path):
    with pytest.raises(UserError, match=r"no longer finite at step 1 with learning rate 1e\+38.*no checkpoint"):
        train(options(lr=1e38, wd=1e3, warmup_steps=0, checkpoint_steps=1, verbose=100))
    assert not (tmp_path / "models" / RUN / "last.ckpt").exists()


def test_a_network_over_budget_is_refused_before_the_data_is_opened(options):
    with pytest.raises(BudgetError, match="network tiny is refused: feature width 513"):
        train(options(track="deepglint-light", emb_size=513, dataset_path="/nowhere"))
    with pytest.raises(UserError, match="did you mean 'deepglint-light'"):
        train(options(track="deepglint-ligt"))


def test_steps_that_are_not_finite_are_left_out_until_there_are_too_many(options, tmp_path, monkeypatch, capfd):
    """Steps 3 and 4, and then all from 7 on: keys, rate and precision are told where it stops."""
    original, poisoned = Loop.training_step, {2, 3, *range(6, 11)}

    def poisoning(self, batch, rate):
        with pytest.MonkeyPatch.context() as patch:
            if self.step in poisoned:
                output = self.task.output
                patch.setattr(self.task, "output", lambda inputs: output(inputs) * math.inf)
            return original(self, batch, rate)

    monkeypatch.setattr(Loop, "training_step", poisoning)
    with pytest.raises(UserError, match="for 3 steps in a row") as caught:
        train(options(nonfinite_limit=2, checkpoint_steps=4, val_targets=["lfw"], ema=0.5))
    out = capfd.readouterr().out
    assert re.findall(r"\[(\d+)\]Left out: the loss is nan; (\d+) in a row, (\d+) so far", out) == [
        ("3", "1", "1"), ("4", "2", "2"), ("7", "1", "3"), ("8", "2", "4")]  # fmt: skip
    told = str(caught.value)
    assert (
        "the loss is nan at step 9 with learning rate 0.02, precision float32, for 3 steps in a row: lower --lr" in told
    )
    about = json.loads((tmp_path / "models" / RUN / "nonfinite.json").read_text())
    assert told.endswith(f"the images of that step: keys {', '.join(map(str, about['keys']))}")
    assert (about["step"], len(about["keys"])) == (9, 4)
    log = log_of(tmp_path / "models")
    assert [entry["step"] for entry in log if "left_out" in entry] == [3, 4, 7, 8]
    state = read_checkpoint(tmp_path / "models" / RUN / "last.ckpt")
    assert (state["step"], state["left_out"]) == (8, [4, 2])
    assert all(torch.isfinite(tensor).all() for tensor in state["modules"]["network"].values())


def test_a_long_gradient_of_the_network_is_scaled_down(options, tmp_path):
    """By the norm of all of it together; the classifier's, and a shorter one, are as they were."""

    def change(clip):
        loop = prepared(options(mom=0.0, wd=0.0, clip_norm=clip, warmup_steps=0), tmp_path / "models")
        parts = [list(module.parameters()) for module in (loop.task.network, loop.task.classifier)]
        before = [[parameter.detach().clone() for parameter in part] for part in parts]
        loop.training_step(loop.task.data.batch(np.arange(4), 0), 0.5)
        return [
            [old - new.detach() for old, new in zip(*pair, strict=True)] for pair in zip(before, parts, strict=True)
        ]

    network, classifier = change(0.0)
    norm = math.sqrt(sum(float((part.double() / 0.5).square().sum()) for part in network))
    clipped, same = change(norm / 4)
    for found, whole in zip(clipped, network, strict=True):
        torch.testing.assert_close(found, whole / 4, rtol=1e-4, atol=1e-7)
    for found, whole in zip([*same, *change(norm * 4)[0]], [*classifier, *network], strict=True):
        assert torch.equal(found, whole)


def test_deterministic_runs_are_equal_to_the_bit(options, tmp_path, monkeypatch):
    seen = []
    original = Loop.training_step

    def watched(self, batch, rate):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return original(self, batch, rate)

    monkeypatch.setattr(Loop, "training_step", watched)
    for root in ("models", "again"):
        assert train(options(deterministic=True, max_steps=4, root=root)) == 0
    assert seen == [True] * 8
    assert not torch.are_deterministic_algorithms_enabled()
    for root in ("models", "again"):  # the settings in it name the folder
        for model in (tmp_path / root / RUN).glob("*.safetensors"):
            model.rename(model.with_suffix(".moved"))
    weights = [load_file(next((tmp_path / root / RUN).glob("*.moved"))) for root in ("models", "again")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert log_of(tmp_path / "models") == log_of(tmp_path / "again")


def test_what_cannot_be_computed_deterministically_is_refused_in_one_line(options, monkeypatch):
    def refused(self, batch, rate):
        raise RuntimeError("put_ does not have a deterministic implementation, but you set 'x'. You can turn off ...")

    monkeypatch.setattr(Loop, "training_step", refused)
    with pytest.raises(UserError, match=r"put_ does not have .* you set 'x': leave --deterministic out"):
        train(options(deterministic=True))


def test_a_checkpoint_of_the_format_before_goes_on(options, tmp_path):
    """One file by torch.save, in which the optimiser's state and the averages are numbered."""
    changes = {"ema": 0.7, "optimizer": "adamw", "lr": 0.001}
    assert train(options(max_steps=4, **changes)) == 0
    assert train(options(root="whole", **changes)) == 0
    folder = tmp_path / "models" / RUN
    state = read_checkpoint(folder / "last.ckpt")
    loop = prepared(options(**changes), tmp_path / "none")
    numbers = {name: number for number, name in enumerate(_numbered(loop))}
    optimizer: dict = {}
    for module, found in state["optimizer"].items():
        for name, tensor in found.items():
            parameter, key = name.rsplit("/", 1)
            optimizer.setdefault(numbers[f"{module}/{parameter}"], {})[key] = tensor
    state["modules"]["classifier"]["_extra_state"] = torch.tensor([0, IDENTITIES, IDENTITIES])
    state["average"] = [state["average"][name.split("/")[0]][name.split("/")[1]] for name in loop.average.names()]
    state["bad_images"] = {7: "gone"}
    state |= {"format": 2, "optimizer": {"state": optimizer, "param_groups": []}, "random": {}}
    del state["parts"], state["launch"], state["left_out"]
    for path in folder.glob("last.ckpt*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    torch.save(state, folder / "last.ckpt")
    assert train(options(resume=True, **changes)) == 0
    assert log_of(tmp_path / "models") == log_of(tmp_path / "whole")
    assert read_checkpoint(folder / "last.ckpt")["bad_images"] == {"7": "gone"}


def _numbered(loop):
    """Names of the parameters, in the order in which the optimiser has them."""
    names = {id(parameter): name for name, parameter in loop.state.parameters.items()}
    return [names[id(parameter)] for group in loop.optimizer.param_groups for parameter in group["params"]]


def test_processes_that_cannot_share_a_step_are_told_which_can(options, tmp_path, monkeypatch):
    folder = tmp_path / "models" / RUN
    assert train(options(max_steps=1, warmup_steps=0, accumulate=4, per_batch_size=2)) == 0
    monkeypatch.setattr("lwface.training.resuming.processes", lambda: Processes(0, 3))
    with pytest.raises(UserError, match="has 4 parts of 2 images, which 3 processes cannot share alike: start 1, 2, 4"):
        parts_of_a_step(folder / "last.ckpt", options(accumulate=4, per_batch_size=2).run)
    monkeypatch.setattr("lwface.training.resuming.processes", lambda: Processes(0, 2))
    for accumulate in (4, 2):  # as before, or what it is now
        assert parts_of_a_step(folder / "last.ckpt", options(accumulate=accumulate).run) == 4
    assert parts_of_a_step(folder / "none", options(accumulate=3).run) == 6


def test_a_run_that_torchrun_started_again_goes_on_by_itself(options, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some-run")
    assert train(options(max_steps=4)) == 0
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "another")
    with pytest.raises(UserError, match="add --resume"):
        train(options(max_steps=5))
    for number, (run, restarts) in enumerate((("some-run", "0"), ("another", "1")), start=5):
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", run)
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restarts)
        assert train(options(max_steps=number)) == 0
        assert f"resuming after step {number - 1} of {number}" in capfd.readouterr().out


WITH_CLASSES = [name for name, of in SECTIONS.loss.items() if issubclass(LOSSES[of["loss_name"]], Margin)]


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_accumulation_is_the_large_batch_whatever_the_loss(options, monkeypatch, name):
    """Also where the margin has a running mean of the batch, or draws for its images."""
    monkeypatch.setitem(NETWORKS._entries, "tiny", lambda emb_size=8: tiny(emb_size, dropout=0.0, bn=False))
    found = []
    for size, parts in [(12, 1), (3, 4)]:
        changes = {"per_batch_size": size, "accumulate": parts, "sample_rate": 0.5, "mom": 0.9, "wd": 0.0}
        run = resolve("tiny", "synthetic", name, **_given(options(**changes).run), **changes)
        loop = face_training.prepare(run, device="cpu", folder=Path("unused"))
        for module in loop.task.modules.values():
            module.double()
        made = loop.training_step(loop.task.data[np.arange(12)], 0.1)
        state = {name: tensor for name, tensor in loop.state.tensors().items() if tensor.numel()}
        found.append((made, state))
    (large, one), (accumulated, other) = found
    assert large.updated
    assert large.loss == pytest.approx(accumulated.loss, rel=1e-12)
    assert large.sums == accumulated.sums
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        torch.testing.assert_close(tensor, other[key], rtol=1e-9, atol=1e-13)


def _given(run):
    """What a fixture's run has of the data and the place."""
    return {key: getattr(run, key) for key in ("dataset_path", "models_root", "num_workers", "warmup_steps")}


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_accumulated_gradient_is_that_of_the_large_batch(options, monkeypatch, rate):
    monkeypatch.setitem(NETWORKS._entries, "tiny", lambda emb_size=8: tiny(emb_size, dropout=0.0, bn=False))
    found = []
    for size, parts in [(12, 1), (3, 4)]:
        changes = {"per_batch_size": size, "accumulate": parts, "sample_rate": rate, "mom": 0.9, "wd": 0.0}
        loop = prepared(options(**changes, root=f"m{parts}"), Path("unused"))
        for module in loop.task.modules.values():
            module.double()
        batch = loop.task.data[np.arange(12)]
        made = loop.training_step(batch, 0.1)
        parameters = [p for module in loop.task.modules.values() for p in module.parameters()]
        gradients = [loop.optimizer.state[p]["momentum_buffer"] for p in parameters]  # after one update
        found.append((made.loss, made.sums["acc"], gradients))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-13)
    assert found[0][1] == found[1][1]
    for large, accumulated in zip(found[0][2], found[1][2], strict=True):
        torch.testing.assert_close(large, accumulated, rtol=1e-10, atol=1e-15)
        assert large.abs().max() > 0


def test_bf16_trains(options):
    assert train(options(precision="bf16", max_steps=2)) == 0


def test_pretrained_weights_are_the_start(options, unbroken, tmp_path, capsys):
    prefix = str(unbroken / RUN / "model")
    source, _ = load_model(f"{prefix},1")
    for resume in (False, True):  # with nothing to resume, --resume begins like any other run
        network = prepared(options(resume, pretrained=prefix, pretrained_epoch=1), tmp_path).task.modules["network"]
        assert all(torch.equal(a, b) for a, b in zip(source.parameters(), network.parameters(), strict=True))
    prepared(options(pretrained=prefix, pretrained_epoch=1, emb_size=9), tmp_path)
    assert "left fresh, of another shape there (2): head.1.weight" in capsys.readouterr().out
    with pytest.raises(UserError, match="no such model"):
        prepared(options(pretrained=prefix, pretrained_epoch=7), tmp_path)


@pytest.mark.parametrize(("mode", "models"), [(0, []), (1, None), (2, [1, 2, 3]), (3, [1])])
def test_ckpt_modes(options, tmp_path, mode, models):
    assert train(options(ckpt=mode)) == 0
    names = sorted(path.name for path in (tmp_path / "models" / RUN).glob("model-*"))
    if models is None:
        assert 1 <= len([name for name in names if name.endswith(".safetensors")]) <= 3
    else:
        files = [f"model-{number:04d}.{kind}" for number in models for kind in ("card.json", "params", "safetensors")]
        assert names == files + (["model-symbol.json"] if models else [])
    assert (tmp_path / "models" / RUN / "last.ckpt").exists()


def test_killed_between_our_model_and_mxnets(options, unbroken, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    folder = tmp_path / "models" / RUN
    assert train(options(max_steps=4)) == 0
    assert (folder / "model-0001.params").exists()
    ours = (folder / "model-0001.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("lwface.recognition.task.save_mxnet", killed)
        with pytest.raises(KeyboardInterrupt):
            train(options(resume=True, ckpt=3, val_targets=["lfw"], max_steps=8))
    assert (folder / "model-0001.safetensors").read_bytes() != ours
    assert not (folder / "model-0001.params").exists()  # rather none than the weights of four steps before
    assert train(options(resume=True)) == 0
    torch.testing.assert_close(load_mxnet(folder / "model", 1)(IMAGES), load_model(f"{folder}/model,1")[0](IMAGES))
    assert_same_run(tmp_path / "models", unbroken)


def test_a_network_that_mxnet_cannot_run_trains_without_its_files(options, tmp_path, monkeypatch, capfd):
    def flipping(**settings):
        network = tiny(**settings)
        network.body.append(Flip())
        return network

    monkeypatch.setitem(NETWORKS._entries, "tiny", flipping)
    folder = tmp_path / "models" / RUN
    folder.mkdir(parents=True)
    (folder / "model-0001.params").write_bytes(b"weights of something else")
    assert train(options(max_steps=8)) == 0
    assert sorted(path.name for path in folder.glob("model-*")) == ["model-0001.card.json", "model-0001.safetensors"]
    said = [line for line in capfd.readouterr().out.splitlines() if "MXNet" in line]
    assert len(said) == 1
    assert re.fullmatch(
        r"models are saved without MXNet's files: .*operator flip in module 'body\.\d' \(Flip\).*", said[0]
    )


def test_without_packs_the_latest_is_saved(options, tmp_path, capfd):
    assert train(options(val_targets=["lfw"])) == 0
    assert (tmp_path / "models" / RUN / "model-0001.safetensors").exists()
    assert "lfw.bin: not verified on lfw" in capfd.readouterr().out


def test_data_that_does_not_fit(options, data, tmp_path):
    with pytest.raises(UserError, match="34 images, fewer than the 40"):
        train(options(per_batch_size=40))
    with pytest.raises(UserError, match="6 identities by its property file, the configuration says num_classes = 7"):
        train(options(num_classes=7))
    with pytest.raises(UserError, match=r"nowhere"):
        train(options(dataset_path=str(tmp_path / "nowhere")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is present")
def test_cuda_asked_for_but_absent(options):
    with pytest.raises(UserError, match="--device cpu"):
        train(options()._replace(device="cuda"))


def test_one_run_at_a_time_in_a_folder(options, unbroken):
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'wb'); fcntl.lockf(file, fcntl.LOCK_EX); "
        "print(1, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(unbroken / RUN / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match="another run is training here"):
            train(options(root="unbroken", resume=True))
        other.stdin.close()
    assert train(options(root="unbroken", resume=True)) == 0  # the lock went with its process


def test_printed_lines_are_the_originals(options, capfd):
    assert train(options(lr_steps="2,9", frequent=2, warmup_steps=0)) == 0
    out, err = capfd.readouterr()
    for line in (
        "use cpu\n",
        "Network FLOPs: 304.2K\n",  # 2*3*16*16 * 7*7*4 + 2*196 * 8
        "ver heldout\n",
        "lr_steps [2, 9]\n",
        "lr change to 0.002\n",
        "saving 1\n",
        "[8]Accuracy-Highest: ",
        "[heldout][4]XNorm: ",
        "[heldout][4]Accuracy-Flip: ",
    ):
        assert line in out
    assert err.splitlines()[0].startswith("INFO:root:Epoch[0] Batch [0-2]\tSpeed: ")


def test_a_refused_run_leaves_nothing_behind(options, tmp_path):
    with pytest.raises(UserError, match="fewer than"):
        train(options(per_batch_size=1000))
    assert not (tmp_path / "models").exists()


def test_a_trained_model_is_verified_before_the_first_step(options, unbroken, tmp_path, capfd):
    prefix = str(unbroken / RUN / "model")
    capfd.readouterr()
    assert train(options(pretrained=prefix, lr=1e-9)) == 0
    out = capfd.readouterr().out
    accuracies = re.findall(r"\[heldout\]\[(\d+)\]Accuracy-Flip: ([\d.]+)", out)
    assert [step for step, _ in accuracies] == ["0", "4", "8", "11"]
    assert accuracies[0][1] == accuracies[-1][1]  # nothing was learnt at that rate
    tie = f"a tie with the model that it started from: Accuracy {accuracies[0][1]} here, {accuracies[0][1]} there"
    assert f"\n{tie}; use {prefix},1; for more, lower --lr\n" in out
    assert f" --model {prefix},1 --track deepglint-light\n" in out  # what is typed next is typed of the better model
    assert log_of(tmp_path / "models")[0]["step"] == 0
    assert train(options(pretrained=prefix, lr=1e-9, resume=True, max_steps=12)) == 0
    assert "[heldout][0]" not in capfd.readouterr().out


def test_the_end_names_the_model_and_what_to_type(options, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert train(options()) == 0
    out = capfd.readouterr().out
    model = re.search(r"the run is done: (\S+), of step (\d+), highest Accuracy [\d.]+\n", out)
    assert model
    assert model[1] == f"models/{RUN}/model,1"
    load_model(model[1])
    assert f"next: python {ROOT / 'common/flops_counter.py'} --model {model[1]} --track deepglint-light\n" in out
    for command in re.findall(r"^next: (.*)$", out, re.MULTILINE):  # which work in this folder
        words = shlex.split(command)
        assert words[0] == "python"
        assert Path(words[1]).is_file()
        assert model_file(words[words.index("--model") + 1]).is_file()
    monkeypatch.chdir(ROOT)
    assert typed("gate", "common/flops_counter.py") == "python common/flops_counter.py"
    assert train(options(root="none", ckpt=0)) == 0
    assert "no model was saved (--ckpt 0)" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("before", "merits", "chance", "said"),
    [
        (0.8, [0.8], 0.1, "a tie with START: Accuracy 0.80000 here, 0.80000 there; use PATH; for more, lower --lr"),
        (0.8, [0.81], 0.02, "it cannot be told apart from START: FIGURES; as the folds deviate, less than 0.02000 "
         "tells nothing; for more, lower --lr"),
        (0.8, [0.7, 0.79], 0.02, "it cannot be told apart from START: FIGURES; as the folds deviate, less than 0.02000 "
         "tells nothing; use PATH; for more, lower --lr, or train longer: Accuracy still rose"),
        (0.8, [0.5, 0.6], 0.02, "START is better: FIGURES; use PATH; for more, lower --lr, or train longer: Accuracy "
         "still rose"),
        (0.8, [0.6, 0.5], 0.02, "START is better: FIGURES; use PATH; for more, lower --lr"),
        (0.8, [0.6, 0.6], 0.02, "START is better: FIGURES; use PATH; for more, lower --lr"),
        (0.8, [0.9], 0.02, "it is better than START: FIGURES"),
        (0.8, [0.9], math.nan, "it is better than START: FIGURES"),
        (0.8, [0.6], math.nan, "START is better: FIGURES; use PATH; for more, lower --lr"),
    ],
)  # fmt: skip
def test_what_was_trained_beside_its_start(options, unbroken, tmp_path, before, merits, chance, said):
    prefix = str(unbroken / RUN / "model")
    loop = prepared(options(pretrained=prefix), tmp_path)
    judged = loop.judged
    judged.before, judged.merits, judged.chance, judged.best.highest = [before], merits, chance, max(merits)
    figures = f"Accuracy {max(merits):.5f} here, {before:.5f} there"
    expected = said.replace("FIGURES", figures).replace("PATH", f"{prefix},1")
    assert judged.compared() == expected.replace("START", "the model that it started from")


def test_a_partial_start_keeps_the_usual_rate_after_a_resume_too(options, unbroken, tmp_path, capsys):
    prefix = str(unbroken / RUN / "model")
    whole = prepared(options(pretrained=prefix, lr=None), tmp_path)
    assert whole.run.lr == pytest.approx(0.01)
    assert "learning rate 0.01, as the network is trained already (--lr chooses" in capsys.readouterr().out
    partial = {"pretrained": prefix, "lr": None, "emb_size": 9}  # another embedding layer than the file's
    assert train(options(max_steps=2, **partial)) == 0
    out = capsys.readouterr().out
    assert "learning rate 0.1, not a tenth of it, as the embedding layer head.1 starts from random weights (--lr" in out
    assert "trained already" not in out
    assert f"use {prefix}" not in out
    assert train(options(resume=True, max_steps=3, **partial)) == 0
    rates = [entry["lr"] for entry in log_of(tmp_path / "models") if "lr" in entry]
    assert rates == pytest.approx([0.1 / 3, 0.2 / 3, 0.1])  # warm-up of three steps
    assert prepared(options(pretrained=prefix, lr=0.3, emb_size=9), tmp_path).run.lr == 0.3


def test_the_epoch_is_said_where_it_is_used(options, unbroken, tmp_path, capsys):
    prefix = str(unbroken / RUN / "model")
    for name, said in ((prefix, f"{prefix},1"), (f"{prefix},1", f"{prefix},1")):
        prepared(options(pretrained=name, pretrained_epoch=1), tmp_path)
        assert f"loading {said}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("batch", "said"), [(4, False), (12, True), (20, True), (17, False), (33, False)])
def test_images_left_out_of_an_epoch_are_said(options, capfd, batch, said):
    """34 images: 2 of them left out are not worth a word, 10 and 14 are."""
    assert train(options(per_batch_size=batch, max_steps=4, warmup_steps=0)) == 0
    out = capfd.readouterr().out
    found = re.search(
        r"so (\d+) of 34 images are left out of each, others every time; --per-batch-size (\d+) .* (\d+)\n", out
    )
    assert bool(found) == said
    if found:
        assert int(found[1]) == 34 % batch
        assert int(found[3]) == 34 % int(found[2]) <= 1


def test_images_are_changed_by_seed_step_and_place_alone(options, tmp_path):
    """Cut into parts, or read by other processes, the images of a step are the same, and the labels those of before."""
    plain, changed, again = (
        prepared(options(augment=factor), tmp_path / "models").task.data for factor in (0.0, 1.0, 1.0)
    )
    positions = np.arange(6)
    whole = changed.batch(positions, 3)
    parts = [again.batch(positions[start : start + 2], 3, start) for start in (0, 2, 4)]
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    before = plain.batch(positions, 3)
    assert torch.equal(whole.targets, before.targets)
    for image, old, later in zip(whole.images, before.images, changed.batch(positions, 4).images, strict=True):
        assert not torch.equal(image, old)
        assert not torch.equal(image, later)
    assert torch.equal(plain.batch(positions, 3).images, before.images)  # what is kept decoded is not touched
