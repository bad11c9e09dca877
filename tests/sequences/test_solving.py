"""The naive solution, its scores and the search, against loops written from their definitions and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from lwface.base.errors import UserError
from lwface.formats.sequence_pickles import Signatures
from lwface.formats.sequence_submission import SequenceTruth
from lwface.sequences.naive import solve, solve_split
from lwface.sequences.retrieval import average_precision, first_rank, search, search_text, searchable
from lwface.sequences.scoring import as_text, score_guesses
from lwface.sequences.splits import enumerate_paths, split_by, train_test_split


def frames(videos_of, frames_of=3, sequences=1):
    """Paths of people with so many videos each; videos are numbered through."""
    paths, video = [], 0
    for person, videos in enumerate(videos_of):
        for _ in range(videos):
            paths += [
                f"person_{person:04}/channel_{video:04}/seq_{s:04}/frame_{f:05}.jpg"
                for s in range(sequences)
                for f in range(frames_of)
            ]
            video += 1
    return paths


@pytest.fixture(scope="module")
def signatures():
    draw = np.random.default_rng(0)
    paths = frames([2, 3, 1, 4, 2, 5, 2, 3], sequences=2)
    people, videos = enumerate_paths(paths)
    rows = draw.normal(size=(8, 12))[people] + 0.8 * draw.normal(size=(22, 12))[videos]
    return Signatures(paths, (rows + draw.normal(size=rows.shape)).astype("f4"))


def shuffled(signatures, seed=0):
    order = np.random.default_rng(seed).permutation(len(signatures.paths))
    return Signatures([signatures.paths[i] for i in order], signatures.signatures[order])


def test_who_and_which_video():
    people, videos = enumerate_paths(frames([2, 1]))
    assert people.tolist() == [0] * 6 + [1] * 3
    assert videos.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    people, videos = enumerate_paths(frames([2, 1])[::-1])
    assert people.tolist() == [1] * 3 + [0] * 6
    with pytest.raises(UserError, match="does not say whose it is"):
        enumerate_paths(["video_1/seq_1/frame_1.jpg"])


@pytest.mark.parametrize(("videos", "ratio", "learnt"), [(1, 0.5, 1), (2, 0.5, 1), (3, 0.5, 2), (5, 0.5, 3), (4, 0, 1)])
def test_half_of_the_videos_by_hand(videos, ratio, learnt):
    paths = frames([2, videos])
    people, numbers = enumerate_paths(paths)
    train, test = train_test_split(people, numbers, ratio)
    assert sorted([*train, *test]) == list(range(len(paths)))
    assert len({numbers[i] for i in train if people[i] == 1}) == learnt
    order = np.random.default_rng(0).permutation(len(paths))
    again, _ = train_test_split(people[order], numbers[order], ratio)
    assert {paths[order[i]] for i in again} == {paths[i] for i in train}


def test_split_by_in_any_order():
    parts = split_by(np.arange(6), [2, 0, 2, 1, 0, 2])
    assert [part.tolist() for part in parts] == [[1, 4], [3], [0, 2, 5]]
    assert split_by([], []) == []
    with pytest.raises(UserError, match="2 rows to split by 1 numbers"):
        split_by([1, 2], [0])


def naive_loop(signatures, ratio):
    """The challenge's demo, frame by frame."""
    owner = {path: path.split("/")[0] for path in signatures.paths}
    video = {path: "/".join(path.split("/")[:2]) for path in signatures.paths}
    row = dict(zip(signatures.paths, signatures.signatures.astype(float), strict=True))
    people = sorted(set(owner.values()))
    learnt = set()
    for person in people:
        own = sorted({video[path] for path in row if owner[path] == person})
        learnt |= {name for place, name in enumerate(own) if place <= ratio * (len(own) - 1)}

    def mean(some):
        return [math.fsum(row[path][k] for path in some) / len(some) for k in range(12)]

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    means = [mean([path for path in row if owner[path] == person and video[path] in learnt]) for person in people]
    found = {}
    for name in sorted(set(video.values()) - learnt):
        asked = mean([path for path in row if video[path] == name])
        found[name] = sorted(range(len(people)), key=lambda k: -cosine(asked, means[k]))[:5]
    return people, found


@pytest.mark.parametrize("ratio", [0.5, 0.0, 0.8])
def test_the_naive_solution(signatures, ratio):
    people, expected = naive_loop(signatures, ratio)
    for some in (signatures, shuffled(signatures)):
        found = solve_split(some, ratio)
        assert found.people == people
        assert dict(zip(found.samples, found.guesses.tolist(), strict=True)) == expected
        assert [people[i] for i in found.truth.indices] == [name.split("/")[0] for name in found.samples]


