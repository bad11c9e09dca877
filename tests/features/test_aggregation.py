"""Each aggregation against a naive loop over frames, what it must not depend on, and tracks that hold two people."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lwface.features.aggregation as aggregation_module
from lwface.base.errors import UserError
from lwface.features.aggregation import (
    MEAN,
    DominantCluster,
    NormWeighted,
    QualityWeighted,
    RowPools,
    aggregate,
    dominant_cluster,
    normalise,
)

WIDTH = 5
HEAD = QualityWeighted("head", np.array([0.3, -0.2, 0.1, 0.5, -0.4, 1.5]), -0.7)
ALL = [MEAN, NormWeighted(), HEAD, DominantCluster(0.3)]


def label(aggregation):
    return aggregation.label.split()[0]


def frames_of(lengths: list[int], seed: int = 0) -> np.ndarray:
    """Features of very different norms around one direction a video."""
    generator = np.random.default_rng(seed)
    centres = np.repeat(generator.normal(size=(len(lengths), WIDTH)), lengths, axis=0)
    noisy = centres + generator.normal(size=centres.shape) * generator.uniform(0, 1.5, (len(centres), 1))
    return (noisy * generator.uniform(0.1, 30, (len(centres), 1))).astype(np.float32)


def naive_neighbours(units: list[np.ndarray], threshold: float) -> list[list[int]]:
    return [
        [j for j in range(len(units)) if j != i and sum(units[i] * units[j]) >= threshold] for i in range(len(units))
    ]


def naive_cluster(frames: np.ndarray, threshold: float) -> set[int]:
    """The definition in words, on all frames: for the members."""
    units = [frame / np.sqrt(sum(frame**2)) for frame in frames.astype(np.float64)]
    near = naive_neighbours(units, threshold)
    most = max(map(len, near))
    if most == 0:
        return set(range(len(units)))
    dense = [i for i in range(len(units)) if len(near[i]) == most]
    tight = {i: sum(sum(units[i] * units[j]) for j in near[i]) / most for i in dense}
    best = max(tight.values())
    return {j for i in dense if tight[i] > best - 1e-10 for j in [i, *near[i]]}


def naive(frames: np.ndarray, aggregation) -> np.ndarray:
    total = np.zeros(WIDTH)
    members = naive_cluster(frames, 0.3) if label(aggregation) == "cluster" else range(len(frames))
    for place in members:
        feature = frames[place].astype(np.float64)
        norm = np.sqrt(sum(feature**2))
        logit = sum(w * x for w, x in zip(HEAD.weight, [*feature, np.log(norm)], strict=True)) + HEAD.bias
        total += {"mean": 1, "norm": norm, "quality": np.exp(logit), "cluster": 1}[label(aggregation)] * feature / norm
    return total / np.sqrt(sum(total**2))


@pytest.mark.parametrize("aggregation", ALL, ids=label)
def test_equal_to_the_definition(aggregation):
    lengths = [1, 2, 7, 30, 3, 12]
    frames = frames_of(lengths)
    found = aggregate(frames, np.array(lengths), aggregation)
    starts = np.cumsum([0, *lengths])
    expected = [naive(frames[a:b], aggregation) for a, b in itertools.pairwise(starts)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_norm_weighted_mean_is_the_sum_of_the_features_as_they_are():
    frames = frames_of([9])
    total = frames.astype(np.float64).sum(axis=0)
    found = aggregate(frames, np.array([9]), NormWeighted())[0]
    np.testing.assert_allclose(found, total / np.linalg.norm(total), atol=1e-14)


def test_the_mirrored_image_does_not_change_what_the_head_sees():
    frames = frames_of([9])
    both = QualityWeighted(HEAD.identity, HEAD.weight, HEAD.bias, views=2)
    np.testing.assert_array_equal(both.weights(2 * frames.astype(float)), HEAD.weights(frames.astype(float)))


def test_weights_stay_numbers_however_far_the_logits():
    frames = np.array([[1.0, 0], [0, 1]])
    extreme = QualityWeighted("head", np.array([1e6, -1e6, 0]), 0.0)
    np.testing.assert_allclose(aggregate(frames, np.array([2]), extreme), [[1, 0]], atol=1e-12)
    hopeless = QualityWeighted("head", np.array([-1e6, -1e6, 0]), 0.0)  # both equally
    np.testing.assert_allclose(aggregate(frames, np.array([2]), hopeless), [[0.5**0.5, 0.5**0.5]], atol=1e-12)


@pytest.mark.parametrize("aggregation", ALL, ids=label)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), cut=st.integers(1, 10))
@settings(max_examples=25, deadline=None)
def test_rows_do_not_depend_on_the_cuts(aggregation, lengths, cut):
    features = frames_of(lengths).astype(np.float64)
    units = normalise(features, str)
    pools = RowPools(iter(lengths), aggregation)
    found = [pools.add(units[i : i + cut], features[i : i + cut]) for i in range(0, len(units), cut)]
    whole = RowPools(iter(lengths), aggregation).add(units, features)
    np.testing.assert_array_equal(np.concatenate(found), whole)
    assert len(whole) == len(lengths)


def test_the_mean_is_the_sum_one_by_one_to_the_last_bit():
    units = np.random.default_rng(0).normal(size=(40, 3)) * 1e8 ** np.arange(3)
    total = np.zeros(3)
    for unit in units:
        total = total + unit
    np.testing.assert_array_equal(RowPools(iter([40])).add(units, units), [total])


@pytest.mark.parametrize("aggregation", ALL, ids=label)
@given(seed=st.integers(0, 10**6), frames=st.integers(1, 25))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_frames_does_not_matter(aggregation, seed, frames):
    features = frames_of([frames], seed)
    mixed = features[np.random.default_rng(seed).permutation(frames)]
    one, other = (aggregate(each, np.array([frames]), aggregation) for each in (features, mixed))
    np.testing.assert_allclose(one, other, atol=1e-12)


@given(seed=st.integers(0, 10**6), frames=st.integers(1, 25), threshold=st.sampled_from([-0.2, 0.0, 0.3, 0.8]))
@settings(max_examples=60, deadline=None)
def test_the_cluster_is_that_of_the_definition(seed, frames, threshold):
    features = np.random.default_rng(seed).normal(size=(frames, 3))
    found = dominant_cluster(normalise(features, str), threshold)
    assert set(np.flatnonzero(found)) == naive_cluster(features, threshold)


def track_of(people: list[int], noise: float = 0.25, width: int = 64) -> np.ndarray:
    """Unit frames of the people whose numbers are listed."""
    generator = np.random.default_rng(0)
    centres = normalise(generator.normal(size=(max(people) + 1, width)), str)
    return normalise(centres[people] + noise / 8 * generator.normal(size=(len(people), width)), str)


def test_frames_of_others_are_left_out():
    people = np.array([0] * 12 + [1] * 7 + [2] * 3)
    people = people[np.random.default_rng(1).permutation(len(people))]
    units = track_of(list(people))
    np.testing.assert_array_equal(dominant_cluster(units, 0.5), people == 0)
    own = aggregate(units[people == 0], np.array([12]), MEAN)
    np.testing.assert_array_equal(aggregate(units, np.array([22]), DominantCluster(0.5)), own)
    assert aggregate(units, np.array([22]), MEAN)[0] @ own[0] < 0.95


def test_ties_go_to_the_tighter_cluster_and_else_count_together():
    near, far = np.deg2rad([0, 10]), np.deg2rad([90, 105])
    units = np.array([[np.cos(angle), np.sin(angle)] for angle in [*far, *near]])
    assert dominant_cluster(units, 0.5).tolist() == [False, False, True, True]
    apart = np.eye(4)
    assert dominant_cluster(apart, 0.5).all()
    assert dominant_cluster(np.repeat(apart[:2], 3, axis=0), 0.5).all()
    assert dominant_cluster(apart[:1], 0.5).tolist() == [True]


def test_clusters_are_not_chained():
    """Neighbours 20 degrees apart all the way round: the cluster is one frame's neighbours, not everything."""
    angles = np.deg2rad([0, 20, 40, 60, 80, 100, 99])
    units = np.column_stack([np.cos(angles), np.sin(angles)])
    found = dominant_cluster(units, np.cos(np.deg2rad(21)))
    assert found.tolist() == [False, False, False, True, True, True, True]


