"""Steps whose outcome the host looks at later are the steps that it waits for; a GPU is never waited for in one."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training.processes_worker import make_data, settings_of

from lwface.recognition.train import prepare, run_folder

POISONED = (0, 2, 3)  # steps; in the first no optimiser has any state yet
STEPS = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("step") / "data"
    make_data(folder)
    return folder


@contextlib.contextmanager
def poisoned(loop):
    """The embeddings of some steps are infinite; of the last of them the gradient alone."""
    original = loop.task.output

    def output(inputs):
        embeddings = original(inputs)
        if loop.step == POISONED[-1] and embeddings.requires_grad:
            embeddings.register_hook(lambda gradient: gradient * torch.inf)
        return embeddings * torch.inf if loop.step in POISONED[:-1] else embeddings

    loop.task.output = output
    yield
    del loop.task.output


def trained(name, data, root, *, ahead, **changes):
    """Losses and left-out steps as the log has them, what was said, and the state after each step."""
    torch.manual_seed(0)
    run = settings_of(name, data, root, max_steps=STEPS, ema=0.0, wd=0.1, **changes)
    loop = prepare(run, device="cpu", folder=run_folder(run))
    for module in loop.task.modules.values():
        module.double()
    loop.ahead = loop.stepper.ahead = ahead
    logged, states = [], []
    loop.logs, loop.log.record = True, lambda step, **known: logged.append((step, known["loss"], known["updated"]))
    with poisoned(loop):
        for update in loop.updates():
            assert len(logged) == update.step - ahead  # one later
            states.append({key: tensor.clone() for key, tensor in loop.state.tensors().items()})
    return logged, states, loop.left_out


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw", "lr": 0.001}, {"mom": 0.0}], ids=["sgd", "adamw", "no"])
@pytest.mark.parametrize("name", ["sampled", "adaface"])
def test_steps_that_are_looked_at_later_are_the_same(data, tmp_path, name, changes):
    changes = {"optimizer": "sgd", "lr": 0.01, "clip_norm": 1.0, **changes}
    expected, states, left_out = trained(name, data, tmp_path / "now", ahead=False, **changes)
    found, others, left_out_later = trained(name, data, tmp_path / "later", ahead=True, **changes)
    assert [step for step, _, updated in found if not updated] == [step + 1 for step in POISONED]
    np.testing.assert_allclose([loss for _, loss, _ in found], [loss for _, loss, _ in expected], rtol=1e-9)
    assert (left_out.count, left_out.in_a_row) == (left_out_later.count, left_out_later.in_a_row) == (3, 0)
    for step, (state, other) in enumerate(zip(states, others, strict=True)):
        for key, tensor in state.items():
            torch.testing.assert_close(other[key], tensor, rtol=1e-7, atol=1e-10)
        zeros = other.keys() - state.keys()  # momentum of a first step that was left out
        assert not zeros or step in POISONED
        assert all(not other[key].any() for key in zeros)
        if step and step in POISONED:
            assert all(torch.equal(tensor, others[step - 1][key]) for key, tensor in other.items())


class Copies(TorchDispatchMode):
    """Refuses copies between the host and a pretended device that the host would wait for."""

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        keywords = keywords or {}
        found = function(*arguments, **keywords)
        if function.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            source = arguments[-1] if function.overloadpacket is torch.ops.aten.copy_ else arguments[0]
            if isinstance(found, torch.Tensor) and source.device.type != found.device.type:
                assert keywords.get("non_blocking"), f"{function}: {source.device} to {found.device}"
        return found


def of_numbers(make):
    """``torch.tensor`` and the like, which may make nothing on the device: they would copy it there, and wait."""

    def made(data, *arguments, device=None, **keywords):
        assert isinstance(data, torch.Tensor) or torch.device(device or "cpu").type == "cpu"
        return make(data, *arguments, device=device, **keywords)

    return made


@pytest.mark.parametrize("name", ["sampled", "adaface", "elastic"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_host_waits_for_nothing_in_a_step(data, tmp_path, name, optimizer, monkeypatch):
    """On PyTorch's device without values, which refuses to tell the host anything, in place of a GPU."""
    run = settings_of(name, data, tmp_path, ema=0.0, optimizer=optimizer, clip_norm=1.0)
    loop = prepare(run, device="cpu", folder=Path("unused"))
    batch = loop.task.data.batch(np.arange(12), 0)
    nowhere = torch.device("meta")
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr("lwface.training.step.fetched", lambda tensor: lambda: tensor)
    monkeypatch.setattr(loop.optimizer, "step", lambda: None)  # PyTorch's own has no form without values
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **keywords: contextlib.nullcontext())
    for name in ("tensor", "as_tensor"):
        monkeypatch.setattr(torch, name, of_numbers(getattr(torch, name)))
    for module in loop.task.modules.values():
        module.to(nowhere)
    for group, there in zip(loop.optimizer.param_groups, loop.task.parameter_groups(), strict=True):
        group["params"] = there["params"]
    loop.task.device = loop.stepper.device = nowhere
    loop.stepper.ahead = True
    with Copies():
        for _ in range(2):
            made = loop.training_step(batch, 0.1)
    with pytest.raises(RuntimeError, match="meta"):
        _ = made.loss
