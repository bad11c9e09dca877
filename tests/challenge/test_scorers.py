"""Scores equal those of the commands to the last digit, and a malformed file gets none."""

import io
import json
import shutil
import zipfile

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.challenge.halves import sides
from lwface.challenge.results import Malformed
from lwface.challenge.scorers import score
from lwface.challenge.templates import sample_of
from lwface.commands import evaluate_landmarks, evaluate_sequences, montage, score_keypoints, tar_far
from lwface.formats.feature_file import FeatureWriter, read_features
from lwface.formats.keypoint_lookup import read_lookup, write_lookup
from lwface.formats.montage_video import read_face_video, read_video_list
from lwface.formats.point_annotations import write_annotations
from lwface.formats.point_solution import read_solution, write_solution


def test_landmarks_score_as_the_command_does(made, tmp_path):
    challenge = made("landmarks")
    (track,) = challenge.tracks
    submission, reference = sample_of(challenge, track), challenge.reference(track)
    found = score(track, submission, reference)
    shutil.copytree(challenge.folder / "kit/landmarks/test", tmp_path, dirs_exist_ok=True)
    write_annotations(tmp_path / "annot.pkl", read_solution(reference / "truth.txt"))
    assert score(track, submission, tmp_path).public == found.public  # the challenge's own file will do
    argv = ["--solution", submission, "--truth", tmp_path / "annot.pkl", "--public", 0.6]
    command = _told(evaluate_landmarks, argv, tmp_path)
    assert found.public["nme"] == command["sides"]["public"]["nme"]
    assert found.private["nme"] == command["sides"]["private"]["nme"]
    norms = ("challenge", "box", "inter-ocular")
    assert [found.all[n] for n in ("nme", "nme_box", "nme_eyes")] == [command["nme"][n]["value"] for n in norms]
    assert (found.all["auc"], found.all["failures"]) == (command["auc"], command["failures"])


def test_keypoints_score_as_the_command_does(made, tmp_path):
    challenge = made("keypoints")
    (track,) = challenge.tracks
    submission, reference = sample_of(challenge, track), challenge.reference(track)
    found = score(track, submission, reference)
    truth = read_lookup(reference / "truth.csv")
    for side, chosen in sides(track, [str(image) for image in truth.images]).items():
        write_lookup(tmp_path / "own.csv", truth._replace(locations=np.where(chosen, truth.locations, np.nan)))
        argv = ["--submission", submission, "--truth", tmp_path / "own.csv", "--people", reference / "people.csv"]
        told = _told(score_keypoints, argv, tmp_path)
        assert getattr(found, side) == {name: told[name] for name in ("rmse", "smooth_l1")}
        assert found.intervals[side] == {name: tuple(told[f"{name}_interval"]) for name in ("rmse", "smooth_l1")}


def test_sequences_score_as_the_command_does(made, tmp_path):
    challenge = made("sequences")
    (track,) = challenge.tracks
    submission, reference = sample_of(challenge, track), challenge.reference(track)
    found = score(track, submission, reference)
    argv = ["--submission", submission, "--truth", reference / "truth.csv", "--public", 0.6]
    told = _told(evaluate_sequences, argv, tmp_path)
    assert found.all == {name: told[name]["value"] for name in ("score", "top1", "top5")}
    assert found.public["score"] == told["sides"]["public"]["score"]
    assert found.private["score"] == told["sides"]["private"]["score"]


def test_features_score_as_the_command_does(made, tmp_path):
    """That one screens with PyTorch, this one has NumPy alone; intervals and error rates are equal, too."""
    challenge = made("recognition")
    track = challenge.track("images-light")
    submission, reference = sample_of(challenge, track), challenge.reference(track)
    found = score(track, submission, reference)
    labels = np.loadtxt(reference / "labels.txt", dtype=np.int64)
    features = np.array(read_features(submission))
    for side, chosen in sides(track, [str(label) for label in labels]).items():
        np.savetxt(tmp_path / "l.txt", labels[chosen], "%d")
        with FeatureWriter(tmp_path / "f.bin", int(chosen.sum()), features.shape[1]) as writer:
            writer.write(features[chosen])
        argv = ["--features", tmp_path / "f.bin", "--labels", tmp_path / "l.txt", "--far", "1e-2"]
        told = _told(tar_far, argv, tmp_path)
        (point,) = told["results"]
        assert getattr(found, side) == {"tar": point["tar"], "eer": told["equal_error_rate"]["rate"]}
        assert found.intervals[side].get("tar") == (point["tar_interval"] and tuple(point["tar_interval"]))
    assert "tar" in found.intervals["public"]


