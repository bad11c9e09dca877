"""The index of a tar against Python's tarfile, in every format it writes, and what is refused."""

import io
import os
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.base.notes import _told
from lwface.formats import tar_index as module
from lwface.formats.tar_index import build_index, index_path, read_index, tar_index, write_index

LONG = "person_0001/video_0002/seq_0003/" + "x" * 120 + "/" + "é" * 60 + "/frame_00001.jpg"
NAMES = ["person_0000/video_0000/seq_0000/frame_00000.jpg", "b/" * 60 + "frame.png", LONG, "a b/frame_2.JPG"]


def content(name, size=None):
    dice = random.Random(name)
    return dice.randbytes(dice.choice((0, 1, 511, 512, 513, 2000)) if size is None else size)


def add(tar, name, data=b"", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(data))


def make(path, names=NAMES, form=tarfile.GNU_FORMAT, **options):
    with tarfile.open(path, "w", format=form, **options) as tar:
        add(tar, "b", type=tarfile.DIRTYPE)
        for name in names:
            add(tar, name, content(name))
    return path


def by_tarfile(path):
    """What Python reads: the last member of a name."""
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def by_index(path, index):
    data = Path(path).read_bytes()
    return {n: data[s : s + k] for n, s, k in zip(index.names, index.starts, index.sizes, strict=True)}


@pytest.fixture(autouse=True)
def _notes_anew():
    _told.clear()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_as_tarfile_reads_it(tmp_path, form):
    names = NAMES if form != tarfile.USTAR_FORMAT else [NAMES[0], NAMES[1], NAMES[3]]
    path = make(tmp_path / "a.tar", names, form)
    found = build_index(path)
    assert by_index(path, found) == by_tarfile(path)
    assert found.names == sorted(names)


def test_names_that_are_no_text_and_leading_dots(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        add(tar, ".", type=tarfile.DIRTYPE)
        add(tar, "./a/1.jpg", b"one")
        add(tar, "a/\udce9.jpg", b"two")
    found = tar_index(path)
    assert by_index(path, found) == {"a/1.jpg": b"one", "a/\udce9.jpg": b"two"}
    assert read_index(index_path(path), os.stat(path)).names == found.names


def test_the_last_of_one_name_counts_and_what_is_no_image_is_counted(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (("x.jpg", b"old"), ("read.me", b"?"), ("a/._x.jpg", b"?"), ("x.jpg", b"new")):
            add(tar, name, data)
    found = build_index(path)
    assert by_index(path, found) == {"x.jpg": b"new"}
    assert {reason: entry["count"] for reason, entry in found.skipped["skipped"].items()} == {
        "a hidden file": 1,
        "a later member has the same name": 1,
        "no image by its name": 1,
    }


def test_numbers_beyond_octal(tmp_path):
    """GNU's binary numbers; the size is small, only written so."""
    path = make(tmp_path / "a.tar", ["x.jpg"])
    data = bytearray(path.read_bytes())
    at = data.index(b"x.jpg")
    data[at + 124 : at + 136] = b"\x80" + len(content("x.jpg")).to_bytes(11, "big")
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 155] = b"%06o\0" % sum(data[at : at + 512])
    path.write_bytes(data)
    assert by_index(path, build_index(path)) == {"x.jpg": content("x.jpg")} == by_tarfile(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "/etc/x.jpg"}, "called '/etc/x.jpg', which leads out of it"),
        ({"name": "a/../../x.jpg"}, "leads out of it"),
        ({"name": ".."}, "leads out of it"),
        ({"name": "a\nb.jpg"}, "leads out of it"),
        ({"name": "x.jpg", "type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "x.jpg is a symbolic link"),
        ({"name": "x.jpg", "type": tarfile.LNKTYPE, "linkname": "y"}, "x.jpg is a hard link"),
        ({"name": "x.jpg", "type": tarfile.CHRTYPE}, "x.jpg is a device"),
        ({"name": "x.jpg", "type": tarfile.FIFOTYPE}, "x.jpg is a pipe"),
        ({"name": "x.jpg", "type": tarfile.GNUTYPE_SPARSE}, "x.jpg is a sparse file"),
        ({"name": "x.jpg", "type": b"Q"}, "unknown kind"),
        ({"name": "x.jpg", "pax_headers": {"GNU.sparse.major": "1"}}, "is a sparse file"),
        ({"name": "x.jpg", "pax_headers": {"path": "../../etc/x.jpg"}}, "leads out of it"),
    ],
)
def test_what_leads_elsewhere_is_refused(tmp_path, fields, message):
    path = tmp_path / "a.tar"
    form = tarfile.PAX_FORMAT if "pax_headers" in fields else tarfile.GNU_FORMAT
    with tarfile.open(path, "w", format=form) as tar:
        add(tar, "a.jpg", b"good")
        add(tar, **fields)
    with pytest.raises(UserError, match=message):
        tar_index(path)
    assert not index_path(path).exists()


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_a_compressed_tar_is_told(tmp_path, mode):
    with pytest.raises(UserError, match=r"is compressed by .*; decompress it first"):
        tar_index(make(tmp_path / "a.tar", form=tarfile.PAX_FORMAT) and _packed(tmp_path, mode))


