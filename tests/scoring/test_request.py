"""A request: protocols from outside, each file opened once, and an identity that tells any two apart."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.pair_lists import PairRows
from lwface.formats.person_labels import Codes, People
from lwface.scoring import request as module
from lwface.scoring.exact.comparisons import PairList
from lwface.scoring.exact.grid import Grid
from lwface.scoring.request import LabelledRows, RequestFiles, ScoringRequest, read_request, titles
from lwface.scoring.tar_far import score_request
from tests.scoring_oracle import figures, make_rows, oracle, same_person, scores_of

FARS = [Fraction(1, 10), Fraction(1, 100)]
FEATURES, LABELS = make_rows(31, 40, 8, "random")
CAMERAS = Codes(np.arange(40) % 3, ["a", "b", "c"])
PLAIN = ScoringRequest(LabelledRows(FEATURES, People(LABELS, None, {"camera": CAMERAS})), FARS, replicates=0)


@pytest.fixture
def files(tmp_path):
    for name, rows in (("f", FEATURES), ("g", FEATURES[:30])):
        header = np.array([*rows.shape, 32, 5], dtype="<i4")
        (tmp_path / name).write_bytes(header.tobytes() + rows.tobytes())
    (tmp_path / "l").write_text("\n".join(map(str, LABELS)))
    (tmp_path / "m").write_text("\n".join(map(str, LABELS[:30])))
    return tmp_path


def neighbours(request):
    """A protocol of somebody else's: each row with the next one and the seventh after it."""
    rows = np.arange(len(request.rows.features))
    ends = np.concatenate([(rows + 1) % len(rows), (rows + 7) % len(rows)])
    return PairList(request.feature_set(), np.tile(rows, 2), ends, None)


def test_a_further_protocol_is_one_function():
    found = score_request(replace(PLAIN, protocol=neighbours, words="neighbours")).result
    first = np.tile(np.arange(40), 2)
    second = np.concatenate([(first[:40] + 1) % 40, (first[:40] + 7) % 40])
    same = same_person(LABELS, LABELS)[first, second]
    assert figures(found.points) == oracle(scores_of(FEATURES, FEATURES)[first, second], same, FARS)
    assert (found.rows, found.dim, found.protocol) == (40, 8, "neighbours")


def test_what_is_given_decides_the_protocol():
    assert isinstance(PLAIN.comparisons(), Grid)
    pairs = PairRows(np.arange(39), np.arange(1, 40), None)
    assert isinstance(replace(PLAIN, pairs=pairs).comparisons(), PairList)
    gallery = LabelledRows(FEATURES[:7], People(LABELS[:7]))
    assert replace(PLAIN, gallery=gallery).comparisons().everyone().shape == (47,)
    apart = replace(PLAIN, exclude_same="camera").comparisons()
    assert apart.genuine_pairs + apart.impostor_pairs == 40 * 39 // 2 - sum(n * (n - 1) // 2 for n in (14, 13, 13))


def test_every_change_makes_another_identity():
    gallery = LabelledRows(FEATURES[:7], People(LABELS[:7]))
    other = FEATURES.copy()
    other[-1, -1] += 1
    changes = [
        {},
        {"fars": FARS[:1]},
        {"rows": replace(PLAIN.rows, features=other)},
        {"rows": replace(PLAIN.rows, features=FEATURES.reshape(80, 4))},
        {"rows": replace(PLAIN.rows, people=replace(PLAIN.rows.people, labels=LABELS + 1))},
        {"gallery": gallery},
        {"gallery": replace(gallery, features=FEATURES[1:8])},
        {"pairs": PairRows(np.arange(3), np.arange(1, 4), None)},
        {"ignored": np.array([[0, 1]])},
        {"exclude_same": "camera"},
        {"distractor_pairs": False},
        {"columns": [("camera", CAMERAS)]},
        {"replicates": 5},
        {"seed": 1},
        {"block_size": 8},
    ]
    assert len({replace(PLAIN, **change).identity() for change in changes}) == len(changes)
    named = replace(PLAIN, title="another", device="cuda", rows=replace(PLAIN.rows, name="elsewhere"))
    assert named.identity() == PLAIN.identity()


def test_each_feature_file_is_opened_once(files, monkeypatch):
    opened = []
    read = module.read_features
    monkeypatch.setattr(module, "read_features", lambda path: opened.append(path) or read(path))
    one = read_request(RequestFiles(features=str(files / "f"), labels=str(files / "l")), FARS)
    cross = RequestFiles(
        probe=str(files / "f"), probe_labels=str(files / "l"), gallery=str(files / "g"), gallery_labels=str(files / "m")
    )
    both = read_request(cross, FARS)
    for request in (one, both):
        score_request(replace(request, replicates=0))
        request.identity()
    assert opened == [str(files / name) for name in "ffg"]
    assert both.words == "40 probe x 30 gallery rows"
    with pytest.raises(UserError, match="g: 30 rows, but there are labels for 40"):
        one.of_file(str(files / "g"), "g")


def test_titles_tell_files_apart(tmp_path):
    assert titles(["a/x.bin", "b/y.bin"]) == ["x", "y"]
    assert titles(["a/x.bin", "b/x.bin"]) == ["a/x", "b/x"]
    with pytest.raises(UserError, match="compared with itself"):
        titles([str(tmp_path / "x"), str(tmp_path / "." / "x")])
