"""Listing folders of people in an order of names alone, and mapping in order on threads."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.making.image_folder import Sample, by_person, ordered_map, walk_people


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_people_and_images_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.jpg", "b/10.jpg", "a/x/1.PNG", "a/note.txt", "a b/1.webp", "a/0.jpeg")
    assert walk_people(tmp_path).samples == [
        Sample("a/0.jpeg", "a"),
        Sample("a/x/1.PNG", "a"),
        Sample("a b/1.webp", "a b"),
        Sample("b/10.jpg", "b"),
        Sample("b/2.jpg", "b"),
    ]


def test_what_is_no_folder_of_people(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        walk_people(tmp_path / "absent")
    with pytest.raises(UserError, match="no images"):
        walk_people(tmp_path)
    touch(tmp_path, "a/1.heic", "b/2.HEIC")
    with pytest.raises(UserError, match=r"no images.*; skipped 2: .* ending \.heic \(a/1\.heic, b/2\.HEIC\)"):
        walk_people(tmp_path)
    touch(tmp_path, "a/1.jpg", "stray.jpg")
    with pytest.raises(UserError, match=r"stray\.jpg: lies beside"):
        walk_people(tmp_path)


def test_by_person_keeps_the_order_within() -> None:
    samples = [Sample("2", "b"), Sample("9", "a"), Sample("1", "b")]
    assert by_person(samples) == {"a": [samples[1]], "b": [samples[0], samples[2]]}


def test_ordered_map_is_in_order_and_not_far_ahead() -> None:
    started: list[int] = []
    done = 0
    gate = threading.Event()

    def slow_first(i: int) -> int:
        started.append(i)
        if i == 0:
            gate.wait(5)
        return i * i

    results = ordered_map(slow_first, iter(range(1000)), 2)
    gate.set()
    for i, result in enumerate(results):
        assert result == i * i
        assert len(started) <= i + 16
        done += 1
    assert done == 1000


def test_ordered_map_hands_errors_on_and_stops() -> None:
    seen: list[int] = []

    def fails(i: int) -> int:
        seen.append(i)
        if i == 5:
            raise OSError("no disk")
        return i

    with pytest.raises(OSError, match="no disk"):
        list(ordered_map(fails, range(10_000), 3))
    assert len(seen) < 50
