"""Memory that is free: the machine's, and a container's limit."""

from __future__ import annotations

import pytest

from lwface.base import memory


@pytest.fixture
def machine(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:    5000 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "GROUPS", ((tmp_path / "max", tmp_path / "current", "inactive_file"),))
    return tmp_path


def test_of_the_machine_where_there_is_no_limit(machine):
    assert memory.available_bytes() == 5000 * 1024
    (machine / "max").write_text("max\n")
    (machine / "current").write_text("77\n")
    assert memory.available_bytes() == 5000 * 1024


@pytest.mark.parametrize(("limit", "used", "cached", "left"), [(900, 400, 50, 550), (900, 1200, 100, 0)])
def test_a_limit_counts_cached_files_as_free(machine, limit, used, cached, left):
    (machine / "max").write_text(f"{limit}\n")
    (machine / "current").write_text(f"{used}\n")
    (machine / "memory.stat").write_text(f"anon 3\ninactive_file {cached}\n")
    assert memory.available_bytes() == left


def test_without_proc_it_is_a_part_of_what_is_built_in(machine, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", machine / "none")
    assert 2**20 < memory.available_bytes() < 2**60
