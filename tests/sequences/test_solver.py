"""The trained solution: evidence, re-ranking and the ranking, against loops from their definitions and invariances."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.formats.sequence_pickles import Signatures
from lwface.sequences import evidence
from lwface.sequences.clip_augment import augment_clips, change_clothes
from lwface.sequences.clip_options import PARTS, STEPS
from lwface.sequences.clips import MISSING, Clip, ClipData, ClipSource, clips_of, halves_of, no_pose, unpack
from lwface.sequences.evidence import SequenceEvidence
from lwface.sequences.network import SequenceNetwork
from lwface.sequences.pose_regions import mirrored_points
from lwface.sequences.reranking import MOST, reranked
from lwface.sequences.solver import rank
from lwface.sequences.within import SHRINKAGE, steadying

EVERYTHING = frozenset(STEPS)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = SequenceNetwork("parts_s", 8)
    for layer in made.quality:  # as if it had learnt something
        torch.nn.init.normal_(layer.weight, std=2.0)
    return made.eval()


@pytest.fixture(scope="module")
def batch(poses):
    images = torch.randint(0, 256, (2, 3, 3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return images, torch.cat([poses(3, 0.5), poses(3, 0.4, body=5)]).float()


@torch.inference_mode()
def test_a_sequence_is_judged_by_itself(network, batch):
    images, points = batch
    both, alone = network(images, points), network(images[1:], points[1:])
    assert both.embeddings.shape == (2, len(PARTS), 8)
    assert torch.allclose(both.embeddings[1:], alone.embeddings, atol=1e-5)
    assert torch.allclose(both.weights[1:], alone.weights, atol=1e-5)
    twice = network(images.repeat(1, 2, 1, 1, 1)[:, :6], points.repeat(1, 2, 1, 1))
    looks = len(PARTS) - 1  # of the pose, the movement between the last frame and the first is another one
    assert torch.allclose(twice.embeddings[:, :looks], both.embeddings[:, :looks], atol=1e-5)
    assert torch.allclose(twice.weights, 2 * both.weights, rtol=1e-4)


@torch.inference_mode()
def test_frames_are_weighted_by_quality(network, batch):
    images, points = batch
    single = [network(images[:, t : t + 1], points[:, t : t + 1]) for t in range(3)]
    weights = torch.stack([one.weights[:, 0] for one in single])
    expected = sum(one.embeddings[:, 0] * one.weights[:, 0, None] for one in single) / weights.sum(0)[:, None]
    assert torch.allclose(network(images, points).embeddings[:, 0], expected, atol=1e-4)
    assert weights.std(0).min() > 1e-4
    network.weigh = False
    try:
        plain = network(images, points)
    finally:
        network.weigh = True
    assert torch.allclose(plain.embeddings[:, 0], sum(one.embeddings[:, 0] for one in single) / 3, atol=1e-4)
    assert (plain.weights[:, 0] == 3).all()


@torch.inference_mode()
def test_what_is_missing_is_not_looked_at(network, batch):
    images, points = (one.clone() for one in batch)
    points[:, 1:, :, 2] = MISSING  # nothing is known of two frames
    found, first = network(images, points), network(images[:, :1], points[:, :1])
    assert torch.allclose(found.embeddings[:, :3], first.embeddings[:, :3], atol=1e-5)
    points[..., 2] = MISSING
    nothing = network(images, points)
    assert (nothing.weights[:, [0, 1, 2, 4]] == 0).all()
    assert (nothing.weights[:, 3] > 0).all()
    assert torch.isfinite(nothing.embeddings).all()


def test_long_sequences_in_pieces_and_mirrors(network, monkeypatch):
    """Evidence is the weighted mean over pieces and their mirrors, whatever is put through the network at once."""

    class Noise:
        path = Path("x")

        def __getitem__(self, path):
            return np.random.default_rng(int(path[-9:-4])).integers(0, 256, (64, 64, 3)).astype(np.uint8)

    paths = [f"seq_{s:04}/frame_{f:05}.jpg" for s, count in enumerate((5, 2, 2)) for f in range(count)]
    clips = clips_of(paths, "x")
    pose = np.concatenate([np.random.default_rng(0).uniform(0.2, 0.8, (17, 2)), np.ones((17, 1))], axis=1)
    points = {path: pose.astype(np.float32) for path in paths}
    monkeypatch.setattr(evidence, "WINDOW", 3)
    monkeypatch.setattr(evidence, "AT_ONCE", 4)
    found = evidence.gather(network, Noise(), points, clips, torch.device("cpu"))
    frames = torch.from_numpy(np.stack([Noise()[path] for path in paths[:5]])).permute(0, 3, 1, 2)[None]
    poses = torch.from_numpy(np.stack([points[path] for path in paths[:5]]))[None]
    sums = weights = 0
    with torch.inference_mode():
        for start, stop in ((0, 3), (3, 5)):
            part, seen = frames[:, start:stop], poses[:, start:stop]
            for one in (network(part, seen), network(part.flip(-1), mirrored_points(seen))):
                sums, weights = sums + one.weights[..., None] * one.embeddings, weights + one.weights
    assert found.embeddings[0] == pytest.approx((sums / weights[..., None])[0].double().numpy(), abs=1e-4)
    assert found.weights[0] == pytest.approx(weights[0].double().numpy(), rel=1e-4)
    assert not network.training


def test_what_is_learnt_is_changed_only_as_is_said(poses):
    images = torch.randint(0, 256, (4, 2, 3, 64, 64), dtype=torch.uint8)
    points = poses(2).expand(4, -1, -1, -1).float()
    again = [augment_clips(images, points, 0.5, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*again, strict=True))
    changed, moved = again[0]
    assert changed.shape == images.shape
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 255
    lost = (moved[..., 2] <= 0).double().mean()
    assert 0 < float(lost) < 0.25
    nearest = torch.minimum((moved[..., 0] - points[..., 0]).abs(), (moved[..., 0] - 1 + points[..., MIRROR, 0]).abs())
    assert float(nearest.max()) < 0.05


def test_clothes_change_and_heads_do_not(poses):
    images = 255 * torch.rand(6, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    points = poses(2, 0.8).expand(6, -1, -1, -1).float()
    changed = change_clothes(images, points, torch.Generator().manual_seed(2))
    difference = (changed - images).abs().amax((1, 2))  # (N, H, W)
    head, trunk = ((64 * points[0, 0, joint, :2].mean(0)).long() for joint in ([0], [5, 6, 11, 12]))
    assert difference[:, head[1] - 2 : head[1] + 2, head[0] - 2 : head[0] + 2].max() == 0
    assert (difference[:, trunk[1], trunk[0]] > 10).sum() >= 3
    assert difference[:, :, 0].max() < 1
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 255
    assert torch.equal(changed, change_clothes(images, points, torch.Generator().manual_seed(2)))
    unknown = points.clone()
    unknown[..., 2] = MISSING
    assert torch.equal(change_clothes(images, unknown, torch.Generator().manual_seed(2)), images)


MIRROR = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


class Frames:
    """Frames that are their own number."""

    def __getitem__(self, path):
        return np.full((64, 64, 3), int(path[-9:-4]), np.uint8)


def test_what_is_learnt_from_is_the_first_half():
    paths = [
        f"person_{p:04}/video_{4 * p + v:04}/seq_{s:04}/frame_{f:05}.jpg"
        for p in range(3)
        for v in range(4)
        for s in range(2)
        for f in (7, 1, 3)
    ]
    learnt, judged = halves_of(clips_of(paths, "x"), 0.5)
    assert {clip.video[-4:] for clip in learnt} == {"0000", "0001", "0004", "0005", "0008", "0009"}
    assert {clip.video for clip in learnt}.isdisjoint({clip.video for clip in judged})
    assert len(learnt) + len(judged) == 24
    pose = no_pose()
    pose[:, 2] = 0.5
    known = {path: pose for path in paths if path.endswith("1.jpg")}
    data = ClipData([ClipSource(Frames(), known, learnt)], frames=2, seed=0)
    batch = data.batch(np.arange(len(data)), 5)
    labels, points = unpack(batch.targets)
    assert [data.people[label][1] for label, _ in labels] == [clip.person for clip in learnt]
    assert [data.videos[label][1] for _, label in labels] == [clip.video for clip in learnt]
    shown = batch.images[:, :, 0, 0, 0]
    assert {tuple(row) for row in shown.tolist()} == {(1, 3), (3, 7)}  # in the order of their numbers, in a row
    assert ((points[..., 2] > 0).all(-1) == (shown == 1)).all()
    assert torch.equal(data.batch(np.array([3, 4]), 5, 3).images, batch.images[3:5])  # whatever part is asked for
    short = ClipData([ClipSource(Frames(), {}, learnt)], frames=5, seed=0).batch(np.arange(2), 0)
    assert short.images[0, :, 0, 0, 0].tolist() == [1, 3, 7, 7, 7]
    both = ClipData([ClipSource(Frames(), known, learnt), ClipSource(Frames(), {}, learnt[:4])], frames=2, seed=0)
    labels, points = unpack(both.batch(np.array([0, len(learnt)]), 0).targets)
    assert labels[0, 0] != labels[1, 0]  # of one name and of two sources: two people
    assert len(both.people) == 4


def reranked_naively(distances, k1, k2, share):
    """The paper's equations with sets."""
    n = len(distances)
    scaled = distances / distances.max(axis=1, keepdims=True)

    def nearest(i, k):
        return set(np.argsort(scaled[i], kind="stable")[: k + 1].tolist()) | {i}

    def mutual(i, k):
        return {j for j in nearest(i, k) if i in nearest(j, k)}

    vectors = np.zeros((n, n))
    for i in range(n):
        wide = mutual(i, k1)
        grown = set(wide)
        for j in wide:
            narrow = mutual(j, max(1, round(k1 / 2)))
            if len(narrow & wide) >= 2 / 3 * len(narrow):
                grown |= narrow
        for j in grown:
            vectors[i, j] = np.exp(-scaled[i, j])
        vectors[i] /= vectors[i].sum()
    mean = np.array(
        [np.mean([vectors[j] for j in np.argsort(scaled[i], kind="stable")[:k2]], axis=0) for i in range(n)]
    )
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            jaccard = 1 - np.minimum(mean[i], mean[j]).sum() / np.maximum(mean[i], mean[j]).sum()
            found[i, j] = (1 - share) * jaccard + share * scaled[i, j]
    return found


