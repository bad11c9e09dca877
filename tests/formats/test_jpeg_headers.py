"""Headers that are known from the picture before: nothing found of a file depends on what was read before it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwface.formats import jpeg
from lwface.formats.image import encode_jpeg

NAIVE = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)


@given(st.lists(st.sampled_from([b"\xff", b"\x00", b"\xd9", b"\xda", b"a\n"])).map(b"".join), st.integers(0, 5))
def test_markers_are_those_of_the_plain_expression(data, position):
    found = [(match.start(), match.end(), match.group(1)) for match in jpeg._markers_in_scans(data, position)]
    assert found == [(match.start(), match.end(), match.group(1)) for match in NAIVE.finditer(data, position)]


def walked(data):
    try:
        return jpeg.walk(data)
    except jpeg.Damage as damage:
        return str(damage)


@pytest.fixture
def files():
    noise = np.random.default_rng(0).integers(0, 256, (3, 24, 40, 3), dtype=np.uint8)
    whole = [encode_jpeg(image, quality) for image in (*noise, noise[0, :8]) for quality in (60, 95)]
    header = len(jpeg._walk_header(whole[0]).data)
    broken = [whole[0][:cut] for cut in range(2, header + 40, 7)]
    broken += [whole[0][:at] + b"\xff\xd5" + whole[0][at:] for at in range(header - 8, header + 60, 9)]
    longer = int.from_bytes(whole[0][header - 12 : header - 10], "big") + 9  # of the scan's header: past the file's end
    broken.append(whole[0][: header - 12] + longer.to_bytes(2, "big") + whole[0][header - 10 : header])
    return whole + broken


def test_what_was_read_before_changes_nothing(files, monkeypatch):
    alone = []
    for data in files:
        monkeypatch.setattr(jpeg, "_late_headers", ())
        alone.append((walked(data), jpeg.jpeg_size(data)))
    for order in (files + files, files[::-1]):
        for data in order:
            assert (walked(data), jpeg.jpeg_size(data)) == alone[files.index(data)]
    assert 4 <= len(jpeg._late_headers) <= jpeg._HEADERS_KEPT
    assert {type(found) for found, _ in alone} == {str, jpeg.Frame}
