"""One walk for all commands: what is an image, what is followed, and an account that adds up."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from lwface.base.account import Account
from lwface.base.errors import UserError
from lwface.base.journal import open_job
from lwface.formats.image_walk import folders_of, frames_in, walk_images


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def reasons(account: Account) -> dict[str, list[str]]:
    """The names left out by reason; tests have no more than are told."""
    found = {reason: names for reason, (count, names) in account.reasons.items()}
    assert all(len(names) == account.reasons[reason][0] for reason, names in found.items())
    return found


def test_images_by_their_endings_in_an_order_of_names_alone(tmp_path: Path) -> None:
    endings = ("jpg", "JPG", "jpeg", "jpe", "jfif", "png", "bmp", "webp", "tif", "TIFF", "gif", "pgm", "ppm")
    names = [f"p/{i:02d}.{ending}" for i, ending in enumerate(endings)]
    touch(tmp_path, *random.Random(1).sample(names, len(names)), "p/x.heic", "p/x.mp4", "p/Thumbs.db", "p/noending")
    walk = walk_images(tmp_path)
    assert walk.names == names
    assert walk.account.seen == len(names) + 4
    assert reasons(walk.account) == {
        "no image that is read here, by its ending .heic": ["p/x.heic"],
        "no image that is read here, by its ending .mp4": ["p/x.mp4"],
        "no image that is read here, by its ending .db": ["p/Thumbs.db"],
        "no image: its name has no ending": ["p/noending"],
    }


def test_the_manifest_of_a_folder_that_a_command_wrote_is_not_worth_a_line(tmp_path: Path) -> None:
    touch(tmp_path, "ann/1.jpg", "ben/1.jpg", "ben/manifest.json", "ann/notes.json")
    with open_job(tmp_path / "people", "a job") as journal:
        touch(tmp_path, "people/cyd/1.jpg")
        journal.finish({})
    assert (tmp_path / "people/manifest.json").is_file()
    foreign = {"no image that is read here, by its ending .json": ["ann/notes.json", "ben/manifest.json"]}
    walk = walk_images(tmp_path)
    assert (len(walk.names), walk.account.seen) == (3, 5)
    assert reasons(walk.account) == foreign  # a manifest of somebody else's is
    assert reasons(walk_images(tmp_path / "people").account) == {}


@pytest.mark.parametrize("folder", [".ipynb_checkpoints", ".git", "@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN"])
def test_folders_that_are_nobody(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, "ann/1.jpg", "ann/._1.jpg", f"{folder}/ann/1.jpg", f"ann/{folder}/b.jpg")
    walk = walk_images(tmp_path)
    assert walk.names == ["ann/1.jpg"]
    found = reasons(walk.account)
    assert found.pop("a hidden file") == ["ann/._1.jpg"]
    ((reason, left),) = found.items()
    assert sorted(left) == sorted([f"{folder}/ann/1.jpg", f"ann/{folder}/b.jpg"])
    assert ("hidden" in reason) == folder.startswith(".")


def test_a_hidden_root_is_walked(tmp_path: Path) -> None:
    touch(tmp_path, ".data/@eaDir/ann/1.jpg")
    assert walk_images(tmp_path / ".data" / "@eaDir").names == ["ann/1.jpg"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "root/ann/1.jpg", "store/bo/1.jpg", "store/bo/deep/2.jpg", "store/one.jpg")
    os.symlink("../store/bo", tmp_path / "root" / "bo")
    os.symlink(tmp_path / "store" / "one.jpg", tmp_path / "root" / "ann" / "linked.png")
    walk = walk_images(tmp_path / "root")
    assert walk.names == ["ann/1.jpg", "ann/linked.png", "bo/1.jpg", "bo/deep/2.jpg"]
    assert (walk.account.taken, walk.account.skipped) == (4, 0)


def test_links_that_lead_round_or_to_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "root/b/1.jpg", "store/c/1.jpg", "store/c/d/2.jpg")
    for link, target in {
        "root/a": "b",  # sorts before what it leads to, which keeps its name
        "root/b/all": "..",
        "root/up": "../..",
        "root/c": "../store/c",
        "root/cc": "../store/c",
        "root/e": "../store/c/d",
        "store/c/d/round": "../../c",
        "root/lost": "nowhere",
        "root/self.jpg": "self.jpg",
    }.items():
        os.symlink(target, tmp_path / link)
    walk = walk_images(tmp_path / "root")
    assert walk.names == ["b/1.jpg", "c/1.jpg", "c/d/2.jpg"]
    assert {reason: sorted(names) for reason, names in reasons(walk.account).items()} == {
        "a link to what is there already": ["a", "cc", "e"],
        "a link to a folder that it lies in": ["b/all", "c/d/round", "up"],
        "a link that leads nowhere": ["lost", "self.jpg"],
    }


def test_a_second_link_to_an_image(tmp_path: Path) -> None:
    touch(tmp_path, "root/b/1.jpg", "store/2.jpg")
    for link, target in (("a.jpg", "1.jpg"), ("c.jpg", "../../store/2.jpg"), ("d.jpg", "../../store/2.jpg")):
        os.symlink(target, tmp_path / "root" / "b" / link)
    walk = walk_images(tmp_path / "root")
    assert walk.names == ["b/1.jpg", "b/c.jpg"]
    assert reasons(walk.account) == {"a link to what is there already": ["b/a.jpg", "b/d.jpg"]}


def test_a_link_of_the_same_name_as_an_image(tmp_path: Path) -> None:
    """To the image itself it is a second one of it; to another image it is one name with two endings."""
    touch(tmp_path, "root/b/1.jpg", "store/2.jpg")
    os.symlink("1.jpg", tmp_path / "root" / "b" / "1.png")
    assert walk_images(tmp_path / "root").names == ["b/1.jpg"]
    os.symlink("../../store/2.jpg", tmp_path / "root" / "b" / "1.gif")
    with pytest.raises(UserError, match=r"b/1\.gif and b/1\.jpg have one name"):
        walk_images(tmp_path / "root")


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    os.mkfifo(tmp_path / "a" / "2.jpg")
    (tmp_path / "a" / "3.jpg").mkdir()
    assert reasons(walk_images(tmp_path).account) == {
        "no regular file": ["a/2.jpg"],
        "a folder with nothing in it": ["a/3.jpg/"],
    }


@pytest.mark.parametrize("other", ["x.png", "x.JPG", "x.jfif"])
def test_one_name_with_two_endings_is_an_error_that_names_both(tmp_path: Path, other: str) -> None:
    touch(tmp_path, "ann/x.jpg", f"ann/{other}", "bo/x.png", "ann/x.1.png", "ann/x.txt")
    first, second = sorted(["ann/x.jpg", f"ann/{other}"])
    with pytest.raises(UserError, match=f"{first} and {second} have one name".replace(".", r"\.")):
        walk_images(tmp_path)
    with pytest.raises(UserError, match="have one name"):
        frames_in(tmp_path / "ann")


@pytest.mark.parametrize("name", ["tab\there.jpg", "line\nbreak.jpg"])
def test_names_that_no_list_can_hold(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"a/{name}")
    with pytest.raises(UserError, match="rename it"):
        walk_images(tmp_path)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    os.makedirs(tmp_path / "a")
    open(os.fsencode(tmp_path) + b"/a/\xff.txt", "wb").close()
    assert reasons(walk_images(tmp_path).account) == {
        "no image that is read here, by its ending .txt": [r"a/\udcff.txt"]
    }
    with open(os.fsencode(tmp_path) + b"/a/\xff.jpg", "wb"), pytest.raises(UserError, match="rename it"):
        walk_images(tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_the_account_adds_up(tmp_path: Path, seed: int) -> None:
    """Against os.walk: every file, every empty folder and every link to a folder is seen once."""
    dice = random.Random(seed)
    folders, walked = [tmp_path], [tmp_path]
    for i in range(40):
        name = dice.choice([f"f{i}", f"g{i}.jpg", f".f{i}", "@eaDir"])
        folder = dice.choice(folders) / name
        folder.mkdir(exist_ok=True)
        folders.append(folder)
        if not any(part.startswith((".", "@")) for part in folder.relative_to(tmp_path).parts):
            walked.append(folder)
        for j in range(dice.randrange(4)):
            (dice.choice(folders) / f"{i}-{j}.{dice.choice(['jpg', 'PNG', 'txt', 'gif', 'db'])}").touch()
        if dice.random() < 0.3:
            os.symlink(dice.choice(walked), dice.choice(folders) / f"link{i}")
    walk = walk_images(tmp_path)
    expected = used = 0
    for inside, below, files in os.walk(tmp_path):
        parts = Path(inside).relative_to(tmp_path).parts
        expected += len(files)
        if not any(part.startswith((".", "@")) for part in parts):
            used += sum(name.endswith(("jpg", "PNG", "gif")) for name in files)
            expected += sum(os.path.islink(os.path.join(inside, name)) for name in below)
            expected += not (files or below) and bool(parts)
    assert (walk.account.seen, walk.account.taken, len(walk.names)) == (expected, used, used)


def test_frames_are_the_images_of_one_folder(tmp_path: Path) -> None:
    touch(tmp_path, "v/10.jpg", "v/2.JPG", "v/01.png", "v/a.jpe", "v/.c.jpg", "v/notes.txt", "v/more/1.jpg")
    account = Account()
    assert frames_in(tmp_path / "v", account) == [
        str(tmp_path / "v" / n) for n in ("01.png", "10.jpg", "2.JPG", "a.jpe")
    ]
    assert (account.seen, account.taken) == (7, 4)
    assert sorted(reasons(account)) == [
        "a folder beside the frames of a video",
        "a hidden file",
        "no image that is read here, by its ending .txt",
    ]
    with pytest.raises(FileNotFoundError):
        frames_in(tmp_path / "none")


def test_folders_that_hold_images() -> None:
    assert folders_of(["a/1.jpg", "a/2.jpg", "a/b/1.jpg", "c/1.jpg", "top.jpg"]) == ["a", "a/b", "c"]
