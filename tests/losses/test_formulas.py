"""Every loss, as users name it, against its formula: in 1, 2 and 4 processes, in blocks or not, sampled or not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from losses import sharded_worker
from losses.formulas import NAMES, Expected, cases, entry, expected_of, slopes
from losses.sharded_worker import RESHARDED, SAVED, TRAINED, WORLDS, first_gradient, reread, saved, train
from torch.distributed import checkpoint

from lwface.base.errors import UserError
from lwface.losses import create_classifier

EXACT = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What one process saved, and what four wrote; the server that they are forked from imports PyTorch once."""
    folder = tmp_path_factory.mktemp("sharded")
    checkpoint.save(saved(*train(SAVED)[1:]), checkpoint_id=folder / "checkpoint-1", no_dist=True)
    mp.get_context("forkserver").set_forkserver_preload(["torch", "torch.distributed.checkpoint", "lwface.losses"])
    mp.start_processes(sharded_worker.work, (str(folder),), nprocs=4, start_method="forkserver")
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What each process has of what the key names, in their order, where it was of those that computed it."""
    results = [torch.load(folder / f"{rank}.pt") for rank in range(4)]
    return lambda *key: [of[key] for of in results if key in of]


def joined(parts):
    return None if parts[0] is None else torch.cat(parts)


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_are_the_formulas(found, name):
    known: dict[tuple, tuple[Expected, dict]] = {}
    for case in cases(name):
        if (of := (case.classes, case.rate)) not in known:  # one formula for all sizes of a block
            known[of] = expected_of(case), first_gradient(case)
        expected, one = known[of]
        for part in ("embeddings", "weight", "bias"):
            got, slope = one[part], getattr(expected, part)
            assert (got is None) == (slope is None)
            if slope is not None:
                np.testing.assert_allclose(got.numpy(), slope, rtol=1e-6, atol=2e-8)
                assert np.abs(slope).max() > 1e-3
        for each in ([first_gradient(case)], *(found(world, tuple(case)) for world in WORLDS)):
            assert [process["loss"] for process in each] == pytest.approx([expected.loss] * len(each), rel=1e-10)
            if each:
                assert sum(process["correct"] for process in each) == expected.correct
                for part in ("embeddings", "weight", "bias"):
                    torch.testing.assert_close(joined([process[part] for process in each]), one[part], **EXACT)
                sample = joined([process["sample"] for process in each])
                assert sample is expected.sample is None or torch.equal(sample, expected.sample)
    computed = [len(found(world, tuple(case))) for world in WORLDS for case in cases(name)]
    assert computed == [0, 2, 2, 0, 4, 0, 0, 4]


@pytest.mark.parametrize("case", TRAINED, ids=[case.name for case in TRAINED])
def test_training_is_the_same_in_any_number_of_processes(found, case):
    """Two updates of momentum SGD by two halves of a batch each; what a margin learns is the same to the bit."""
    losses, classifier, _ = train(case)
    for world in WORLDS:
        trained = found("trained", world, tuple(case))
        assert len(trained) == world
        for name, value in classifier.state_dict().items():
            if name == "_extra_state":
                continue
            values = [each["state"][name] for each in trained]
            if name.startswith("margin."):
                assert all(torch.equal(values[0], other) for other in values)
                torch.testing.assert_close(values[0], value, **EXACT)
            else:
                torch.testing.assert_close(torch.cat(values), value, **EXACT)
        assert all(each["losses"] == pytest.approx(losses, rel=1e-10) for each in trained)


def test_states_of_any_number_of_processes_are_read_by_any_other(folder, found):
    one = train(SAVED)[1].weight.detach()
    for before, world in (*RESHARDED, (4, 1), (2, 1)):
        read = [reread(folder / f"checkpoint-{before}")] if world == 1 else found("reread", before, world)
        weight, momentum = (torch.cat(part) for part in zip(*read, strict=True))
        torch.testing.assert_close(weight, one, **EXACT)
        if before > 1:
            trained = found("trained", before, tuple(SAVED))
            assert torch.equal(weight, torch.cat([each["state"]["weight"] for each in trained]))
            assert torch.equal(momentum, torch.cat([each["momentum"] for each in trained]))
        assert momentum.abs().sum() > 0


@pytest.mark.parametrize("name", ["triplet", "atriplet"])
def test_triplets_are_the_formulas(name):
    loss, random = create_classifier(entry(name), 5, 3), np.random.default_rng(3)
    x, labels = random.normal(size=(12, 3)), torch.tensor([0, 1, 2, 0, 0, 1, 2, 2, 1, 2, 0, 0])
    alpha = {"triplet": 0.3, "atriplet": 0.35}[name]
    x[8] = 0.3 - x[0]  # far away: this one keeps the margin

    def naive_triplets(x):
        rows = [[value / math.sqrt(sum(v * v for v in row) + 1e-10) for value in row] for row in x.tolist()]
        found = []
        for a, p, n in zip(rows[:4], rows[4:8], rows[8:], strict=True):
            if name == "triplet":
                near, far = (sum((u - v) ** 2 for u, v in zip(a, other, strict=True)) for other in (p, n))
            else:
                near, far = (math.acos(sum(u * v for u, v in zip(a, other, strict=True))) for other in (p, n))
            found.append(max(near - far + alpha, 0))
        found[3] = 0  # its positive is of somebody else
        return found

    embeddings = torch.from_numpy(x.copy()).requires_grad_()
    found = loss(embeddings, labels)
    found.loss.backward()
    expected = naive_triplets(x)
    assert 0 < sum(value > 0 for value in expected) < 3
    assert found.loss.item() == pytest.approx(sum(expected) / 4, rel=1e-9)
    assert found.correct == 3 * sum(value == 0 for value in expected)
    np.testing.assert_allclose(
        embeddings.grad.numpy(), slopes(lambda moved: sum(naive_triplets(moved)) / 4, x), rtol=1e-6, atol=1e-9
    )
    with pytest.raises(UserError, match="a batch of 11 images is no number of triplets"):
        loss(embeddings[:11], labels[:11])
    assert not list(create_classifier(entry(name), 5, 3, group=object()).parameters())  # nothing to share


def test_contrast_is_the_formula():
    """Equation 2 of arXiv 2004.11362 in loops, and its gradient by differences; a row alone counts 0."""
    labels, temperature = [0, 1, 0, 2, 1, 0], 0.3
    x = np.random.default_rng(3).normal(size=(6, 3))

    def naive(rows):
        unit = [row / math.sqrt(sum(row**2)) for row in rows]
        total = 0.0
        for i in range(6):
            others = [a for a in range(6) if a != i]
            whole = sum(math.exp(float(unit[i] @ unit[a]) / temperature) for a in others)
            same = [p for p in others if labels[p] == labels[i]]
            parts = [math.log(math.exp(float(unit[i] @ unit[p]) / temperature) / whole) for p in same]
            total -= sum(parts) / max(len(same), 1)
        return total / 6

    loss = create_classifier({**entry("supcon"), "temperature": temperature}, 5, 3)
    embeddings = torch.tensor(x, requires_grad=True)
    found = loss(embeddings, torch.tensor(labels))
    found.loss.backward()
    assert found.loss.item() == pytest.approx(naive(x), rel=1e-9)
    np.testing.assert_allclose(embeddings.grad.numpy(), slopes(naive, x), rtol=1e-5, atol=1e-8)
    cosines = x @ x.T / np.outer(*2 * [np.linalg.norm(x, axis=1)])
    np.fill_diagonal(cosines, -2)
    nearest = cosines.argmax(axis=1)
    assert found.correct == sum(labels[i] == labels[nearest[i]] for i in range(6))
