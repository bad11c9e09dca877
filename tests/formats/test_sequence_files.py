"""Paths and pickles of the faceless challenge: against Python's own pickle, and what is no such file."""

import pickle

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.sequence_paths import frame_path, frame_paths, samples
from lwface.formats.sequence_pickles import read_pose, read_signatures, write_pose, write_signatures

PATHS = [f"person_{i // 4:04}/video_{i // 2:04}/seq_0000/frame_{i:05}.jpg" for i in range(9)]


def test_the_forms_of_paths():
    seed = frame_path("person_0013/channel_0081/seq_0009/frame_00425.jpg")
    assert seed[:3] == ("person_0013", "person_0013/channel_0081", "person_0013/channel_0081/seq_0009")
    assert seed[3:] == (13, 81, 425)
    assert frame_path("person_0013/video_0081/seq_0009/frame_00425.jpg")[3:] == seed[3:]
    assert frame_path("d/e/person_1/video_2/seq_3/frame_4.png")[:2] == ("d/e/person_1", "d/e/person_1/video_2")
    assert frame_path("video_0002/seq_0001/frame_00003.jpg") == ("", "video_0002", "video_0002/seq_0001", -1, 2, 3)
    assert frame_path("test/seq_0001/frame_00003.jpg") == ("", "", "test/seq_0001", -1, -1, 3)
    wrong = ("a.jpg", "person_1/seq_1/frame_1.jpg", "person_1/video_1/frame_1.jpg", "seq_1/frame_x.jpg", "/seq_1/a.jpg")
    for path in (*wrong, "person_1/video_1/seq_1/frame_1", "seq_1/frame_1.jpg\n", "seq_١/frame_1.jpg"):
        with pytest.raises(UserError, match="not the path of a frame"):
            frame_path(path)


def test_one_file_has_one_form():
    assert samples(frame_paths(PATHS, "x"))[:3] == ["person_0000/video_0000"] * 2 + ["person_0000/video_0001"]
    assert samples(frame_paths(["seq_1/frame_1.jpg"], "x")) == ["seq_1"]
    with pytest.raises(UserError, match=r"x: .*says which person, seq_1 does not"):
        frame_paths([*PATHS, "seq_1/frame_1.jpg"], "x")
    with pytest.raises(UserError, match="x: entry 9: 'b': not the path"):
        frame_paths([*PATHS, "b"], "x")
    with pytest.raises(UserError, match="holds no frame"):
        frame_paths([], "x")


def dump(path, value, protocol=2):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_any_protocol_of_pythons(tmp_path, protocol):
    draw = np.random.default_rng(0)
    table = {"scores": draw.normal(size=(9, 17)).astype("f4"), "paths": PATHS}
    table["keypoints"] = draw.normal(size=(9, 17, 2))
    pose = read_pose(dump(tmp_path / "pose.pkl", table, protocol))
    assert pose.paths == PATHS
    np.testing.assert_array_equal(pose.keypoints, table["keypoints"])
    np.testing.assert_array_equal(pose.scores, table["scores"])
    for kind in ("<f2", "<f4", ">f8"):
        signatures = draw.normal(size=(9, 5)).astype(kind)
        found = read_signatures(dump(tmp_path / "s.pkl", {"paths": PATHS, "signatures": signatures}, protocol))
        np.testing.assert_array_equal(found.signatures, signatures.astype("f4"))
        found.signatures[0] = 1  # it is ours


def test_what_is_written_is_read_as_the_challenges_own_reader_does(tmp_path):
    """Its reader under Python 3: plainly, and where that fails with latin1."""
    signatures = np.random.default_rng(0).normal(size=(9, 1280))
    write_signatures(tmp_path / "s.pkl", PATHS, signatures)
    data = (tmp_path / "s.pkl").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(data)
    found = pickle.loads(data, encoding="latin1")
    assert found["paths"] == PATHS
    np.testing.assert_array_equal(found["signatures"], signatures.astype("f4"))
    assert found["signatures"].dtype == np.float32
    np.testing.assert_array_equal(read_signatures(tmp_path / "s.pkl").signatures, signatures.astype("f4"))


def test_golden_bytes(tmp_path):
    """A row of 1.0 and 2.0; checked once by Python 2.7 with NumPy 1.16."""
    write_signatures(tmp_path / "s.pkl", ["seq_0/frame_0.jpg"], np.array([[1.0, 2.0]]))
    assert (tmp_path / "s.pkl").read_bytes() == (
        b"\x80\x02}(U\x05paths](U\x11seq_0/frame_0.jpgeU\nsignaturescnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nJ\0\0\0\0\x85U\x01b\x87R(J\x01\0\0\0J\x01\0\0\0J\x02\0\0\0\x86cnumpy\ndtype\nU\x02f4"
        b"J\0\0\0\0J\x01\0\0\0\x87R(J\x03\0\0\0U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffJ\0\0\0\0tb\x89"
        b"T\x08\0\0\0\0\0\x80?\0\0\0@tbu."
    )


