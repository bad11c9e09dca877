"""Pooling against loops over dictionaries, written from the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.scoring import templates
from lwface.scoring.templates import pool


def naive_pool(features, template_of, media, weights=None, keep_norms=True, halves=False):
    """Template -> medium -> its frames; sums in the order of rows and of media."""
    frames = {}
    for row, (template, medium) in enumerate(zip(template_of.tolist(), media.tolist(), strict=True)):
        face = features[row].astype(np.float64)
        if halves:
            face = face[: len(face) // 2] + face[len(face) // 2 :]
        if not keep_norms:
            face = face / np.sqrt(np.sum(face * face))
        if weights is not None:
            face = face * weights[row]
        frames.setdefault(template, {}).setdefault(medium, []).append(face)
    pooled = []
    for template in sorted(frames):
        total = 0
        for medium in sorted(frames[template]):
            total = total + sum(frames[template][medium]) / len(frames[template][medium])
        pooled.append(total / np.sqrt(np.sum(total * total)))
    return sorted(frames), np.array(pooled)


def make_faces(seed, rows, width):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, width)) * generator.uniform(1, 30, size=(rows, 1))
    template_of, media = generator.integers(0, max(1, rows // 6), rows) * 7, generator.integers(0, 5, rows)
    return features.astype(np.float32), template_of, media, generator.uniform(0.1, 1, rows)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 120),
    st.sampled_from([4, 16, 64]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 10, 4096]),
)
def test_it_equals_the_loops(seed, rows, width, detector, keep_norms, halves, rows_at_once):
    features, template_of, media, scores = make_faces(seed, rows, width)
    weights = scores if detector else None
    before, templates.ROWS_AT_ONCE = templates.ROWS_AT_ONCE, rows_at_once
    try:
        found = pool(features, template_of, media, weights=weights, keep_norms=keep_norms, halves=halves)
    finally:
        templates.ROWS_AT_ONCE = before
    ids, expected = naive_pool(features, template_of, media, weights, keep_norms, halves)
    assert found.ids.tolist() == ids
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.features, expected, rtol=0, atol=2.0**-24)


def test_parts_change_nothing(monkeypatch):
    features, template_of, media, scores = make_faces(1, 500, 32)
    whole = pool(features, template_of, media, weights=scores).features
    monkeypatch.setattr(templates, "ROWS_AT_ONCE", 7)
    assert pool(features, template_of, media, weights=scores).features.tobytes() == whole.tobytes()


def test_a_long_video_weighs_as_much_as_a_photograph():
    features = np.array([[3, 0]] * 9 + [[0, 3]], dtype=np.float32)
    found = pool(features, np.zeros(10, dtype=int), np.array([5] * 9 + [6]))
    np.testing.assert_allclose(found.features, [[0.5**0.5, 0.5**0.5]], rtol=1e-6)
    assert found.mean_norm == 3


def test_one_medium_of_two_templates_is_two():
    features = np.eye(2, dtype=np.float32)
    found = pool(features, np.array([4, 2]), np.array([1, 1]))
    assert found.ids.tolist() == [2, 4]
    assert found.features.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("keep_norms", [True, False])
def test_a_template_whose_faces_add_up_to_nothing_is_not_enrolled(keep_norms):
    features = np.array([[3, 0], [0, 0], [0, 4], [1, 0], [-1, 0], [5, 5]], dtype=np.float32)
    ids, weights = np.array([7, 8, 7, 9, 9, 10]), np.array([1, 1, 1, 1, 1, 0.0])
    found = pool(features, ids, np.arange(6), weights=weights, keep_norms=keep_norms)
    assert found.enrolled.tolist() == [True, False, False, False]
    assert found.mean_norm == pytest.approx((3 + 4 + 1 + 1 + 50**0.5) / 5)  # of the faces that have a feature
    alone = pool(features[[0, 2]], ids[[0, 2]], np.arange(2), keep_norms=keep_norms)
    assert found.features[0].tolist() == alone.features[0].tolist()
    assert np.isfinite(found.features).all()


def test_what_cannot_be_pooled_is_refused():
    zeros, ones = np.zeros(2, dtype=int), np.array([[1, 0], [-1, 0]], dtype=np.float32)
    with pytest.raises(UserError, match="f: the features of every template are zero"):
        pool(ones, zeros + 3, np.array([0, 1]), name="f")
    with pytest.raises(UserError, match="f: row 1 is not finite"):
        pool(np.array([[1, 0], [np.inf, 0]], dtype=np.float32), zeros, zeros, name="f")
    with pytest.raises(UserError, match="f: rows of 3 numbers have no two halves"):
        pool(np.ones((2, 3), dtype=np.float32), zeros, zeros, halves=True, name="f")