def test_long_videos_are_sampled_and_every_frame_is_compared(monkeypatch):
    people = [0] * 50 + [1] * 30 + [0] * 40
    units = track_of(people)
    expected = dominant_cluster(units, 0.5)
    assert expected.sum() == 90
    monkeypatch.setattr(aggregation_module, "CELLS_AT_ONCE", 300)
    np.testing.assert_array_equal(dominant_cluster(units, 0.5), expected)  # blocks of two frames
    monkeypatch.setattr(aggregation_module, "CLUSTER_FRAMES", 17)
    np.testing.assert_array_equal(dominant_cluster(units, 0.5), expected)


def test_a_threshold_that_is_no_cosine():
    with pytest.raises(UserError, match=r"cluster threshold 1.5: a cosine, from -1 to 1"):
        DominantCluster(1.5)
    with pytest.raises(UserError, match="cluster threshold nan"):
        DominantCluster(float("nan"))


def test_a_feature_without_direction_names_its_image():
    for bad in (0.0, np.nan, np.inf):
        features = np.ones((3, 2), np.float32)
        features[1] = bad
        with pytest.raises(UserError, match="second: its feature is zero or not finite"):
            normalise(features, ["first", "second", "third"].__getitem__)


def test_settings_are_part_of_the_label():
    labels = {MEAN.label, NormWeighted().label, HEAD.label, DominantCluster(0.3).label, DominantCluster(0.31).label}
    assert labels == {"mean", "norm", "quality head", "cluster 0.3", "cluster 0.31"}
