"""Batches on their way to a GPU, of which only the calls are here: which stream is told what, and in which order."""

from __future__ import annotations

import contextlib

import pytest
import torch

from lwface.base.errors import UserError
from lwface.training import ahead
from lwface.training.ahead import lane_to, sent_ahead
from lwface.training.task import Batch


class Told:
    """A lane that writes down what it is asked for."""

    def __init__(self):
        self.said = []

    def send(self, batch):
        self.said.append(f"send {batch.first}")
        return batch

    def receive(self, batch):
        self.said.append(f"receive {batch.first}")
        return batch


def batch(number):
    return Batch(torch.full((2, 1), number), torch.full((2,), -number), {}, first=number)


def loaded(count, fails_at=None):
    for number in range(count):
        if number == fails_at:
            raise UserError(f"batch {number} cannot be read")
        yield batch(number)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_each_is_sent_before_the_one_before_is_used_and_none_is_lost(count):
    lane = Told()
    for number, found in enumerate(sent_ahead(loaded(count), lane)):
        assert found.first == number
        lane.said.append(f"step {number}")
    expected = [f"send {number}" for number in range(min(count, 1))]
    for number in range(count):
        expected += [f"send {number + 1}"] * (number + 1 < count) + [f"receive {number}", f"step {number}"]
    assert lane.said == expected


@pytest.mark.parametrize("fails_at", [0, 1, 3])
def test_what_cannot_be_loaded_is_raised_in_its_turn(fails_at):
    found = sent_ahead(loaded(9, fails_at), Told())
    assert [next(found).first for _ in range(fails_at)] == list(range(fails_at))
    with pytest.raises(UserError, match=f"batch {fails_at} cannot"):
        next(found)


def test_without_a_gpu_batches_are_the_very_ones():
    batches = [batch(number) for number in range(3)]
    assert lane_to(torch.device("cpu")) is None
    assert all(a is b for a, b in zip(sent_ahead(iter(batches), None), batches, strict=True))


class Stream:
    """Of a pretended device."""

    def __init__(self, said, name):
        self.said, self.name = said, name

    def record_event(self):
        self.said.append(f"{self.name}: event")
        return f"event of {self.name}"

    def wait_event(self, event):
        self.said.append(f"{self.name}: wait for {event}")


class Pinned:
    """A tensor in pinned memory, or one on the device."""

    def __init__(self, said, name, now, place="cpu"):
        self.said, self.name, self.now, self.device = said, name, now, torch.device(place)

    def pin_memory(self):
        return self  # as it is pinned

    def to(self, device, *, non_blocking):
        assert non_blocking
        self.said.append(f"{self.now[-1]}: copy {self.name}")
        return Pinned(self.said, self.name, self.now, device)

    def record_stream(self, stream):
        self.said.append(f"{self.name}: kept for {stream.name}")


def test_copies_run_on_the_side_and_the_computing_stream_waits_for_their_end_alone(monkeypatch):
    said, now = [], ["computing"]

    @contextlib.contextmanager
    def on(stream):
        now.append(stream.name)
        yield
        now.pop()

    monkeypatch.setattr(ahead.torch.cuda, "Stream", lambda device: Stream(said, "side"))
    monkeypatch.setattr(ahead.torch.cuda, "stream", on)
    monkeypatch.setattr(ahead.torch.cuda, "current_stream", lambda device: Stream(said, now[-1]))
    device = torch.device("cuda", 0)
    batches = [Batch(Pinned(said, f"i{n}", now), Pinned(said, f"t{n}", now), {}) for n in range(2)]
    for number, found in enumerate(sent_ahead(iter(batches), lane_to(device))):
        said.append(f"step {number}")
        assert found.on(device) is found.there
        assert [tensor.device for tensor in found.there] == [device, device]
        assert found.images is batches[number].images  # the host has its own still
    copies = [["side: copy i0", "side: copy t0", "side: event"], ["side: copy i1", "side: copy t1", "side: event"]]
    ready = [
        ["computing: wait for event of side", f"i{n}: kept for computing", f"t{n}: kept for computing", f"step {n}"]
        for n in range(2)
    ]
    assert said == [*copies[0], *copies[1], *ready[0], *ready[1]]
