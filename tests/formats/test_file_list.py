import tracemalloc
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.formats.file_list import names_of_rows, open_list, read_image_list, read_video_list


def folder_with(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "filelist.txt").write_bytes(content)
    return tmp_path


def test_images_in_the_order_of_the_list(tmp_path):
    folder = folder_with(tmp_path, b"b/2.jpg\na one.jpg\n\n  \n./b/2.jpg\r\nb..c/..d.jpg  \nlast.jpg")
    assert read_image_list(folder) == ["b/2.jpg", "a one.jpg", "./b/2.jpg", "b..c/..d.jpg", "last.jpg"]


def test_a_videos_line_begins_with_its_folder(tmp_path):
    folder = folder_with(tmp_path, b"v2 17\nv1\n\nv3\t3 x\n  v4  \nv1\n")
    assert read_video_list(folder) == ["v2", "v1", "v3", "v4", "v1"]


def test_folders_with_blanks_in_their_names(tmp_path):
    names = ["clip", "clip 2", "clip 3", "my clip/part one", "two  blanks"]
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    lines = ["clip 6", "clip 2", "clip 3 6", "my clip/part one\t12 x", "two  blanks"]
    folder = folder_with(tmp_path, "\n".join(lines).encode())
    assert read_video_list(folder) == names
    assert list(open_list(folder, videos=True)) == names


@pytest.mark.parametrize("lines", ["clip\nother 1\nclip 2\n", "clip 2\nother\nclip 3\n"])
def test_one_folder_by_two_lines_is_a_missing_folder(tmp_path, lines):
    for name in ("clip", "other"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"lines 1 and 3, 'clip.*' and 'clip \d', are both the folder 'clip'"):
        read_video_list(folder_with(tmp_path, lines.encode()))


def test_of_lines_that_are_no_folders_the_first_word_counts(tmp_path):
    assert read_video_list(folder_with(tmp_path, b"img 1.jpg\nimg 2.jpg\n")) == ["img", "img"]


def test_a_folder_without_a_list_lists_itself(tmp_path):
    for name in ("b/2.jpg", "b/1.PNG", "a/x/1.jpg", "a/0.jpg", "a/notes.txt", ".thumbs/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    images = open_list(tmp_path, videos=False)
    assert list(images) == ["a/0.jpg", "a/x/1.jpg", "b/1.PNG", "b/2.jpg"]
    videos = open_list(tmp_path, videos=True)
    assert list(videos) == ["a", "a/x", "b"]
    assert (len(images), len(videos), images.folder) == (4, 3, tmp_path)
    assert images.walked is not None
    assert images.walked.account.seen == 6
    assert images.sha256 != videos.sha256
    folder_with(tmp_path, b"a/0.jpg\na/x/1.jpg\nb/1.PNG\nb/2.jpg\n")
    assert open_list(tmp_path, videos=False).sha256 == images.sha256


def test_what_each_row_is_of(tmp_path):
    for name in ("a/0.jpg", "a/1.jpg", "b/0.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names_of_rows(tmp_path, 3) == ["a/0.jpg", "a/1.jpg", "b/0.jpg"]
    assert names_of_rows(tmp_path, 2) == ["a", "b"]
    with pytest.raises(UserError, match=r"no filelist\.txt, 3 images and 2 folders with images for 4 feature rows"):
        names_of_rows(tmp_path, 4)
    folder_with(tmp_path, b"b/0.jpg\n")
    assert names_of_rows(tmp_path, 1) == ["b/0.jpg"]
    with pytest.raises(UserError, match=r"its filelist\.txt has 1 lines for 3 feature rows"):
        names_of_rows(tmp_path, 3)


def test_names_are_bytes_and_a_byte_order_mark_is_no_name(tmp_path):
    folder = folder_with(tmp_path, b"\xef\xbb\xbf\xe4\xbd\xa0.jpg\n\xff.jpg\n")
    first, second = read_image_list(folder)
    assert first == "你.jpg"
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "file").rename(tmp_path / second)
    assert b"\xff.jpg" in {path.name.encode("utf-8", "surrogateescape") for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.jpg", "a/../../x.jpg", "a/..", "..", "a\0b.jpg"])
def test_a_list_reads_nothing_outside_its_folder(tmp_path, name):
    folder = folder_with(tmp_path, f"a.jpg\n\n{name}\n".encode())
    for read in (read_image_list, read_video_list):
        with pytest.raises(UserError, match=r"filelist\.txt: line 3: .* is not a path inside"):
            read(folder)


def test_no_list_or_an_empty_one(tmp_path):
    with pytest.raises(UserError, match=r"neither filelist\.txt nor an image in it; expected one image path a line$"):
        read_image_list(tmp_path)
    with pytest.raises(UserError, match=r"filelist\.txt: no such file; expected the list of one image path a line$"):
        read_image_list(tmp_path / "none")
    (tmp_path / "video_filelist.txt").write_text("v1\n")
    with pytest.raises(UserError, match=r"no such file.*; rename .*video_filelist\.txt to filelist\.txt"):
        read_video_list(tmp_path)
    folder_with(tmp_path, b"\n \n")
    with pytest.raises(UserError, match="the list is empty"):
        read_video_list(tmp_path)


def test_the_fingerprint_is_of_names_and_order(tmp_path):
    def fingerprint(content: bytes) -> str:
        return open_list(folder_with(tmp_path, content), videos=False).sha256

    assert fingerprint(b"a\nb\n") == fingerprint(b"\r\na\r\n\r\n b ")
    assert len({fingerprint(c) for c in (b"a\nb\n", b"b\na\n", b"a\n", b"ab\n", b"a\nb\nb\n")}) == 5


def test_a_long_list_takes_no_memory(tmp_path):
    lines = 200_000
    folder = folder_with(tmp_path, b"".join(b"folder/%07d.jpg\n" % number for number in range(lines)))
    tracemalloc.start()
    names = open_list(folder, videos=False)
    last = None
    for last in names:  # noqa: B007 - the last name is what is looked at
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(names), last) == (lines, "folder/0199999.jpg")
    assert peak < 1_000_000
