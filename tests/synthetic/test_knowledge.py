"""What the renderer tells of a person is the person's alone, complete, and in the teacher's file twice an image."""

import numpy as np

from lwface.formats.feature_file import read_features
from lwface.synthetic.knowledge import KIND_WEIGHT, known, write_teacher
from lwface.synthetic.options import Ranges
from lwface.synthetic.person import person

ALL = Ranges(form=1.0, looks=1.0, skin=1.0)


def test_as_many_numbers_for_everybody():
    for ranges in (Ranges(), ALL):
        assert len({len(known(person(3, number, ranges))) for number in range(12)}) == 1


def test_only_sides_change_in_a_mirrored_picture():
    who = person(3, 5, ALL)
    straight, mirrored = known(who), known(who, mirrored=True)
    changed = np.flatnonzero(straight != mirrored)
    assert len(changed) == 2
    np.testing.assert_array_equal(straight[changed], -mirrored[changed])
    assert set(straight[changed]) == {who.look.parting, who.look.cut.swept}


def test_the_file_has_standardised_rows(tmp_path):
    people = [person(3, number, ALL) for number in range(30)]
    write_teacher(tmp_path / "teacher.bin", people, 2)
    rows = read_features(tmp_path / "teacher.bin")
    assert len(rows) == 30 * 2 * 2
    by_image = rows.reshape(30, 2, 2, -1)  # person, image, view
    np.testing.assert_array_equal(by_image[:, 0], by_image[:, 1])
    np.testing.assert_allclose(rows.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    spread = rows.std(axis=0, dtype=np.float64)
    usual = np.isclose(spread, 1, atol=1e-5)
    assert usual.sum() > 150
    assert (spread[~usual] <= KIND_WEIGHT / 2 + 1e-6).all()
    raw = np.array([known(who) for who in people])
    assert rows.shape[1] == (raw.std(axis=0) > 1e-6).sum()
    same_age = np.argsort([who.look.age for who in people])
    age = [column for column in by_image[:, 0, 0].T if (np.argsort(column) == same_age).all()]
    assert age  # some column ranks people by age: rows are in the order of the people
