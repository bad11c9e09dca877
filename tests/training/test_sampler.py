"""The order of images: by seed and step alone."""

from __future__ import annotations

import pytest
import torch

from lwface.base.errors import UserError
from lwface.training.sampler import BatchSampler, random_stream


def batches(seed=3, start=0, stop=20, images=23, batch_size=5):
    return [b.tolist() for b in BatchSampler(images, batch_size, seed=seed, start=start, stop=stop)]


def test_every_epoch_is_a_fresh_permutation_with_the_rest_dropped():
    found = batches(stop=12)  # 4 steps an epoch, 3 images dropped
    epochs = [[i for batch in found[e * 4 : e * 4 + 4] for i in batch] for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 20
        assert set(epoch) <= set(range(23))
    assert epochs[0] != epochs[1] != epochs[2]
    assert set().union(*epochs) == set(range(23))  # what one epoch drops, another has


@pytest.mark.parametrize("start", [0, 1, 3, 4, 5, 11, 20])
def test_resumes_at_any_step(start):
    assert batches(start=start) == batches()[start:]
    assert len(BatchSampler(23, 5, seed=3, start=start, stop=20)) == 20 - start


def test_seed_decides():
    assert batches(seed=3) == batches(seed=3)
    assert batches(seed=3) != batches(seed=4)
    # A neighbouring seed is not the same sequence shifted by an epoch.
    assert batches(seed=3)[4:8] != batches(seed=4)[:4]


def test_the_global_random_state_is_neither_used_nor_changed():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = batches()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert batches() == first


def test_places_are_uniform():
    """Image 0 stands in the first batch of an epoch as often as chance has it (binomial, 5 standard deviations)."""
    hits = sum(0 in BatchSampler(10, 5, seed=s, stop=1).__iter__().__next__() for s in range(400))
    assert abs(hits - 200) < 5 * 10


def test_one_batch_is_the_least():
    assert batches(images=5, stop=2)[0] != []
    with pytest.raises(UserError, match="4 images, fewer than the 5"):
        BatchSampler(4, 5, seed=0, stop=1)


def test_streams_of_different_purposes_differ():
    draws = {
        torch.rand(1, generator=random_stream(*key)).item()
        for key in [(0, "a", 0), (0, "b", 0), (1, "a", 0), (0, "a", 1)]
    }
    assert len(draws) == 4
