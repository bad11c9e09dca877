"""Procedural people in sequences: what is drawn is theirs, fits its pose, and comes out the same however it is made."""

import json
import shutil

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.base.journal import JOURNAL, WORK
from lwface.commands import make_people
from lwface.formats.sequence_pickles import read_pose
from lwface.sequences.images import Images
from lwface.synthetic.body import LIMB_SPREAD, USUAL, draw_body, draw_outfit
from lwface.synthetic.outing import draw_scene, draw_sequence
from lwface.synthetic.painting import Viewpoint, paint
from lwface.synthetic.people_options import PeopleOptions
from lwface.synthetic.people_set import make_person, outfit_of
from lwface.synthetic.skeleton import draw_motion, joints

SMALL = ["--people", "3", "--videos", "3", "--sequences", "1", "--frames", "3", "--num-workers", "0"]


def make(folder, *more):
    make_people.main(["--output", str(folder), *SMALL, *more])
    return {name: (folder / name).read_bytes() for name in ("images.tar", "pose.pkl", "outings.csv")}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people") / "set"
    return folder, make(folder)


def test_limbs_keep_their_lengths_whatever_is_done():
    body = draw_body(0, 3)
    for number in range(6):
        motion = draw_motion(np.random.default_rng(number))
        for seconds in (0.0, 0.37, 1.9):
            at = joints(body, motion, seconds)
            for side in (0, 1):
                for (a, b), name in {
                    (11, 13): "thigh",
                    (13, 15): "shin",
                    (5, 7): "upper_arm",
                    (7, 9): "forearm",
                }.items():
                    length = np.linalg.norm(at[a + side] - at[b + side])
                    assert length == pytest.approx(getattr(body.limbs, name), rel=1e-9)
            assert np.linalg.norm(at[5] - at[6]) == pytest.approx(2 * body.limbs.shoulders, rel=1e-9)
            assert at[:, 1].min() > -0.02
            assert at[5, 0] > at[6, 0]  # the left shoulder is on the left


def test_people_differ_as_much_as_is_said():
    logs = np.log([np.array(draw_body(5, person).limbs) / USUAL for person in range(400)])
    assert abs(logs.mean(axis=0)).max() < 0.03
    assert logs[:, 3:9].std(axis=0) == pytest.approx(LIMB_SPREAD, rel=0.15)


def test_a_camera_is_a_rotation_and_a_scale():
    camera = Viewpoint(0.7, 0.2, 50.0, (10.0, 20.0), np.array((0.0, 0.0, 1.0)), 0.5)
    points = np.random.default_rng(0).normal(size=(6, 3))
    seen = camera.project(points) - (10, 20, 0)
    assert np.linalg.norm(seen, axis=1) == pytest.approx(50 * np.linalg.norm(points, axis=1))
    facing = camera._replace(yaw=0.0, pitch=0.0).project(np.array([(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)]))
    assert facing.tolist() == [[60, 20, 0], [10, -30, 0], [10, 20, 50]]  # left is right, up is up, ahead is near


def test_a_person_is_painted_where_the_joints_are():
    body, outfit = draw_body(0, 1), draw_outfit(0, 1, 0)
    camera = Viewpoint(0.4, 0.1, 110.0, (64.0, 122.0), np.array((0.0, 0.0, 1.0)), 0.6)
    there = joints(body, draw_motion(np.random.default_rng(4)), 0.2)
    canvases = [np.full((128, 128, 3), grey, np.float32) for grey in (0.0, 1.0)]
    for canvas in canvases:
        paint(canvas, body, outfit, there, camera)
    covered = np.abs(canvases[0] - canvases[1]).max(axis=2) < 0.02
    rows, columns = np.round(camera.project(there)[5:17, [1, 0]]).astype(int).T
    assert covered[rows, columns].all()
    assert 0.05 < covered.mean() < 0.4


