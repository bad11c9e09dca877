"""Drawn pairs: balanced, different, of separate people a fold, the same for ever; read pairs: every form and error."""

from __future__ import annotations

from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.making.image_folder import Sample
from lwface.making.pair_list import Pair, draw_pairs, read_pairs


def crowd(people: int, images: int, group: int = 1) -> list[Sample]:
    """``group`` consecutive images of a person share a group when it is over 1."""
    return [
        Sample(f"p{p:03d}/{i}.jpg", f"p{p:03d}", f"p{p}-{i // group}" if group > 1 else "")
        for p in range(people)
        for i in range(images)
    ]


@pytest.mark.parametrize(
    ("people", "images", "count"), [(20, 3, 60), (57, 12, 600), (30, 2, 20), (200, 1, 0), (25, 30, 6000)]
)
def test_drawn_pairs(people: int, images: int, count: int) -> None:
    if not count:
        with pytest.raises(UserError, match="can give 0"):
            draw_pairs(crowd(people, images), 20, 0)
        return
    pairs = draw_pairs(crowd(people, images), count, seed=3)
    assert len(pairs) == count
    assert len({frozenset(pair[:2]) for pair in pairs}) == count
    fold_size = count // 10
    people_of_folds = []
    for fold in range(10):
        part = pairs[fold * fold_size : (fold + 1) * fold_size]
        assert [pair.same for pair in part] == [True] * (fold_size // 2) + [False] * (fold_size // 2)
        people_of_folds.append({name.split("/")[0] for pair in part for name in pair[:2]})
    assert sum(map(len, people_of_folds)) == len(set.union(*people_of_folds))  # no one in two folds
    for first, second, same in pairs:
        assert first != second
        assert (first.split("/")[0] == second.split("/")[0]) == same


def test_same_seed_same_pairs_whatever_the_order() -> None:
    samples = crowd(40, 4)
    pairs = draw_pairs(samples, 100, 7)
    assert pairs == draw_pairs(samples, 100, 7)
    assert pairs != draw_pairs(samples, 100, 8)
    by_last_name = sorted(samples, key=lambda s: (-int(s.person[1:]), s.name))
    assert pairs == draw_pairs(by_last_name, 100, 7)


def test_golden_pairs() -> None:
    """So that a seed means the same pairs in every version."""
    pairs = draw_pairs(crowd(20, 2), 20, 1)
    assert [(p.first, p.second) for p in pairs[:4]] == GOLDEN


GOLDEN = [
    ("p018/0.jpg", "p018/1.jpg"),
    ("p000/1.jpg", "p018/0.jpg"),
    ("p011/0.jpg", "p011/1.jpg"),
    ("p001/0.jpg", "p011/0.jpg"),
]


def test_pairs_of_one_group_are_never_same_person_pairs() -> None:
    samples = crowd(20, 6, group=3)
    group = {sample.name: sample.group for sample in samples}
    pairs = draw_pairs(samples, 360, 0)  # all that there are: 9 a person
    assert all(group[pair.first] != group[pair.second] for pair in pairs)
    with pytest.raises(UserError, match="seed 0 can give 360"):
        draw_pairs(samples, 400, 0)
    with pytest.raises(UserError, match="can give 0"):
        draw_pairs(crowd(20, 6, group=6), 20, 0)


def test_people_share_the_pairs() -> None:
    samples = crowd(20, 2) + [Sample(f"p000/more{i}.jpg", "p000") for i in range(300)]
    same = [pair for pair in draw_pairs(samples, 40, 0) if pair.same]
    assert sum(pair.first.startswith("p000/") for pair in same) <= 1


@pytest.mark.parametrize("count", [0, -20, 10, 30, 21])
def test_counts_that_fill_no_folds(count: int) -> None:
    with pytest.raises(UserError, match="multiple of 20"):
        draw_pairs(crowd(40, 4), count, 0)


@pytest.mark.parametrize(("folds", "people"), [(2, 4), (3, 7), (5, 10), (9, 18)])
def test_fewer_people_fill_fewer_folds(folds: int, people: int) -> None:
    count = 4 * folds
    pairs = draw_pairs(crowd(people, 3), count, 0, folds)
    assert [pair.same for pair in pairs] == [True, True, False, False] * folds
    of_fold = [
        {name.split("/")[0] for pair in pairs[start : start + 4] for name in pair[:2]} for start in range(0, count, 4)
    ]
    assert sum(map(len, of_fold)) == len(set.union(*of_fold))


@pytest.mark.parametrize(
    ("people", "count", "flags"),
    [
        (4, 40, "--folds 2 --pack-pairs 24"),
        (7, 40, "--folds 3 --pack-pairs 36"),
        (10, 40, "--folds 5"),
        (18, 40, "--folds 5"),
        (18, 180, "--folds 9 --pack-pairs 108"),
    ],
)
def test_the_error_names_flags_that_work(people: int, count: int, flags: str) -> None:
    with pytest.raises(UserError, match=r"each of 10 folds has people of its own.*can give 0, in ") as caught:
        draw_pairs(crowd(people, 3), count, 0, 10)
    assert str(caught.value).endswith(f": add {flags}")
    words = flags.split()
    given = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    wanted = given.get("--pack-pairs", count)
    assert len(draw_pairs(crowd(people, 3), wanted, 0, given["--folds"])) == wanted


def test_a_command_without_folds_proposes_none() -> None:
    with pytest.raises(UserError, match=r"seed 0 can give 0$"):
        draw_pairs(crowd(8, 3), 40, 0)
    with pytest.raises(UserError, match=r"seed 0 can give 40: give --pack-pairs 40$"):
        draw_pairs(crowd(20, 2), 400, 0)


@pytest.mark.parametrize("folds", [-1, 0, 1, 11])
def test_numbers_of_folds_that_no_evaluation_has(folds: int) -> None:
    with pytest.raises(UserError, match=f"{folds} folds: expected 2 to 10"):
        draw_pairs(crowd(40, 4), 40, 0, folds)


def test_read_pairs_of_every_form(tmp_path: Path) -> None:
    names = ["Ann/Ann_0001.jpg", "Ann/Ann_0012.png", "Bo/Bo_0003.jpg", "with space/a b.jpg"]
    file = tmp_path / "pairs.txt"
    file.write_text(
        "10\t300\nAnn\t1\t12\nAnn\t1\tBo\t3\n\nAnn/Ann_0001.jpg Bo/Bo_0003.jpg 0\nwith space/a b.jpg\tAnn/Ann_0012\t0\n"
    )
    assert read_pairs(file, names) == [
        Pair(names[0], names[1], True),
        Pair(names[0], names[2], False),
        Pair(names[0], names[2], False),
        Pair(names[3], names[1], False),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pairs"),
        ("a.jpg b.jpg 1\na.jpg b.jpg 2\n", "line 2 is not a pair"),
        ("a.jpg b.jpg\n", "line 1 is not a pair"),
        ("a.jpg b.jpg 1 1 1\n", "line 1 is not a pair"),
        ("a.jpg b.jpg 1\na.jpg c.jpg 0\n", r"line 2: no usable image 'c\.jpg'"),
        ("Ann\t1\t2\n", "no usable image 'Ann/Ann_0001'"),
    ],
)
def test_bad_pairs_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "pairs.txt"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        read_pairs(file, ["a.jpg", "b.jpg"])