def test_evaluation_without_person_and_video(signatures):
    """The same frames under evaluation paths: the guesses of the same sequences."""
    named = solve(signatures, signatures)
    bare = [f"seq_{place // 3:04}/frame_{place % 3}.jpg" for place in range(len(signatures.paths))]
    found = solve(signatures, Signatures(bare, signatures.signatures))
    assert found.truth is None
    assert len(found.samples) == 44
    assert len(named.samples) == 22
    videos = [path.rpartition("/seq")[0] + "/seq_0000/frame_0.jpg" for path in dict.fromkeys(signatures.paths[::3])]
    assert found.guesses.shape == (len(videos), 5)
    only = Signatures(["video_3/seq_0/frame_0.jpg"], signatures.signatures[:1])
    assert solve(signatures, only).samples == ["video_3"]


def test_a_stranger_is_asked_for_and_does_not_count(signatures):
    learnt = Signatures(signatures.paths[12:], signatures.signatures[12:])
    truth = solve(learnt, signatures).truth
    assert truth.indices.tolist()[:3] == [-1, -1, 0]
    guesses = np.tile(np.arange(5), (len(truth.samples), 1))
    assert score_guesses(guesses, truth)["strangers"] == 2
    with pytest.raises(UserError, match="names nobody who was learnt from"):
        score_guesses(guesses[:2], SequenceTruth(truth.samples[:2], np.array([-1, -1]), ["a", "b"]))


def test_what_cannot_be_solved(signatures):
    with pytest.raises(UserError, match=r"no video is left to judge by: 2 videos of 2 people"):
        solve_split(Signatures(frames([1, 1]), np.ones((6, 2), "f4")))
    rows = np.ones((12, 2), "f4")
    rows[:3] = 0
    with pytest.raises(UserError, match="person_0000: its mean signature is zero"):
        solve_split(Signatures(frames([2, 2]), rows))
    with pytest.raises(UserError, match="signatures of 12 and 2 numbers"):
        solve(signatures, Signatures(frames([2, 2]), rows))
    with pytest.raises(UserError, match="does not say whose it is"):
        solve(Signatures(["seq_0/frame_0.jpg"], rows[:1]), Signatures(frames([2, 2]), rows))


def test_the_score_by_hand():
    """Places 0, 2, none, 4: 100 + 80 + 0 + 60 over four, and a stranger."""
    guesses = np.array([[3, 0, 1, 2, 4], [0, 1, 3, 2, 4], [0, 1, 2, 4, 5], [0, 1, 2, 4, 3], [0, 1, 2, 3, 4]])
    truth = SequenceTruth(list("abcde"), np.array([3, 3, 3, 3, -1]), ["x", "x", "y", "y", "z"])
    found = score_guesses(guesses, truth)
    assert found["score"]["value"] == 60
    assert found["top1"]["value"] == 0.25
    assert found["top5"]["value"] == 0.75
    assert found["hits"] == [1, 0, 1, 0, 1]
    assert found["score"]["low"] is None
    text = as_text(found)
    assert text.endswith("no intervals: fewer than 10 people")
    assert "4 samples of 2 people; 1 of strangers do not count" in text
    assert "top 1 accuracy   25.00 %" in text
    alone = score_guesses(guesses[:1], SequenceTruth(["a"], np.array([3]), ["x"]))
    assert alone["score"] == {"value": 100.0, "low": None, "high": None}


def test_intervals_are_over_people():
    """Ten people who are always right tell of 0.025 ** (1/10); people of two kinds, a plain bootstrap."""
    names, people = [f"s{i}" for i in range(40)], [f"p{i // 4}" for i in range(40)]
    always = score_guesses(np.tile(np.arange(5), (40, 1)), SequenceTruth(names, np.zeros(40, int), people))
    assert always["top1"] == {"value": 1.0, "low": pytest.approx(0.69150, abs=1e-5), "high": 1.0}
    assert always["score"] == {"value": 100.0, "low": pytest.approx(69.150, abs=1e-3), "high": 100.0}
    indices = np.repeat([0, 0, 0, 0, 2, 2, 2, 9, 9, 9], 4)
    found = score_guesses(np.tile(np.arange(5), (40, 1)), SequenceTruth(names, indices, people))
    means = np.random.default_rng(5).choice([100, 80, 0], (20000, 10), p=[0.4, 0.3, 0.3]).mean(axis=1)
    assert found["score"]["value"] == pytest.approx(64)
    np.testing.assert_allclose(
        [found["score"]["low"], found["score"]["high"]], np.quantile(means, (0.025, 0.975)), atol=3
    )
    never = score_guesses(np.tile(np.arange(5), (40, 1)), SequenceTruth(names, np.full(40, 7), people))
    assert never["top5"] == {"value": 0.0, "low": 0.0, "high": pytest.approx(1 - 0.69150, abs=1e-5)}