@pytest.mark.parametrize("moved", [False, True])
def test_a_montage_scores_as_the_command_does(made, tmp_path, moved):
    """That one draws with OpenCV what is held against the frames shown; one query is private, two are public."""
    challenge = made("montage")
    (track,) = challenge.tracks
    reference, submission = challenge.reference(track), sample_of(challenge, track)
    videos = tmp_path / "videos"
    shutil.copytree(reference / "videos", videos)
    montage.main(["index", "--videos", str(videos / "videos.csv"), "--landmarks-only"])
    with zipfile.ZipFile(submission) as archive:
        archive.extractall(tmp_path)
    names = [video.name for video in read_video_list(reference / "queries/videos.csv")]
    if moved:
        _move(tmp_path, [tmp_path / f"{name}.npz" for name in names], reference)
        submission = tmp_path / "moved.zip"
        with zipfile.ZipFile(submission, "w") as archive:
            for name in names:
                archive.write(tmp_path / f"{name}.npz", f"{name}.npz")
    found = score(track, submission, reference)
    every = []
    for name in names:
        query = reference / "queries" / f"{name}.npz"
        argv = ["score", "--videos", videos / "videos.csv", query, "--montage", tmp_path / f"{name}.npz"]
        every.append(_told(montage, argv, tmp_path)["costs"])
    (private,) = np.flatnonzero(sides(track, names)["private"])
    kinds = ("honest", "signed", "public")
    assert found.private == {f"cost_{kind}": every[private][kind]["mean"] for kind in kinds}
    means = {f"cost_{kind}": np.mean([told[kind]["mean"] for told in every]) for kind in kinds}
    assert found.all == pytest.approx(means, rel=1e-14)
    assert found.all["cost_honest"] < 9  # what is shown was believed
    false = tmp_path / "false.zip"
    with zipfile.ZipFile(submission) as archive, zipfile.ZipFile(false, "w") as other:
        for name in names:
            with np.load(io.BytesIO(archive.read(f"{name}.npz"))) as arrays:
                written = io.BytesIO()
                np.savez(written, **{**arrays, "colorImages": 255 - arrays["colorImages"]})
            other.writestr(f"{name}.npz", written.getvalue())
    assert score(track, false, reference).all["cost_honest"] == pytest.approx(9.1)


def _move(folder, paths, reference):
    """Shift and shrink the frames of answers, as their ``matrix`` says."""
    database = [read_face_video(reference / "videos" / f"{video.name}.npz") for video in
                read_video_list(reference / "videos/videos.csv")]  # fmt: skip
    images = [video.frame(number) for video in database for number in range(video.count)]
    matrix = np.array([[0.9, 0.1, 3.5], [-0.1, 0.9, 8.25]])
    for path in paths:
        with np.load(path) as arrays:
            told = dict(arrays)
        size = told["colorImages"].shape[1::-1]
        shown = [
            cv2.warpAffine(images[row], matrix, size, borderMode=cv2.BORDER_REPLICATE) for row in told["frameIndex"]
        ]
        told["colorImages"] = np.stack(shown, axis=-1)
        told["matrix"] = np.stack([matrix] * len(shown))
        np.savez(path, **told)


def _told(command, argv, folder):
    """What a command's ``--json`` says."""
    command.main([str(word) for word in (*argv, "--json", folder / "told.json")])
    return json.loads((folder / "told.json").read_text())


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
    before = score(track, sample_of(challenge, track), challenge.reference(track))
    rows = sample_of(challenge, track).read_text().splitlines()
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
    rows = [line.split(" ") for line in sample_of(challenge, track).read_text().splitlines()]
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


def test_a_fault_of_the_truth_is_not_the_submissions(made, tmp_path):
    challenge = made("landmarks")
    (track,) = challenge.tracks
    truth = read_solution(challenge.reference(track) / "truth.txt")
    name = next(iter(truth))
    write_solution(tmp_path / "truth.txt", {**truth, name: np.ones((68, 2))})
    with pytest.raises(UserError, match=f"true points of {name} have no length") as caught:
        score(track, sample_of(challenge, track), tmp_path)
    assert not isinstance(caught.value, Malformed)
    (tmp_path / "people.csv").write_text(f"image,person\n{name},a\n{name},b\n")
    with pytest.raises(UserError, match=r"line 3, column image: .* is there twice"):
        score(track, sample_of(challenge, track), tmp_path)
    with pytest.raises(UserError, match=r"truth\.txt or annot\.pkl: no such file"):
        score(track, sample_of(challenge, track), tmp_path / "nowhere")
