"""Packs of every flavour are read, hostile and damaged ones refused, and nothing in a file ever runs."""

from __future__ import annotations

import base64
import io
import os
import pickle
import pickletools
import struct
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.image import encode_jpeg
from lwface.formats.verification_pack import PackError, VerificationPack, read_pack, write_pack

IMAGES = [bytes([i]) * (3 * i + 1) for i in range(8)]
SAME = [True, False, False, True]

# pickle.dumps(([numpy.arange(5, dtype=numpy.uint8), b"xy"], [numpy.bool_(True)]), protocol) with NumPy 1.23
NUMPY_1 = {
    0: (
        "KChscDAKY251bXB5LmNvcmUubXVsdGlhcnJheQpfcmVjb25zdHJ1Y3QKcDEKKGNudW1weQpuZGFycmF5CnAyCihJMAp0cDMKY19jb2RlY3"
        "MKZW5jb2RlCnA0CihWYgpwNQpWbGF0aW4xCnA2CnRwNwpScDgKdHA5ClJwMTAKKEkxCihJNQp0cDExCmNudW1weQpkdHlwZQpwMTIKKFZ1"
        "MQpwMTMKSTAwCkkwMQp0cDE0ClJwMTUKKEkzClZ8CnAxNgpOTk5JLTEKSS0xCkkwCnRwMTcKYkkwMApnNAooVlx1MDAwMAECAwQKcDE4Cm"
        "c2CnRwMTkKUnAyMAp0cDIxCmJhZzQKKFZ4eQpwMjIKZzYKdHAyMwpScDI0CmEobHAyNQpjbnVtcHkuY29yZS5tdWx0aWFycmF5CnNjYWxh"
        "cgpwMjYKKGcxMgooVmIxCnAyNwpJMDAKSTAxCnRwMjgKUnAyOQooSTMKZzE2Ck5OTkktMQpJLTEKSTAKdHAzMApiZzQKKFYBCnAzMQpnNg"
        "p0cDMyClJwMzMKdHAzNApScDM1CmF0cDM2Ci4="
    ),
    2: (
        "gAJdcQAoY251bXB5LmNvcmUubXVsdGlhcnJheQpfcmVjb25zdHJ1Y3QKcQFjbnVtcHkKbmRhcnJheQpxAksAhXEDY19jb2RlY3MKZW5jb2"
        "RlCnEEWAEAAABicQVYBgAAAGxhdGluMXEGhnEHUnEIh3EJUnEKKEsBSwWFcQtjbnVtcHkKZHR5cGUKcQxYAgAAAHUxcQ2JiIdxDlJxDyhL"
        "A1gBAAAAfHEQTk5OSv////9K/////0sAdHERYoloBFgFAAAAAAECAwRxEmgGhnETUnEUdHEVYmgEWAIAAAB4eXEWaAaGcRdScRhlXXEZY2"
        "51bXB5LmNvcmUubXVsdGlhcnJheQpzY2FsYXIKcRpoDFgCAAAAYjFxG4mIh3EcUnEdKEsDaBBOTk5K/////0r/////SwB0cR5iaARYAQAA"
        "AAFxH2gGhnEgUnEhhnEiUnEjYYZxJC4="
    ),
    4: (
        "gASV1AAAAAAAAABdlCiMFW51bXB5LmNvcmUubXVsdGlhcnJheZSMDF9yZWNvbnN0cnVjdJSTlIwFbnVtcHmUjAduZGFycmF5lJOUSwCFlE"
        "MBYpSHlFKUKEsBSwWFlGgEjAVkdHlwZZSTlIwCdTGUiYiHlFKUKEsDjAF8lE5OTkr/////Sv////9LAHSUYolDBQABAgMElHSUYkMCeHmU"
        "ZV2UaAGMBnNjYWxhcpSTlGgNjAJiMZSJiIeUUpQoSwNoEU5OTkr/////Sv////9LAHSUYkMBAZSGlFKUYYaULg=="
    ),
    5: (
        "gAWV1QAAAAAAAABdlCiMEm51bXB5LmNvcmUubnVtZXJpY5SMC19mcm9tYnVmZmVylJOUKJYFAAAAAAAAAAABAgMElIwFbnVtcHmUjAVkdH"
        "lwZZSTlIwCdTGUiYiHlFKUKEsDjAF8lE5OTkr/////Sv////9LAHSUYksFhZSMAUOUdJRSlEMCeHmUZV2UjBVudW1weS5jb3JlLm11bHRp"
        "YXJyYXmUjAZzY2FsYXKUk5RoB4wCYjGUiYiHlFKUKEsDaAtOTk5K/////0r/////SwB0lGJDAQGUhpRSlGGGlC4="
    ),
}


