"""Every loss in 1, 2 and 4 processes, in blocks or not, sampled or not, against the plain float64 computation."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.multiprocessing as mp
from losses import sharded_worker
from losses.example_margins import margin_names
from losses.sharded_worker import RESHARDED, SAVED, WORLDS, Case, cases, classifier_of
from torch.nn import functional

EXACT = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the four processes wrote; the server that they are forked from imports PyTorch once."""
    folder = tmp_path_factory.mktemp("sharded")
    mp.get_context("forkserver").set_forkserver_preload(["torch", "torch.distributed.checkpoint", "lwface.losses"])
    mp.start_processes(sharded_worker.work, (str(folder),), nprocs=4, start_method="forkserver")
    return folder


@pytest.fixture(scope="module")
def results(folder):
    """By world and rank, of each case: gradients of the first batch, and what training left."""
    found = {}
    for world in WORLDS:
        for rank in range(world):
            read = torch.load(folder / f"{world}-{rank}.pt")
            found[world, rank] = {Case(*case): value for case, value in read.items()}
    return found


def plain(case):
    """Loss and gradients with all scores at once, left to autograd."""
    classifier = classifier_of(case)
    margin, weight, bias = classifier.margin, classifier.weight, classifier.bias
    embeddings, labels = case.batch()
    embeddings.requires_grad_()
    generator = torch.Generator().manual_seed(0)
    taken = torch.ones(case.classes, dtype=torch.bool)
    if case.rate < 1:
        taken = torch.rand(case.classes, generator=generator) < case.rate
        taken[labels] = True
    seed = int(torch.randint(1 << 62, (), generator=generator))
    rows = weight.reshape(-1, weight.shape[-1])
    if margin.cosine:
        lengths = [(each.square().sum(1, keepdim=True) + 1e-10).sqrt() for each in (embeddings, rows)]
        scores = (embeddings / lengths[0]) @ (rows / lengths[1]).T
    else:
        scores = embeddings @ rows.T + (0 if bias is None else bias)
    scores = scores.view(len(labels), case.classes, -1).amax(2)
    own = scores[range(len(labels)), labels]
    norms = embeddings.norm(dim=1)
    torch.manual_seed(seed)
    with_margin = margin.own(own, norms)
    others = margin.others(scores, own)
    logits = margin.scale * torch.where(functional.one_hot(labels, case.classes) == 1, with_margin[:, None], others)
    loss = functional.cross_entropy(logits.masked_fill(~taken, -torch.inf), labels)
    for term in (margin.penalty(norms), margin.pull(own)):
        loss = loss if term is None else loss + term.mean()
    loss.backward()
    return {
        "loss": loss.item(),
        "embeddings": embeddings.grad,
        "weight": weight.grad,
        "bias": None if bias is None else bias.grad,
        "sample": taken.nonzero().squeeze(1) if case.rate < 1 else None,
    }


def joined(parts):
    return None if parts[0] is None else torch.cat(parts)


@pytest.mark.parametrize("name", margin_names())
def test_value_and_gradients_are_those_of_the_plain_computation(results, name):
    for case in cases():
        if case.margin != name:
            continue
        expected = plain(case)
        for world in WORLDS:
            found = [results[world, rank][case][0] for rank in range(world)]
            assert [one["loss"] for one in found] == pytest.approx([expected["loss"]] * world, rel=1e-12)
            for part in ("embeddings", "weight", "bias", "sample"):
                whole = joined([one[part] for one in found])
                assert (whole is None) == (expected[part] is None)
                if whole is not None:
                    torch.testing.assert_close(whole, expected[part], **EXACT)


@pytest.mark.parametrize("name", margin_names())
def test_training_is_the_same_in_any_number_of_processes(results, name):
    """Two updates of momentum SGD, a margin's state included; parts of a batch differ, as each process has its own."""
    for case in cases():
        if case.margin != name or not case.trains:
            continue
        for world in WORLDS:
            trained = [results[world, rank][case][1] for rank in range(world)]
            for one, other in pairwise(trained):
                assert one["loss"] == pytest.approx(other["loss"], rel=1e-12)
            for state in zip(*(one["state"].items() for one in trained), strict=True):
                names, values = zip(*state, strict=True)
                if names[0].startswith("margin."):
                    assert all(torch.equal(values[0], value) for value in values)
                else:
                    assert len(torch.cat(values)) == case.classes


def test_states_of_any_number_of_processes_are_read_by_any_other(folder, results):
    read = [torch.load(folder / f"resharded-{rank}.pt") for rank in range(4)]
    for before, world in RESHARDED:
        parts = [read[rank][before, world] for rank in range(world)]
        weight, momentum = (torch.cat(part) for part in zip(*parts, strict=True))
        trained = [results[before, rank][SAVED][1] for rank in range(before)]
        assert torch.equal(weight, torch.cat([one["state"]["weight"] for one in trained]))
        assert torch.equal(momentum, torch.cat([one["momentum"] for one in trained]))
        assert momentum.abs().sum() > 0
