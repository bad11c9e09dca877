"""A sheet shows crops evenly spread over all, in order, and is the same for the same crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lwface.formats.image import read_rgb
from lwface.making.contact_sheet import sheet_beside, spread, write_sheet


@pytest.mark.parametrize("count", [1, 7, 64, 65, 1000])
def test_spread(count: int) -> None:
    found = spread(count)
    assert len(found) == min(count, 64)
    assert found[0] == 0
    assert found[-1] == count - 1
    assert max(np.diff(found), default=1) <= -(-count // 63)


def test_crops_stand_in_rows_of_eight(tmp_path: Path) -> None:
    crops = [(f"Jürgen/{i}.jpg", np.full((112, 112, 3), 10 * i, np.uint8)) for i in range(11)]
    for name in ("a.jpg", "b.jpg"):
        write_sheet(tmp_path / name, [*crops, ("broken.jpg", None)])
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    sheet = read_rgb(tmp_path / "a.jpg")
    assert sheet.shape == (2 * 130 + 4, 8 * 116 + 4, 3)
    for i in range(11):
        top, left = i // 8 * 130 + 4, i % 8 * 116 + 4
        assert abs(int(sheet[top + 56, left + 56, 0]) - 10 * i) <= 2
        assert sheet[top + 114 : top + 126, left : left + 112].min() < 100  # a name below
    assert sheet[190, 700].min() > 250  # an empty place


def test_where() -> None:
    assert sheet_beside(Path("x/lfw.bin")) == Path("x/lfw.contact_sheet.jpg")
    assert sheet_beside(Path("x/people")) == Path("x/people.contact_sheet.jpg")
    assert sheet_beside(Path("x/v1.5")) == Path("x/v1.5.contact_sheet.jpg")