def stored(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "pack.bin"
    path.write_bytes(data)
    return path


def arrays(dtype: str = "uint8", shape: tuple[int, ...] = (-1,)) -> list[np.ndarray]:
    return [np.frombuffer(image, dtype=dtype).reshape(shape) for image in IMAGES]


FLAVOURS = {
    "bytes": (IMAGES, SAME),
    "tuples": (tuple(IMAGES), tuple(SAME)),
    "a list instead of a tuple": [IMAGES, SAME],
    "numbers": (IMAGES, [int(same) for same in SAME]),
    "numpy truth values": (IMAGES, [np.bool_(same) for same in SAME]),
    "array of truth values": (IMAGES, np.array(SAME)),
    "array of int64": (IMAGES, np.array(SAME, dtype=np.int64)),
    "array of big-endian": (IMAGES, np.array(SAME, dtype=">i4")),
    "uint8 arrays": (arrays(), SAME),
    "copied uint8 arrays": ([array.copy() for array in arrays()], SAME),
    "columns": (arrays(shape=(-1, 1)), SAME),
    "column-major columns": ([np.asfortranarray(array) for array in arrays(shape=(1, -1))], SAME),
    "int8 arrays": (arrays("int8"), SAME),
    "bytearrays": ([bytearray(image) for image in IMAGES], SAME),
    "floats": (IMAGES, [float(same) for same in SAME]),
    "array of float64": (IMAGES, np.array(SAME, dtype=np.float64)),
    "array of objects": (np.array([*IMAGES, None], dtype=object)[:-1], SAME),
}


@pytest.mark.parametrize(
    ("flavour", "protocol"),
    [
        (flavour, protocol)
        for flavour in FLAVOURS
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        if flavour != "bytearrays" or protocol >= 5  # the first with an opcode for them
    ],
)
def test_every_flavour_of_python_3(tmp_path: Path, flavour: str, protocol: int) -> None:
    pack = read_pack(stored(tmp_path, pickle.dumps(FLAVOURS[flavour], protocol=protocol)))
    assert pack.name == "pack"
    assert pack.images == IMAGES
    assert pack.issame.dtype == bool
    assert pack.issame.tolist() == SAME


@pytest.mark.parametrize("protocol", NUMPY_1)
def test_written_with_numpy_1(tmp_path: Path, protocol: int) -> None:
    pack = read_pack(stored(tmp_path, base64.b64decode(NUMPY_1[protocol])))
    assert pack.images == [bytes(range(5)), b"xy"]
    assert pack.issame.tolist() == [True]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bytes_of_python_2_that_python_3_wrote_as_text(tmp_path: Path, protocol: int) -> None:
    """Loaded with ``encoding="latin1"`` and dumped again."""
    images = [b"\xff\xd8" + image for image in IMAGES]
    data = pickle.dumps(([image.decode("latin-1") for image in images], SAME), protocol)
    assert read_pack(stored(tmp_path, data)).images == images
    for text in ("plain", "\u0100\xff"):  # no encoded image
        with pytest.raises(PackError, match="an encoded image was expected in it, not str"):
            read_pack(stored(tmp_path, pickle.dumps(([text, text], [True]), protocol)))


def test_written_by_python_2(tmp_path: Path) -> None:
    """What Python 2.7's cPickle writes for ([str, str], [bool]), protocols 0 and 2: str has its own instructions."""
    protocol_0 = b"((lp1\nS'\\xff\\xd8a\\x00'\np2\naS'b\\n\\''\np3\na(lp4\nI01\natp5\n."
    protocol_2 = b"\x80\x02]q\x01(U\x04\xff\xd8a\x00q\x02T\x03\x00\x00\x00b\n'q\x03e]q\x04\x88a\x86q\x05."
    array = (  # numpy.array([1, 2], 'uint8') beside a str
        b"\x80\x02]q\x01(cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89U\x02\x01\x02tbU\x01ae]\x89a\x86."
    )
    for data in (protocol_0, protocol_2):
        pack = read_pack(stored(tmp_path, data))
        assert pack.images == [b"\xff\xd8a\x00", b"b\n'"]
        assert pack.issame.tolist() == [True]
    pack = read_pack(stored(tmp_path, array))
    assert pack.images == [b"\x01\x02", b"a"]
    assert pack.issame.tolist() == [False]


# --- writer --------------------------------------------------------------------------------------------------------


def test_writer_is_read_by_pickle_and_by_us(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lfw.bin"
    write_pack(path, iter(IMAGES), np.array(SAME))
    assert pickle.loads(path.read_bytes()) == (IMAGES, SAME)
    pack = read_pack(path)
    assert (pack.name, pack.images, pack.issame.tolist(), len(pack)) == ("lfw", IMAGES, SAME, 4)


def test_writer_golden_bytes(tmp_path: Path) -> None:
    write_pack(tmp_path / "g.bin", [b"ab", b"c"], [True])
    assert (tmp_path / "g.bin").read_bytes() == b"\x80\x03](B\x02\x00\x00\x00abB\x01\x00\x00\x00ce](\x88e\x86."


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    image = b"x" * 10
    write_pack(tmp_path / "a.bin", [image, image], [True])
    write_pack(tmp_path / "b.bin", [b"x" * 10, bytes(bytearray(image))], [True])
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


def test_writer_wants_two_images_a_pair(tmp_path: Path) -> None:
    for images, same in (([b"a"], [True]), ([], []), ([b"a"] * 3, [True])):
        with pytest.raises(PackError, match="images for"):
            write_pack(tmp_path / "w.bin", images, same)
    assert list(tmp_path.iterdir()) == []


# --- decoding ------------------------------------------------------------------------------------------------------


def test_decode(tmp_path: Path) -> None:
    picture = cv2.resize(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8), (112, 112))
    red = np.zeros((112, 112, 3), np.uint8)
    red[..., 0] = 255
    pack = VerificationPack("p", [encode_jpeg(picture), encode_jpeg(red)], np.array([False]))
    decoded = pack.decode((112, 112))
    assert (decoded.shape, decoded.dtype) == ((2, 112, 112, 3), np.uint8)
    assert np.abs(decoded[0].astype(int) - picture).mean() < 3
    assert decoded[1, 50, 50, 0] > 250
    pack.images[1] = pack.images[1][:-50]
    with pytest.raises(PackError, match=r"p: image 1: .*no end marker"):
        pack.decode()
    pack.images[1] = encode_jpeg(np.zeros((100, 112, 3), np.uint8))
    with pytest.raises(PackError, match="image 1 is 112x100; 112x112 expected"):
        pack.decode()


# --- hostile -------------------------------------------------------------------------------------------------------


class Runs:
    """Pickles to a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def nested(depth: int) -> list:
    """2**depth entries in a few bytes."""
    value: list = []
    for _ in range(depth):
        value = [value, value]
    return value


G = b"cnumpy\nndarray\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
HOSTILE = {
    "system": pickle.dumps(Runs(os.system, "touch ran")),
    "system, protocol 0": pickle.dumps(Runs(os.system, "touch ran"), 0),
    "eval": pickle.dumps(([Runs(eval, "open('ran', 'w')")], [True])),
    "getattr": b"c__builtin__\ngetattr\n.",
    "dotted name": b"\x8c\x05numpy\x8c\x13ndarray.__class__.x\x93.",
    "name of the machinery": b"ccommon.verification_pack\nos\n.",
    "numpy function": b"cnumpy\nload\n(S'x'\ntR.",
    "numpy test runner": b"cnumpy.testing._private.utils\nrunstring\n(S'x'\n}tR.",
    "call of a string": b"S'os.system'\n(S'touch ran'\ntR.",
    "call of a result": b"cnumpy\ndtype\n(S'u1'\ntR(S'x'\ntR.",
    "new object": b"\x80\x02" + G + b"()\x81.",
    "instance": b"(S'touch ran'\nios\nsystem\n.",
    "object": b"(cos\nsystem\nS'touch ran'\no.",
    "change a class": b"\x80\x02" + G + b"N}X\x09\x00\x00\x00raw_bytesK\x01s\x86b.",
    "change a function": b"\x80\x02c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb.",
    "persistent id": b"Pos.system\n.",
    "extension": b"\x80\x02\x82\x01.",
    "other encoding": b"c_codecs\nencode\n(Vx\nVzip\ntR.",
    "object array by bytes": RECONSTRUCT + b"()R(K\x01(K\x01tcnumpy\ndtype\n(S'O8'\ntR\x89S'AAAAAAAA'\ntb.",
    "array of text": b"cnumpy\ndtype\n(S'S100000000000'\ntR.",
    "array of negative size": b"(](" + RECONSTRUCT + b"()R(I1\n(I-1\ntcnumpy\ndtype\n(S'u1'\ntRI00\nS''\ntbe](I01\net.",
    "huge memo": b"\x80\x02Kr\xff\xff\xff\xff]r\xff\xff\xff\xff.",
    "huge string": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0f.",
    "huge bytearray": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x0f.",
    "huge frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x0f.",
    "huge number": b"I" + b"9" * 100_000 + b"\n.",
    "exponential images": pickle.dumps((nested(60), [True])),
    "exponential truth": pickle.dumps(([b"a", b"b"], nested(60))),
    "exponential truth value": pickle.dumps(([b"a", b"b"], [nested(60)])),
    "exponential type": b"cnumpy\ndtype\n(" + pickle.dumps(nested(60), 2)[2:-1] + b"tR.",
    "deep": b"]" * 100_000 + b"a" * 99_999 + b".",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_packs_are_user_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        read_pack(stored(tmp_path, HOSTILE[name]))
    assert str(tmp_path / "pack.bin") in str(caught.value)
    assert len(str(caught.value)) < 400
    assert not (tmp_path / "ran").exists()


def test_nothing_is_ever_imported_or_looked_up(tmp_path: Path) -> None:
    """Every pair of a standard module and one of its names is refused, but for the few that have a stand-in."""
    for module in (
        "os",
        "sys",
        "builtins",
        "subprocess",
        "numpy",
        "pickle",
        "lwface.formats.verification_pack",
        "numpy._core.multiarray",
    ):
        for name in dir(__import__(module, fromlist=["_"])):
            data = f"c{module}\n{name}\n(tR.".encode()
            with pytest.raises(PackError):
                read_pack(stored(tmp_path, data))


def test_the_machinery_is_the_same_after_an_attack(tmp_path: Path) -> None:
    for data in HOSTILE.values():
        with pytest.raises(UserError):
            read_pack(stored(tmp_path, data))
    assert read_pack(stored(tmp_path, pickle.dumps((arrays(), SAME), 2))).images == IMAGES


# --- damaged -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_truncation_and_many_flips(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps((arrays()[:2], [np.bool_(True)]), protocol=protocol)
    for length in range(len(data)):
        with pytest.raises(PackError, match=f"it ends early, after {length} bytes .*copy it again"):
            read_pack(stored(tmp_path, data[:length]))
    for position in range(len(data)):
        for bit in (1, 8, 128):
            damaged = bytearray(data)
            damaged[position] ^= bit
            try:
                pack = read_pack(stored(tmp_path, bytes(damaged)))
            except UserError:
                continue
            assert len(pack.images) == 2 * len(pack)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (([], []), "0 images for 0 pairs"),
        ((IMAGES, SAME[:-1]), "8 images for 3 pairs"),
        ((IMAGES[:-1], SAME), "7 images for 4 pairs"),
        ((IMAGES, [2, 0, 0, 1]), "truth value"),
        ((IMAGES, [None] * 4), "truth value"),
        ((IMAGES, [b"1"] * 4), "truth value"),
        (([1] * 8, SAME), "encoded image"),
        (([np.zeros((4, 4, 3), np.uint8)] * 8, SAME), "not an encoded image"),
        (([np.zeros(4, np.int64)] * 8, SAME), "uint8"),
        ((b"ab", SAME), "a list was expected"),
        ((IMAGES, SAME, SAME), "not a verification pack"),
        (IMAGES, "not a verification pack"),
        (3, "not a verification pack"),
    ],
)
def test_contents_that_are_no_pack(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(PackError, match=message):
        read_pack(stored(tmp_path, pickle.dumps(content, 4)))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_pack(tmp_path / "absent.bin")


def test_the_written_pickle_has_only_plain_instructions(tmp_path: Path) -> None:
    write_pack(tmp_path / "w.bin", IMAGES, SAME)
    names = {opcode.name for opcode, _, _ in pickletools.genops(io.BytesIO((tmp_path / "w.bin").read_bytes()))}
    assert names == {"PROTO", "EMPTY_LIST", "MARK", "BINBYTES", "APPENDS", "NEWTRUE", "NEWFALSE", "TUPLE2", "STOP"}
    assert struct.unpack("<I", (tmp_path / "w.bin").read_bytes()[5:9]) == (len(IMAGES[0]),)


@pytest.mark.parametrize("instruction", [pickle.EMPTY_LIST, pickle.MARK, pickle.EMPTY_TUPLE + pickle.MEMOIZE])
def test_instructions_that_only_take_memory_end_early(tmp_path: Path, instruction: bytes) -> None:
    path = stored(tmp_path, pickle.PROTO + b"\x04" + instruction * 300_000)
    tracemalloc.start()
    try:
        with pytest.raises(PackError, match="more instructions than a file of its size needs"):
            read_pack(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_a_pack_that_repeats_one_image_over_and_over_is_not_decoded(tmp_path: Path) -> None:
    image = encode_jpeg(np.zeros((112, 112, 3), np.uint8))
    pairs = 20_000
    pack = VerificationPack("lfw", [image] * (2 * pairs), np.ones(pairs, bool))
    with pytest.raises(PackError, match=f"{2 * pairs} images in {len(image)} bytes: it repeats a few over and over"):
        pack.decode()
    assert len(VerificationPack("lfw", [image] * 4, np.ones(2, bool)).decode()) == 4
