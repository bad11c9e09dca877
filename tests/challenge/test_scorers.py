"""Scores equal those of the commands to the last digit, and a malformed file gets none."""

import json
import shutil

import numpy as np
import pytest

from lwface.challenge.halves import sides
from lwface.challenge.results import Malformed
from lwface.challenge.scorers import score
from lwface.commands import evaluate_landmarks
from lwface.formats.point_annotations import write_annotations
from lwface.formats.point_solution import read_solution


def _sample(challenge, track):
    return next((challenge.folder / "kit" / track.name).glob("sample_submission.*"))


def test_landmarks_score_as_the_command_does(made, tmp_path):
    challenge = made("landmarks")
    (track,) = challenge.tracks
    submission, reference = _sample(challenge, track), challenge.reference(track)
    found = score(track, submission, reference)
    shutil.copytree(challenge.folder / "kit/landmarks/test", tmp_path, dirs_exist_ok=True)
    write_annotations(tmp_path / "annot.pkl", read_solution(reference / "truth.txt"))
    told = tmp_path / "told.json"
    argv = ["--solution", submission, "--truth", tmp_path / "annot.pkl", "--public", 0.6, "--json", told]
    evaluate_landmarks.main([str(word) for word in argv])
    command = json.loads(told.read_text())
    assert found.public["nme"] == command["sides"]["public"]["nme"]
    assert found.private["nme"] == command["sides"]["private"]["nme"]
    norms = ("challenge", "box", "inter-ocular")
    assert [found.all[n] for n in ("nme", "nme_box", "nme_eyes")] == [command["nme"][n]["value"] for n in norms]
    assert (found.all["auc"], found.all["failures"]) == (command["auc"], command["failures"])


def test_sides_do_not_depend_on_the_order(made):
    (track,) = made("landmarks").tracks
    names = [f"image{number}" for number in range(50)]
    first = sides(track, names)
    assert (first["public"].sum(), first["private"].sum(), first["all"].sum()) == (30, 20, 50)
    assert not (first["public"] & first["private"]).any()
    order = np.random.default_rng(0).permutation(50)
    again = sides(track, [names[place] for place in order])
    np.testing.assert_array_equal(again["public"], first["public"][order])


def test_details_of_the_public_half_do_not_tell_of_the_private(made, tmp_path):
    """Changing private rows alone changes nothing that belongs to the public half."""
    challenge = made("landmarks")
    (track,) = challenge.tracks
    before = score(track, _sample(challenge, track), challenge.reference(track))
    rows = _sample(challenge, track).read_text().splitlines()
    names = [row.split(" ")[0] for row in rows]
    public = sides(track, names)["public"]
    other = tmp_path / "other.txt"
    changed = [
        row if shown else " ".join([row.split(" ")[0], *["1.0"] * 136]) for row, shown in zip(rows, public, strict=True)
    ]
    other.write_text("\n".join(changed))
    after = score(track, other, challenge.reference(track))
    assert (after.public, after.details["public"]) == (before.public, before.details["public"])
    assert after.intervals["public"] == before.intervals["public"]
    assert after.private != before.private


@pytest.mark.parametrize(
    ("row", "field", "value"), [(2, 3, "nan"), (1, 2, "1e308"), (3, 137, "1_0"), (1, 5, "one"), (2, 4, "٣")]
)
def test_a_malformed_file_tells_row_and_field_but_no_folder(made, tmp_path, row, field, value):
    challenge = made("landmarks")
    (track,) = challenge.tracks
    rows = [line.split(" ") for line in _sample(challenge, track).read_text().splitlines()]
    rows[row - 1][field - 1] = value
    path = tmp_path / "mine.txt"
    path.write_text("\n".join(" ".join(fields) for fields in rows))
    with pytest.raises(Malformed) as caught:
        score(track, path, challenge.reference(track))
    assert (caught.value.file, caught.value.row, caught.value.field) == ("mine.txt", row, str(field))
    assert str(tmp_path) not in str(caught.value)


def test_what_is_no_file_is_refused(made, tmp_path):
    challenge = made("landmarks")
    (track,) = challenge.tracks
    link = tmp_path / "link.txt"
    link.symlink_to(challenge.reference(track) / "truth.txt")
    empty = tmp_path / "empty.txt"
    empty.touch()
    other = tmp_path / "other.pkl"
    other.write_text("x")
    for path, says in ((link, "link"), (empty, "empty"), (other, "ends in"), (tmp_path / "none.txt", "No such")):
        with pytest.raises(Malformed, match=says):
            score(track, path, challenge.reference(track))
