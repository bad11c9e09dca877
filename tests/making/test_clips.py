"""What is one clip: by folder, by name, by a table, or by a guess that is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.making.clips import AUTO, pairs_inside, rule_or_table, with_clips
from lwface.making.image_folder import Sample
from lwface.making.pair_list import draw_pairs


def samples(*names: str) -> list[Sample]:
    return [Sample(name, name.partition("/")[0]) for name in names]


def groups(found: list[Sample]) -> list[str]:
    return [sample.group for sample in found]


DEEP = samples("a/0/1.jpg", "a/0/2.jpg", "a/1/1.jpg", "a/own.jpg", "b/x/y/1.jpg", "b/x/z/1.jpg")
FLAT = samples(
    "a/one_0001.jpg", "a/one_0002.jpg", "a/two-7.jpg", "a/two-8.jpg", "b/5.115.jpg", "b/5.116.jpg", "b/6.1.jpg"
)
PHOTOS = samples("a/a_0001.jpg", "a/a_0002.jpg", "b/b_0001.jpg", "b/b_0002.jpg")


def test_folders_are_clips_where_people_have_several(tmp_path: Path) -> None:
    found, said = with_clips(DEEP, AUTO)
    assert groups(found) == ["a/0", "a/0", "a/1", "", "b/x/y", "b/x/z"]
    assert "taken for clips" in said
    assert "--clips none" in said
    assert with_clips(DEEP, "folder") == (found, "")
    assert groups(with_clips(DEEP, "none")[0]) == [""] * 6
    assert with_clips(DEEP, "none")[1] == ""


def test_one_folder_each_is_said_and_no_rule() -> None:
    found, said = with_clips(samples("a/images/1.jpg", "a/images/2.jpg", "b/images/1.jpg"), AUTO)
    assert groups(found) == [""] * 3
    assert "lie in one folder" in said


def test_names() -> None:
    assert groups(with_clips(FLAT, "name")[0]) == ["a/one", "a/one", "a/two", "a/two", "b/5", "b/5", "b/6"]
    found, said = with_clips(FLAT, AUTO)
    assert groups(found) == [""] * 7
    assert "a/one_0001.jpg look like frames of clips" in said
    assert "--clips name" in said


def test_photographs_called_as_in_lfw_are_no_clips_and_that_is_said() -> None:
    found, said = with_clips(PHOTOS, AUTO)
    assert found == PHOTOS
    assert "frames of one may be paired: --clips name " in said
    assert with_clips(samples("a/1.jpg", "b/1.jpg"), AUTO)[1] == ""  # nobody has a pair


def test_a_rule_that_leaves_people_one_clip_says_so(tmp_path: Path) -> None:
    assert with_clips(FLAT, "name")[1] == ""
    numbered = samples("kim/frame 7.png", "kim/frame 8.png", "lou/3.png", "lou/x.png", "lou/y.png", "mo/1.png")
    said = with_clips(numbered, "name")[1]
    assert "--clips name: all images of 1 of 2 people with several are one clip (their names" in said
    assert "all images of 2 of 2 people" in with_clips(PHOTOS, "name")[1]
    folders = samples("a/v/1.jpg", "a/v/2.jpg", "b/1.jpg", "b/2.jpg")
    assert "--clips folder: all images of 1 of 2 people" in with_clips(folders, "folder")[1]
    table = tmp_path / "clips.csv"
    table.write_text("image,clip\nb/b_0001.jpg,t\nb/b_0002.jpg,t\n")
    assert "clips.csv: all images of 1 of 2 people" in with_clips(PHOTOS, table)[1]


def test_a_table(tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text("clip,image\nc1,a/a_0001.jpg\nc1,a/a_0002.jpg\n")
    assert groups(with_clips(PHOTOS, table)[0]) == ["c1", "c1", "", ""]
    table.write_text("image,clip\na_0001.jpg,c1\n")
    with pytest.raises(UserError, match=r"names none of the 4 images \(such as 'a/a_0001.jpg'\)"):
        with_clips(PHOTOS, table)
    for text, message in (
        ("image,video\na,b\n", "no column 'clip'"),
        ("image,clip\na/a_0001.jpg\n", "line 2 has 1 columns, not 2"),
        ("image,clip\na,1\na,2\n", "line 3: a is in '2' and in '1'"),
    ):
        table.write_text(text)
        with pytest.raises(UserError, match=message):
            with_clips(PHOTOS, table)


def test_rule_or_table(tmp_path: Path) -> None:
    assert rule_or_table("folder") == "folder"
    (tmp_path / "folder.csv").touch()
    assert rule_or_table(str(tmp_path / "folder.csv")) == tmp_path / "folder.csv"
    with pytest.raises(UserError, match="--clips folders: no such file; expected auto, folder, name, none, or"):
        rule_or_table("folders")


def test_drawn_pairs_of_one_person_are_never_inside_a_clip() -> None:
    crowd = samples(*(f"p{p:02d}/{c}/{i}.jpg" for p in range(20) for c in range(2) for i in range(5)))
    pairs = draw_pairs(with_clips(crowd, AUTO)[0], 200, 0)
    same = [pair[:2] for pair in pairs if pair.same]
    assert len(same) == 100
    assert pairs_inside(crowd, same) == 0
    naive = [pair[:2] for pair in draw_pairs(crowd, 200, 0) if pair.same]
    inside = sum(a.rpartition("/")[0] == b.rpartition("/")[0] for a, b in naive)
    assert 20 < inside == pairs_inside(crowd, naive)
    with pytest.raises(UserError, match=r"of one person, not inside one clip, and .* can give 0"):
        draw_pairs([s._replace(group=s.person) for s in crowd], 20, 0)