def _packed(folder, mode):
    with tarfile.open(folder / f"a.tar.{mode}", f"w:{mode}") as tar:
        add(tar, "x.jpg", b"data")
    return folder / f"a.tar.{mode}"


def test_every_cut_and_many_flips_are_one_line(tmp_path):
    whole = make(tmp_path / "a.tar", NAMES, tarfile.PAX_FORMAT).read_bytes()
    members = by_tarfile(tmp_path / "a.tar")
    path, dice = tmp_path / "b.tar", random.Random(0)
    told: list[str] = []
    for end in (*range(0, len(whole), 509), len(whole) - 1):
        path.write_bytes(whole[:end])
        try:
            found = by_index(path, build_index(path))
        except UserError as error:
            told.append(str(error))
        else:  # between two members: their number is all that can differ
            assert all(members[name] == data for name, data in found.items())
    for _ in range(150):
        data = bytearray(whole)
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        try:
            build_index(path)
        except UserError as error:
            told.append(str(error))
    assert told
    assert not [text for text in told if "\n" in text]
    for text, message in ((b"", "is empty"), (b"hello", "not a tar"), (b"x" * 2000, "not a tar")):
        path.write_bytes(text)
        with pytest.raises(UserError, match=message):
            build_index(path)


def test_a_tar_without_its_end_is_told(tmp_path, capsys):
    path = tmp_path / "a.tar"
    path.write_bytes(make(path, ["x.jpg"]).read_bytes().rstrip(b"\0"))
    size = -(-path.stat().st_size // 512) * 512
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    assert build_index(path).names == ["x.jpg"]
    assert "has no mark where it ends" in capsys.readouterr().err


def test_the_index_is_kept_used_and_made_anew(tmp_path, monkeypatch, capsys):
    path = make(tmp_path / "a.tar")
    first = tar_index(path)
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "a.tar.index"]
    built = []
    monkeypatch.setattr(module, "build_index", lambda tar: built.append(tar) or build_index(tar))
    again = tar_index(path)
    assert not built
    assert again.names == first.names
    assert again.skipped == first.skipped
    for one, other in zip(
        (first.starts, first.sizes, first.checks), (again.starts, again.sizes, again.checks), strict=True
    ):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    os.utime(path, ns=(0, 123_456_789))
    tar_index(path)
    assert len(built) == 1
    assert "the tar has changed since; it is made anew" in capsys.readouterr().err
    tar_index(path)
    assert len(built) == 1
    with tarfile.open(path, "a") as tar:
        add(tar, "new.jpg", b"new")
    assert "new.jpg" in tar_index(path).names


def test_no_damaged_index_is_believed(tmp_path, monkeypatch):
    path = make(tmp_path / "a.tar", form=tarfile.PAX_FORMAT)
    good = tar_index(path)
    place, dice = index_path(path), random.Random(1)
    told: list[str] = []
    data = place.read_bytes()
    for _ in range(200):
        changed = bytearray(data)
        if dice.random() < 0.3:
            del changed[dice.randrange(len(data)) :]
        else:
            changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        place.write_bytes(changed)
        try:
            found = read_index(place, os.stat(path))
        except UserError as error:
            told.append(str(error))
        else:
            assert found.names == good.names
            np.testing.assert_array_equal(found.starts, good.starts)
    assert told
    assert not [text for text in told if "\n" in text]
    for change in (
        {"names": ["../x.jpg", *good.names[1:]]},
        {"names": good.names[::-1]},
        {"names": [good.names[0]] * len(good.names)},
        {"starts": good.starts + 2**40},
        {"starts": good.starts * 0},
        {"sizes": good.sizes - 10**6},
        {"sizes": good.sizes * 0 + 2**62},
    ):
        write_index(place, module.TarIndex(**{**vars(good), **change}), os.stat(path))
        with pytest.raises(UserError, match="does not fit its tar"):
            read_index(place, os.stat(path))
    tar_index(path)
    assert read_index(place, os.stat(path)).names == good.names


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path, monkeypatch, capsys):
    path = make(tmp_path / "a.tar")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "write_index", refuse)
    assert tar_index(path).names == sorted(NAMES)
    tar_index(path)
    assert os.listdir(tmp_path) == ["a.tar"]
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "cannot be kept (Permission denied)" in err
