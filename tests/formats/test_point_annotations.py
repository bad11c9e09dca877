"""annot.pkl against Python's own pickle, and what is no such file."""

import pickle

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.point_annotations import read_annotations, write_annotations


@pytest.fixture
def faces():
    draw = np.random.default_rng(0)
    return {f"image{i:05}.jpg": draw.uniform(0, 384, (68, 2)) for i in range(7)}


def dump(path, names, points, protocol=3):
    path.write_bytes(pickle.dumps((names, points), protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_lists_of_tuples_of_any_protocol(tmp_path, faces, protocol):
    lists = [[tuple(map(float, pair)) for pair in points] for points in faces.values()]
    found = read_annotations(dump(tmp_path / "annot.pkl", list(faces), lists, protocol))
    assert list(found) == list(faces)
    for name, points in faces.items():
        np.testing.assert_array_equal(found[name], points)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_arrays_and_numbers_of_numpys(tmp_path, faces, kind):
    for points in (
        [points.astype(kind) for points in faces.values()],
        [[tuple(pair.astype(kind)) for pair in points] for points in faces.values()],
    ):
        found = read_annotations(dump(tmp_path / "annot.pkl", list(faces), points))
        for name, expected in faces.items():
            np.testing.assert_array_equal(found[name], expected.astype(kind).astype(np.float64))


@pytest.mark.parametrize("number", [np.float16, np.float32, np.float64, np.int64, int])
@pytest.mark.parametrize("pair", [tuple, list])
def test_pairs_of_any_numbers_in_any_protocol(tmp_path, number, pair):
    """Of more than the few instructions that every file may have."""
    draw = np.random.default_rng(0).uniform(0, 250, (12, 68, 2))
    names = [f"image{i:05}.jpg" for i in range(len(draw))]
    for protocol in range(6):
        lists = [[pair(number(value) for value in place) for place in points] for points in draw]
        found = read_annotations(dump(tmp_path / "annot.pkl", names, lists, protocol))
        np.testing.assert_array_equal(np.stack(list(found.values())), np.array(lists, np.float64))


def test_what_is_written_is_what_python_reads(tmp_path, faces):
    write_annotations(tmp_path / "annot.pkl", faces)
    names, points = pickle.loads((tmp_path / "annot.pkl").read_bytes())
    assert names == list(faces)
    assert points == [[tuple(pair) for pair in places.tolist()] for places in faces.values()]
    assert all(isinstance(pair, tuple) for pair in points[0])
    found = read_annotations(tmp_path / "annot.pkl")
    assert all((found[name] == places).all() for name, places in faces.items())


def good():
    return [(1.0, 2.0)] * 68


@pytest.mark.parametrize(
    ("names", "points", "message"),
    [
        (["a.jpg", "b.jpg"], [good()], "2 names for 1 lists of points"),
        ([], [], "it names no image"),
        (["a.jpg", "a.jpg"], [good(), good()], r"entry 1: a.jpg is there twice"),
        (["a.jpg"], [good()[:67]], r"entry 0 \(a.jpg\): points of shape \(67, 2\), expected \(68, 2\)"),
        (["a.jpg"], [[*good()[:67], (1.0, float("nan"))]], "not a finite number"),
        (["a.jpg"], [[*good()[:67], ("1", 2.0)]], "a number was expected, not str"),
        ([3], [good()], "a file name was expected, not int"),
        (["../a.jpg"], [good()], "leads out of the folder"),
        ("a.jpg", [good()], "a list was expected in it, not str"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, names, points, message):
    with pytest.raises(UserError, match=message):
        read_annotations(dump(tmp_path / "annot.pkl", names, points))


class Harmless:
    """Its pickle asks to call something."""

    def __reduce__(self):
        return print, ("it ran",)


def test_nothing_in_it_is_run(tmp_path, capsys):
    with pytest.raises(UserError, match=r"asks for 'builtins\.print', which has no place in it"):
        read_annotations(dump(tmp_path / "annot.pkl", ["a.jpg"], [Harmless()]))
    assert capsys.readouterr().out == ""


def test_every_truncation_is_an_error(tmp_path, faces):
    path = tmp_path / "annot.pkl"
    write_annotations(path, dict(list(faces.items())[:1]))
    data = path.read_bytes()
    for end in range(0, len(data), 97):
        path.write_bytes(data[:end])
        with pytest.raises(UserError, match=f"not annotations, .*: it ends early, after {end} bytes"):
            read_annotations(path)