def test_the_same_frames_but_for_the_face():
    body, outfit, scene = draw_body(0, 0), draw_outfit(0, 0, 0), draw_scene(0, 0, 1)
    changed = 0
    for sequence in range(5):
        key = (0, 0, 1, sequence)
        both = [draw_sequence(key, body, outfit, scene, 2, 6.0, masked=masked) for masked in (False, True)]
        for shown, masked in zip(*both, strict=True):
            assert np.array_equal(shown.points, masked.points)
            assert np.array_equal(shown.scores, masked.scores)
            rows = np.flatnonzero((shown.image != masked.image).any(axis=(1, 2)))
            changed += len(rows) > 0
            if len(rows) and (shown.scores[11:13] > 0).all():
                assert rows.max() < 64 * shown.points[11:13, 1].mean()
    assert changed >= 4


def test_what_is_written(made):
    folder, _ = made
    paths, points, scores = read_pose(folder / "pose.pkl")
    with Images(folder / "images.tar") as images:
        assert images.paths == paths
        assert len(paths) == 3 * 3 * 3
        assert images[0].shape == (64, 64, 3)
    assert points.shape == (27, 17, 2)
    assert ((scores > 0).mean(axis=1) > 0.3).all()
    found = points[scores > 0]
    assert (found > -0.1).all()
    assert (found < 1.1).all()
    lines = (folder / "outings.csv").read_text().splitlines()
    assert lines[:4] == [
        "video,outfit,clothes",
        "person_0000/video_0000,0,learnt",
        "person_0000/video_0001,1,learnt",
        lines[3],
    ]
    assert lines[3].endswith(",same")


def test_clothes_are_the_same_where_it_is_said():
    options = PeopleOptions(people=4, videos=8)
    for person in range(4):
        told = [outfit_of(options, person, video) for video in range(8)]
        assert [kind for _, kind in told] == ["learnt"] * 4 + ["same", "changed"] * 2
        for number, kind in told[4:]:
            assert (number < 4) is (kind == "same")


def test_workers_and_interruptions_change_nothing(made, tmp_path, monkeypatch):
    _, expected = made
    monkeypatch.setattr("lwface.synthetic.people_set._assemble", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "set")
    monkeypatch.undo()
    journal = tmp_path / "set" / JOURNAL
    journal.write_text("\n".join(journal.read_text().splitlines()[:2]) + "\n")  # as if killed after the first
    (tmp_path / "set" / WORK / "0001.npz").unlink()
    assert make(tmp_path / "set") == expected
    assert make(tmp_path / "set") == expected  # complete
    assert json.loads((tmp_path / "set" / "manifest.json").read_text())["frames"] == 27
    with pytest.raises(UserError, match="other options"):
        make(tmp_path / "set", "--seed", "1")
    shutil.rmtree(tmp_path / "set")
    assert make(tmp_path / "set", "--seed", "1")["images.tar"] != expected["images.tar"]


def test_a_person_is_a_function_of_the_seed(tmp_path):
    options = PeopleOptions(people=2, videos=2, sequences=1, frames=2)
    for name in ("a", "b"):
        (tmp_path / name / WORK).mkdir(parents=True)
        make_person(1, options, tmp_path / name)
    a, b = (np.load(tmp_path / name / WORK / "0001.npz") for name in ("a", "b"))
    assert all(np.array_equal(a[key], b[key]) for key in ("jpegs", "lengths", "points", "scores"))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--people", "1"], "--people 1: expected 2 to 9999"),
        (["--frames", "0"], "--frames 0"),
        (["--fps", "0"], "--fps 0: expected more than 0"),
        (["--fps", "nan"], "--fps nan"),
        (["--seed", "-1"], "--seed -1"),
    ],
)
def test_what_cannot_be_made(flags, says, tmp_path):
    with pytest.raises(UserError, match=says):
        make_people.parse_arguments(["--output", str(tmp_path), *flags])
