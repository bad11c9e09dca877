import tracemalloc
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.formats.file_list import frames_of, open_list, read_image_list, read_video_list


def folder_with(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "filelist.txt").write_bytes(content)
    return tmp_path


def test_images_in_the_order_of_the_list(tmp_path):
    folder = folder_with(tmp_path, b"b/2.jpg\na one.jpg\n\n  \n./b/2.jpg\r\nb..c/..d.jpg  \nlast.jpg")
    assert read_image_list(folder) == ["b/2.jpg", "a one.jpg", "./b/2.jpg", "b..c/..d.jpg", "last.jpg"]


def test_a_videos_line_is_its_first_token(tmp_path):
    folder = folder_with(tmp_path, b"v2 17\nv1\n\nv2\t3 x\n  v3  \n")
    assert read_video_list(folder) == ["v2", "v1", "v2", "v3"]


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
    with pytest.raises(UserError, match=r"filelist\.txt: no such file; expected the list of one image path a line$"):
        read_image_list(tmp_path)
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


def test_frames_are_sorted_jpgs(tmp_path):
    for name in ("10.jpg", "2.jpg", "01.jpg", "a.JPG", "b.png", ".c.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert frames_of(tmp_path) == [str(tmp_path / name) for name in ("01.jpg", "10.jpg", "2.jpg")]
    with pytest.raises(FileNotFoundError):
        frames_of(tmp_path / "none")