def test_halves_add_up_and_do_not_depend_on_order():
    draw = np.random.default_rng(0)
    guesses = np.stack([draw.permutation(9)[:5] for _ in range(40)])
    names = [f"seq_{i}" for i in range(40)]
    truth = SequenceTruth(names, draw.integers(-1, 9, 40), [f"p{i // 4}" for i in range(40)])
    found = score_guesses(guesses, truth, public=0.5, seed=3)
    sides = found["sides"].values()
    assert sum(side["samples"] for side in sides) == found["samples"]
    total = sum(side["score"] * side["samples"] for side in sides)
    assert total == pytest.approx(found["score"]["value"] * found["samples"], rel=1e-12)
    order = draw.permutation(40)
    other = SequenceTruth([names[i] for i in order], truth.indices[order], [truth.people[i] for i in order])
    again = score_guesses(guesses[order], other, public=0.5, seed=3)
    for name, side in found["sides"].items():
        assert again["sides"][name] == pytest.approx(side)


def test_average_precision_and_rank_with_ties():
    draw = np.random.default_rng(0)
    for _ in range(200):
        count = int(draw.integers(1, 12))
        scores, right = draw.integers(0, 5, count) / 5, draw.random(count) < 0.4
        right[draw.integers(count)] = True
        assert average_precision(scores, right) == pytest.approx(average_precision_score(right, scores), abs=1e-12)
        ordered = sorted(zip(-scores, right, strict=True))  # of equal scores the wrong ones come first
        assert first_rank(scores, right) == 1 + [hit for _, hit in ordered].index(True)


def search_loop(rows, owners, videos, rank):
    """One query after the other."""
    precisions, hits = [], []
    for q in range(len(rows)):
        rest = [g for g in range(len(rows)) if videos[g] != videos[q]]
        right = [owners[g] == owners[q] for g in rest]
        if not any(right):
            continue
        scores = [rows[q] @ rows[g] / math.hypot(*rows[q]) / math.hypot(*rows[g]) for g in rest]
        precisions.append(average_precision_score(right, scores))
        hits.append(any(hit for _, hit in sorted(zip(scores, right, strict=True), reverse=True)[:rank]))
    return np.mean(precisions), np.mean(hits), len(hits)


@pytest.mark.parametrize("unit", ["sequence", "video", "frame"])
def test_the_search(signatures, unit, monkeypatch):
    depth = {"video": 2, "sequence": 3, "frame": 4}[unit]
    names = ["/".join(path.split("/")[:depth]) for path in signatures.paths]
    groups = sorted(set(names))
    rows = [signatures.signatures[[n == g for n in names]].astype(float).mean(axis=0) for g in groups]
    owners, videos = ([tuple(g.split("/")[:k]) for g in groups] for k in (1, 2))
    ready = searchable(signatures, unit, "x")
    found = search(ready, ready)
    for rank in (1, 5):
        precision, hits, count = search_loop(rows, owners, videos, rank)
        assert found["map"]["value"] == pytest.approx(precision, abs=1e-12)
        assert found["cmc"][str(rank)]["value"] == pytest.approx(hits, abs=1e-12)
        assert found["queries"] == count
    assert found["left_out"] == len(groups) - count > 0  # who is in one video
    monkeypatch.setattr("lwface.sequences.retrieval.AT_ONCE", 3)
    other = searchable(shuffled(signatures), unit, "x")
    assert search(other, other)["map"]["value"] == pytest.approx(found["map"]["value"], abs=1e-12)
    assert f"{100 * found['map']['value']:.2f} %" in search_text(found)


def test_a_gallery_of_its_own(signatures):
    half = Signatures(signatures.paths[:60], signatures.signatures[:60])
    found = search(searchable(half, "video", "x"), searchable(signatures, "video", "x"))
    assert found["gallery"] == 22
    with pytest.raises(UserError, match="does not say whose it is"):
        searchable(Signatures(["seq_0/frame_0.jpg"], half.signatures[:1]), "video", "x")
    one = searchable(Signatures(frames([1, 1]), np.ones((6, 2), "f4")), "frame", "x")
    with pytest.raises(UserError, match="nobody is in two videos"):
        search(one, one)
