"""Images out of a tar: what tarfile and OpenCV read, from any thread, and from a folder alike."""

import io
import os
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.image import decode_rgb, encode_jpeg
from lwface.sequences.images import Images

NAMES = [f"person_000{i // 10}/video_000{i // 5}/seq_0000/frame_{i:05}.jpg" for i in range(20)]


@pytest.fixture
def frames():
    draw = np.random.default_rng(0)
    return {name: encode_jpeg(draw.integers(0, 256, (16, 12, 3), dtype=np.uint8)) for name in NAMES}


@pytest.fixture
def tar(tmp_path, frames):
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as out:
        for name in reversed(NAMES):
            member = tarfile.TarInfo(name)
            member.size = len(frames[name])
            out.addfile(member, io.BytesIO(frames[name]))
    return path


def test_as_the_challenge_uses_it(tar, frames):
    with Images(str(tar)) as images:
        assert images.paths == NAMES
        assert len(images) == 20
        assert NAMES[3] in images
        for place, name in enumerate(images.paths):
            assert images.read(name) == frames[name]
            np.testing.assert_array_equal(images[name], decode_rgb(frames[name]))
            np.testing.assert_array_equal(images[place], images[name])
        assert images[0].shape == (16, 12, 3)
        with pytest.raises(UserError, match=r"holds no 'a\.jpg'; its first is 'person_0000"):
            images["a.jpg"]
        with pytest.raises(IndexError):
            images[20]
        again = pickle.loads(pickle.dumps(images))
    with pytest.raises(UserError, match="is closed"):
        images[NAMES[0]]
    with again:
        assert again.read(5) == frames[NAMES[5]]


def test_any_number_of_threads(tar, frames):
    order = np.random.default_rng(1).integers(0, 20, 2000).tolist()
    with Images(tar) as images, ThreadPoolExecutor(8) as pool:
        for place, data in zip(order, pool.map(images.read, order), strict=True):
            assert data == frames[NAMES[place]]


def test_a_forked_process_reads_on(tar, frames):
    with Images(tar) as images:
        child = os.fork()
        if not child:
            os._exit(int(any(images.read(name) != frames[name] for name in NAMES)))
        for name in NAMES:
            assert images.read(name) == frames[name]
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_folder_works_too(tmp_path, frames):
    for name, data in frames.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "read.me").touch()
    with Images(tmp_path) as images:
        assert images.paths == NAMES
        assert images.read(NAMES[7]) == frames[NAMES[7]]
        np.testing.assert_array_equal(images[7], decode_rgb(frames[NAMES[7]]))
        assert images.skipped["taken"] == 20
        assert images.skipped["seen"] == 21
        with pytest.raises(UserError, match="holds no"):
            images["../x.jpg"]


def test_a_tar_that_changed_meanwhile_is_told(tar, frames):
    with Images(tar) as images:
        status, data = os.stat(tar), bytearray(tar.read_bytes())
        half = data.index(NAMES[3].encode())
        data[half + 20] ^= 1
        tar.write_bytes(data)
        os.utime(tar, ns=(status.st_atime_ns, status.st_mtime_ns))  # so that size and time say nothing
        with pytest.raises(UserError, match="is not where the index has it; the tar was changed"):
            images[NAMES[3]]
        tar.write_bytes(data[:512])
        with pytest.raises(UserError, match="the tar was changed"):
            images[NAMES[4]]


def test_a_damaged_frame_is_named(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as out:
        member = tarfile.TarInfo("seq_0/frame_0.jpg")
        member.size = 5
        out.addfile(member, io.BytesIO(b"hello"))
    with (
        Images(tmp_path / "a.tar") as images,
        pytest.raises(UserError, match=r"a\.tar: seq_0/frame_0\.jpg: not a JPEG"),
    ):
        images[0]


def test_nothing_in_it(tmp_path):
    tarfile.open(tmp_path / "a.tar", "w").close()
    (tmp_path / "folder").mkdir()
    for name in ("a.tar", "folder"):
        with pytest.raises(UserError, match="holds no image"):
            Images(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Images(tmp_path / "none.tar")


def test_the_challenges_names_are_in_the_room():
    import lwface.sequences

    assert lwface.sequences.Images is Images
    assert all(callable(getattr(lwface.sequences, name)) for name in lwface.sequences.__all__)
    with pytest.raises(AttributeError):
        _ = lwface.sequences.nothing
