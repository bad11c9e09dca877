"""People of one group on one side, nobody on two, the same for a seed, and the same folders after any interruption."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.base.journal import Journal
from lwface.formats.image_walk import walk_images
from lwface.making.image_folder import Sample, walk_people
from lwface.making.people_split import PeopleSplit, PersonFolder, people_of, split_people, write_split


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def crowd(sizes: list[int]) -> list[PersonFolder]:
    """Groups of ``sizes`` people."""
    return [PersonFolder(f"g{g}p{p}", f"g{g}p{p}", f"g{g}") for g, size in enumerate(sizes) for p in range(size)]


def names(people: list[PersonFolder]) -> set[str]:
    return {person.name for person in people}


@pytest.mark.parametrize("seed", range(5))
def test_everybody_is_on_one_side(seed: int) -> None:
    people = crowd([1] * 30)
    split = split_people(people, 11, seed)
    assert (len(split.train), len(split.verify)) == (19, 11)
    assert names(split.train) | names(split.verify) == names(people)
    assert names(split.verify) == names(split_people(people[::-1], 11, seed).verify)
    assert names(split.verify) != names(split_people(people, 11, seed + 1).verify)


def test_a_fifth_is_verified_on_where_nothing_is_said() -> None:
    assert [len(split_people(crowd([1] * n), None, 0).verify) for n in (4, 10, 57)] == [2, 2, 11]


@pytest.mark.parametrize("seed", range(20))
def test_groups_stay_together(seed: int) -> None:
    sizes = [3, 1, 5, 2, 2, 7, 1, 4]
    split = split_people(crowd(sizes), 8, seed)
    sides = [{person.group for person in side} for side in split]
    assert not sides[0] & sides[1]
    assert 5 <= len(split.verify) <= 8


@pytest.mark.parametrize(
    ("sizes", "count", "message"),
    [
        ([1] * 3, None, "of 3 people from 2 to 1 can be verified on"),
        ([1] * 9, 8, "--verify-people 8: of 9 people from 2 to 7"),
        ([1] * 9, 1, "--verify-people 1: "),
        ([6, 6], 4, "12 people are in 2 groups of up to 6, which stay together: 0 can be taken"),
    ],
)
def test_splits_that_cannot_be(sizes: list[int], count: int | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split_people(crowd(sizes), count, 0)


def test_groups_by_folders_above_the_person(tmp_path: Path) -> None:
    samples = [Sample(name, "") for name in ("f1/ann/1.jpg", "f1/ann/clip/2.jpg", "f1/bo/1.jpg", "f2/ann/1.jpg")]
    people = people_of(tmp_path, samples, "1")
    assert [(p.name, p.folder, p.group, len(p.images)) for p in people] == [
        ("f1_ann", "f1/ann", "f1", 2),
        ("f1_bo", "f1/bo", "f1", 1),
        ("f2_ann", "f2/ann", "f2", 1),
    ]
    with pytest.raises(UserError, match=r"f3/1\.jpg: lies beside the folders of people"):
        people_of(tmp_path, [Sample("f3/1.jpg", "f3")], "1")
    with pytest.raises(UserError, match="a/b_c and a_b/c would both be written as a_b_c"):
        people_of(tmp_path, [Sample("a/b_c/1.jpg", ""), Sample("a_b/c/1.jpg", "")], "1")


def test_groups_by_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [Sample(f"{name}/1.jpg", name) for name in ("ann", "bo", "cy", "di")]
    table = tmp_path / "groups.csv"
    table.write_text("person,age,group\nbo,4,twins\ncy,4,twins\nsomebody,9,ann\n")
    of = {person.name: person.group for person in people_of(tmp_path, samples, str(table))}
    assert of["bo"] == of["cy"]
    assert len(set(of.values())) == 3
    assert "2 people are not in it, and each is a group alone; 1 of its people are not there" in capsys.readouterr().err
    table.write_text("person,group\nx,y\n")
    with pytest.raises(UserError, match=r"names none of the 4 people \(such as 'ann'\)"):
        people_of(tmp_path, samples, str(table))


def test_spellings_of_a_person_in_groups(tmp_path: Path) -> None:
    """A table in composed letters names folders in decomposed ones; two spellings in one family are an error."""
    samples = [Sample(f"{name}/1.jpg", name) for name in ("Ana\u0308s", "bo", "cy", "di")]
    table = tmp_path / "groups.csv"
    table.write_text("person,group\nAn\u00e4s,twins\nbo,twins\n", encoding="utf-8")
    of = {person.name: person.group for person in people_of(tmp_path, samples, str(table))}
    assert of["Ana\u0308s"] == of["bo"] != of["cy"]
    family = [Sample(f"f/{name}/1.jpg", "f") for name in ("Ana\u0308s", "An\u00e4s")]
    with pytest.raises(UserError, match=r"f/Ana\\u0308s' and 'f/An\\xe4s' are one name"):
        people_of(tmp_path, family, "1")


def tree(folder: Path) -> dict[str, str]:
    """Each image below ``folder`` by what it holds, links followed."""
    return {name: (folder / name).read_text() for name in walk_images(folder).names}


def prepared(tmp_path: Path) -> tuple[Path, PeopleSplit]:
    root = tmp_path / "people"
    touch(root, *(f"p{p}/{i}.jpg" for p in range(6) for i in range(2)), "p0/clip/x.png", "p0/.hidden.jpg")
    return root, split_people(people_of(root, walk_people(root).samples, None), 2, 0)


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("step", [1, 2, 5])
def test_interrupted_anywhere_it_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: bool, step: int
) -> None:
    root, split = prepared(tmp_path)
    output = tmp_path / "out"
    output.mkdir()
    left = step
    add = Journal.add

    def interrupting(self: Journal, *entry: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:  # the folder is there, its entry is not
            left = step + 1
            raise KeyboardInterrupt
        add(self, *entry)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "add", interrupting)
    for _ in range(9):
        with Journal(output / "journal.part", "job") as journal:
            try:
                write_split(root, output, split, journal, copy=copy)
                break
            except KeyboardInterrupt:
                continue
    assert journal.done == 6
    expected = {name: name for name in walk_images(root).names}
    found = {**tree(output / "train"), **tree(output / "verify")}
    assert found == expected
    assert {name.split("/")[0] for name in tree(output / "verify")} == names(split.verify)
    assert not list(output.rglob("*.hidden.jpg" if copy else "*.part.jpg"))
    assert any(path.is_symlink() for path in (output / "train").iterdir()) != copy


def test_links_survive_a_move_of_input_and_output(tmp_path: Path) -> None:
    root, split = prepared(tmp_path / "a")
    (tmp_path / "a" / "out").mkdir()
    with Journal(tmp_path / "a" / "out" / "journal.part", "job") as journal:
        write_split(root, tmp_path / "a" / "out", split, journal, copy=False)
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert len(tree(tmp_path / "b" / "out" / "train")) + len(tree(tmp_path / "b" / "out" / "verify")) == 13


def test_where_links_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, split = prepared(tmp_path)
    (tmp_path / "out").mkdir()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "symlink", refuse)
    with Journal(tmp_path / "out" / "journal.part", "job") as journal, pytest.raises(UserError, match="give --copy"):
        write_split(root, tmp_path / "out", split, journal, copy=False)