def test_pairs_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        read_pairs(tmp_path / "p", [])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", ["\t", ";", ","])
def test_pairs_that_other_programs_wrote(tmp_path: Path, encoding: str, separator: str, capsys) -> None:
    names = ["Ann Lee/1, a.jpg" if separator != "," else "Ann Lee/1.jpg", "b/2.jpg", "b/b_0007.jpg", "b/b_0012.jpg"]
    rows = [
        ("first", "second", "same"),  # a header
        (names[0], names[1].replace("/", "\\"), "0"),
        (names[1], names[2], "True"),
        (names[0], names[2], "0.0"),
        ("b", "7", "12", ""),  # a table of LFW's pairs has an empty last cell where two people are none
        ("b", "7.0", "b", "12.0"),
    ]
    file = tmp_path / "pairs.csv"
    file.write_bytes("".join(separator.join(row) + "\r\n" for row in rows).encode(encoding))
    assert read_pairs(file, names) == [
        Pair(names[0], names[1], False),
        Pair(names[1], names[2], True),
        Pair(names[0], names[2], False),
        Pair(names[2], names[3], True),
        Pair(names[2], names[3], False),
    ]
    assert "is taken for a header" in capsys.readouterr().err


def test_names_may_hold_what_separates_elsewhere(tmp_path: Path) -> None:
    names = ["Lee,Ann/1.jpg", "Lee,Bo/2.jpg", "a;b/c;d.jpg", "e f.jpg"]
    (tmp_path / "p").write_text("Lee,Ann/1.jpg Lee,Bo/2.jpg 0\na;b/c;d.jpg\te f.jpg\t1\nLee,Ann/1.jpg;e f.jpg;1\n")
    assert [pair[:2] for pair in read_pairs(tmp_path / "p", names)] == [
        (names[0], names[1]),
        (names[2], names[3]),
        (names[0], names[3]),
    ]


def test_a_first_line_that_names_an_image_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("a.jpg,b.jpg,yes\n")
    with pytest.raises(UserError, match="line 1 is not a pair"):
        read_pairs(tmp_path / "p", ["a.jpg", "b.jpg"])
