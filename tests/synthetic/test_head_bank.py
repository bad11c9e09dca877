"""The bank of heads: cut out cleanly, the same after an interruption, and no file but a whole one is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.base.journal import open_job
from lwface.synthetic import head_bank
from lwface.synthetic.head_bank import PRODUCTS, HeadBank, generate_heads
from lwface.synthetic.head_options import HEADS, HeadOptions

OPTIONS = HeadOptions(people=2, shots=1, backs=1)


def make(folder: Path) -> None:
    journal = open_job(folder, "test", PRODUCTS)
    assert journal is not None
    with journal:
        generate_heads(OPTIONS, folder, journal, 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make(folder)
    return folder


def test_an_interruption_changes_no_byte(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = head_bank.make_heads_of

    def interrupted(number: int, options: HeadOptions, output: Path) -> int:
        if number == 1:
            raise KeyboardInterrupt
        return whole(number, options, output)

    with monkeypatch.context() as patch:
        patch.setattr(head_bank, "make_heads_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path)
    assert not (tmp_path / HEADS).exists()
    make(tmp_path)
    with np.load(made / HEADS) as one, np.load(tmp_path / HEADS) as other:
        assert set(one.files) == set(other.files)
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])


def test_heads_are_cut_out(made: Path) -> None:
    bank = HeadBank(made)
    assert len(bank) == 4
    for number in range(4):
        head = bank.head(number)
        cover = head.pixels[..., 3]
        assert 0.1 < (cover > 250).mean() < 0.8  # a head and shoulders, before nothing
        assert (cover[:8] == 0).mean() > 0.9
        assert not head.pixels[cover == 0].any() or head.pixels[cover == 0].max() < 40  # JPEG's ringing
        if number % 2:
            assert head.points is None
        else:
            assert head.points is not None
            x, y = np.round(head.points[27:36].mean(axis=0)).astype(int)  # the nose
            assert cover[y, x] == 255


def test_only_a_whole_bank_is_taken(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such bank of heads"):
        HeadBank(tmp_path)
    data = (made / HEADS).read_bytes()
    for length in (0, 10, len(data) // 2, len(data) - 1):
        (tmp_path / HEADS).write_bytes(data[:length])
        with pytest.raises(UserError, match="no bank of heads, or damaged"):
            HeadBank(tmp_path)
    np.savez(tmp_path / "other.npz", points=np.zeros(3))
    with pytest.raises(UserError, match="no bank of heads, or damaged"):
        HeadBank(tmp_path / "other.npz")
    with pytest.raises(UserError, match="--people 1: expected 2"):
        HeadOptions(people=1).check()