class Harmless:
    """Its pickle asks to call something."""

    def __reduce__(self):
        return print, ("it ran",)


def good(**changes):
    return {"paths": PATHS, "signatures": np.ones((9, 3), "f4"), **changes}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (good(paths=[Harmless()]), r"asks for '__builtin__\.print', which has no place in it"),
        ([1], "a dictionary was expected in it, not list"),
        ({"a": 1}, "it has no 'paths', but a"),
        ({}, "it has no 'paths', but nothing"),
        ({3: 1}, "a name was expected in it, not int"),
        (good(paths=PATHS[:8]), r"signatures of shape \(9, 3\) for 8 paths"),
        (good(paths=[*PATHS[:8], PATHS[0]]), "frame_00000.jpg is there twice"),
        (good(paths=[*PATHS[:8], "../x"]), "leads out of its folder"),
        (good(paths=[*PATHS[:8], "/x"]), "leads out of its folder"),
        (good(paths=[*PATHS[:8], 3]), "a path was expected in it, not int"),
        (good(paths=[], signatures=np.ones((0, 3))), "names no frame"),
        (good(paths="x"), "a list of paths was expected in it, not str"),
        (good(signatures=[[1.0]]), "signatures should be an array, not list"),
        (good(signatures=np.ones((9, 3), int)), "signatures are int64; expected numbers with a point"),
        (good(signatures=np.full((9, 3), np.nan)), "entry 0 holds what is no finite number"),
        (good(signatures=np.array([object()] * 9)), "which has no place in it"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, value, message, capsys):
    with pytest.raises(UserError, match=message) as told:
        read_signatures(dump(tmp_path / "s.pkl", value))
    assert "\n" not in str(told.value)
    assert capsys.readouterr().out == ""


def test_a_pose_has_seventeen_points(tmp_path):
    table = {"paths": PATHS, "keypoints": np.ones((9, 16, 2)), "scores": np.ones((9, 17))}
    with pytest.raises(UserError, match=r"keypoints of shape \(9, 16, 2\) for 9 paths; expected \(9, 17, 2\)"):
        read_pose(dump(tmp_path / "pose.pkl", table))


def test_every_cut_is_an_error_and_no_flip_is_a_bug(tmp_path):
    path = tmp_path / "s.pkl"
    told: list[str] = []
    write_signatures(path, PATHS, np.ones((9, 3)))
    data = path.read_bytes()
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        with pytest.raises(UserError, match="not a pickle of the faceless challenge"):
            read_signatures(path)
    draw = np.random.default_rng(0)
    for place, bit in zip(draw.integers(0, len(data), 300), draw.integers(0, 8, 300), strict=True):
        changed = bytearray(data)
        changed[place] ^= 1 << int(bit)
        path.write_bytes(changed)
        try:
            read_signatures(path)
        except UserError as error:
            told.append(str(error))
    assert told
    assert not [text for text in told if "\n" in text]


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match="is not ASCII"):
        write_signatures(tmp_path / "s.pkl", ["é"], np.ones((1, 2)))
    with pytest.raises(UserError, match="for 2 paths"):
        write_signatures(tmp_path / "s.pkl", ["a", "b"], np.ones((1, 2)))
    huge = np.broadcast_to(np.float32(0), (2, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lwface.formats.sequence_pickles.LONGEST", 15)
        with pytest.raises(UserError, match="2 signatures take 16 bytes, Python 2 reads 1 of this width"):
            write_signatures(tmp_path / "s.pkl", ["a", "b"], huge)
    assert not list(tmp_path.iterdir())


def test_a_pose_is_read_back_as_written(tmp_path):
    draw = np.random.default_rng(3)
    points, scores = draw.random((len(PATHS), 17, 2)), draw.normal(size=(len(PATHS), 17)).astype("f4")
    write_pose(tmp_path / "p.pkl", PATHS, points, scores)
    found = read_pose(tmp_path / "p.pkl")
    assert found.paths == list(PATHS)
    assert np.array_equal(found.keypoints, points)
    assert np.array_equal(found.scores, scores)
    theirs = pickle.loads((tmp_path / "p.pkl").read_bytes(), encoding="latin1")  # Python's own reader
    assert np.array_equal(theirs["keypoints"], points)
    assert np.array_equal(theirs["scores"], scores)
    with pytest.raises(UserError, match=r"keypoints of shape \(9, 17\)"):
        write_pose(tmp_path / "q.pkl", PATHS, scores, scores)
    assert not (tmp_path / "q.pkl").exists()