def test_reranking_is_the_papers():
    draw = np.random.default_rng(0)
    points = np.concatenate([draw.normal(centre, 0.5, (6, 4)) for centre in (0, 1, 2)])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    found = reranked(distances, neighbours=5, expanded=3, original=0.3)
    assert found == pytest.approx(reranked_naively(distances, 5, 3, 0.3), abs=1e-12)
    order = draw.permutation(len(points))
    again = reranked(distances[np.ix_(order, order)], neighbours=5, expanded=3, original=0.3)
    assert again == pytest.approx(found[np.ix_(order, order)], abs=1e-12)
    assert reranked(distances[:3, :3], neighbours=20, expanded=6, original=0.3).shape == (3, 3)
    with pytest.raises(UserError, match="--without rerank"):
        reranked(np.broadcast_to(0.0, (MOST + 1, MOST + 1)), neighbours=5, expanded=3, original=0.3)


def planted(people=6, videos=(2, 2), sequences=2, noise=0.6, seed=0):
    """Learnt and asked evidence whose parts all point at the person, and signatures of theirs."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(people, len(PARTS), 6))
    sides, tables = [], []
    for side, number in enumerate(videos):
        clips, rows, names, signs = [], [], [], []
        for person in range(people):
            for video in range(number):
                for sequence in range(sequences):
                    owner = f"person_{person:04}"
                    name = f"{owner}/video_{10 * person + 5 * side + video:04}/seq_{sequence:04}"
                    clips.append(Clip(name, name.rpartition("/")[0], owner, (f"{name}/frame_0.jpg",)))
                    rows.append(centres[person] + noise * draw.normal(size=centres[person].shape))
                    names.append(f"{name}/frame_0.jpg")
                    signs.append(centres[person, 0] + noise * draw.normal(size=6))
        sides.append(SequenceEvidence(clips, np.stack(rows), draw.uniform(0.5, 2, (len(clips), len(PARTS)))))
        tables.append(Signatures(names, np.array(signs, "f4")))
    return *sides, tables


def test_the_planted_person_is_found():
    learnt, asked, signatures = planted(noise=0.3)
    found = rank(learnt, asked, signatures=signatures)
    assert found.solution.guesses[:, 0].tolist() == found.solution.truth.indices.tolist()
    assert found.solution.samples == sorted({clip.video for clip in asked.clips})
    assert found.likeness.shape == (12, 12)
    assert found.learnt == [f"person_{place // 2:04}" for place in range(12)]


def test_the_order_of_sequences_changes_nothing():
    learnt, asked, signatures = planted(noise=2.0)
    expected = rank(learnt, asked, signatures=signatures)
    draw = np.random.default_rng(1)

    def shuffle(one):
        order = draw.permutation(len(one.clips))
        return SequenceEvidence([one.clips[i] for i in order], one.embeddings[order], one.weights[order])

    found = rank(shuffle(learnt), shuffle(asked), signatures=signatures[::-1])
    assert np.array_equal(found.solution.guesses, expected.solution.guesses)
    assert found.likeness == pytest.approx(expected.likeness)


def test_one_part_alone_is_a_mean_of_cosines():
    learnt, asked, _ = planted(noise=1.5)
    found = rank(learnt, asked, without=EVERYTHING - {"head", "share"})
    place = PARTS.index("head")

    def videos(one):
        sums = {}
        for clip, row, weight in zip(one.clips, one.embeddings[:, place], one.weights[:, place], strict=True):
            sums[clip.video] = sums.get(clip.video, 0) + weight * row
        return {name: row / np.linalg.norm(row) for name, row in sums.items()}

    known = videos(learnt)
    for sample, guesses in zip(found.solution.samples, found.solution.guesses, strict=True):
        scores = [
            np.mean([row @ videos(asked)[sample] for name, row in known.items() if name.startswith(person)])
            for person in found.solution.people
        ]
        assert guesses.tolist() == np.argsort(-np.array(scores), kind="stable")[:5].tolist()


def test_within_a_person_all_directions_differ_alike():
    draw = np.random.default_rng(0)
    rows, people = draw.normal(size=(40, 5)) * [9, 3, 1, 1, 0.1], [f"p{place % 13}" for place in range(40)]
    rows[[3, 20]] = 0  # not there

    def within(given):
        """The definition, by a loop over people: 38 rows less 13 means."""
        sums = np.zeros((5, 5))
        for person in sorted(set(people)):
            own = [row for row, name in zip(given, people, strict=True) if name == person and row.any()]
            for row in own:
                sums += np.outer(row - np.mean(own, axis=0), row - np.mean(own, axis=0)) / (38 - 13)
        return sums

    matrix = steadying(rows, people)
    covariance = within(rows)
    shrunk = covariance + SHRINKAGE * np.trace(covariance) / 5 * np.eye(5)
    assert matrix @ shrunk @ matrix == pytest.approx(np.eye(5), abs=1e-9)
    assert matrix == pytest.approx(matrix.T)
    order = draw.permutation(40)
    assert steadying(rows[order], [people[place] for place in order]) == pytest.approx(matrix)
    assert np.array_equal(steadying(rows, [str(place) for place in range(40)]), np.eye(5))  # a video of each alone
    assert np.array_equal(steadying(np.zeros((4, 5)), people[:4]), np.eye(5))


def test_what_differs_between_one_persons_videos_misleads_less():
    """Two numbers tell people, four others are large and of the video."""
    learnt, asked, _ = planted(people=30, videos=(4, 4), noise=0.0)
    draw = np.random.default_rng(2)

    def shaken(one):
        videos = sorted({clip.video for clip in one.clips})
        shift = {name: np.concatenate([np.zeros(2), draw.normal(0, 3, 4)]) for name in videos}
        rows = one.embeddings * [1, 1, 0, 0, 0, 0]
        return SequenceEvidence(one.clips, rows + np.stack([shift[c.video] for c in one.clips])[:, None], one.weights)

    sides = shaken(learnt), shaken(asked)
    hits = []
    for without in (EVERYTHING - {"head", "share", "within"}, EVERYTHING - {"head", "share"}):
        found = rank(*sides, without=without).solution
        hits.append((found.guesses == found.truth.indices[:, None]).any(axis=1).mean())
    assert hits[0] > 1.5 * hits[1]


def test_a_part_that_is_not_seen_says_nothing():
    learnt, asked, _ = planted(noise=1.0)
    expected = rank(learnt, asked, without=EVERYTHING - {"head", "share"})
    blind = SequenceEvidence(asked.clips, asked.embeddings, np.where(np.arange(len(PARTS)) == 0, asked.weights, 0))
    found = rank(learnt, blind, without=EVERYTHING - {*PARTS, "share"})
    assert np.array_equal(found.solution.guesses, expected.solution.guesses)
    nothing = SequenceEvidence(asked.clips, asked.embeddings, 0 * asked.weights)
    assert np.isfinite(rank(learnt, nothing).likeness).all()


def test_alone_the_sequence_that_shows_most_answers():
    learnt, asked, _ = planted(noise=0.1)
    weights = np.where([[clip.name.endswith("seq_0001")] for clip in asked.clips], 9.0, 1.0) * np.ones(len(PARTS))
    rows = asked.embeddings.copy()
    rows[::2] = asked.embeddings[(np.arange(0, len(rows), 2) + 8) % len(rows)]  # the others show somebody else
    mixed = SequenceEvidence(asked.clips, rows, weights)
    found = rank(learnt, mixed, without=frozenset({"share"})).solution
    assert found.guesses[:, 0].tolist() == found.truth.indices.tolist()


def test_strangers_and_samples_without_names():
    learnt, asked, _ = planted(noise=0.1)
    some = [place for place, clip in enumerate(learnt.clips) if clip.person != "person_0002"]
    fewer = SequenceEvidence([learnt.clips[i] for i in some], learnt.embeddings[some], learnt.weights[some])
    truth = rank(fewer, asked).solution.truth
    assert [truth.people[i] for i in np.flatnonzero(truth.indices < 0)] == ["person_0002"] * 2
    bare = [Clip(f"seq_{i:04}", f"seq_{i:04}", "", (f"seq_{i:04}/frame_0.jpg",)) for i in range(len(asked.clips))]
    found = rank(learnt, SequenceEvidence(bare, asked.embeddings, asked.weights)).solution
    assert found.truth is None
    assert len(found.samples) == len(bare)
    with pytest.raises(UserError, match="does not say whose it is"):
        rank(SequenceEvidence(bare, asked.embeddings, asked.weights), asked)
    with pytest.raises(UserError, match="nothing is left to go by"):
        rank(learnt, asked, without=frozenset(PARTS))
    with pytest.raises(UserError, match="of none of the sequences"):
        rank(learnt, asked, signatures=[Signatures(["seq_9/frame_0.jpg"], np.ones((1, 3), "f4"))])
