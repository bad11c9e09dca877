"""Parameter files: bytes written by MXNet 1.9.1 (``mx.nd.save``, printed as hex), every version, and damage."""

import os
import struct
import tracemalloc

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.mxnet.names import params_path
from lwface.mxnet.params import VERSION_1, VERSION_2, VERSION_3, read_params, write_params

# mx.nd.save("x.params", {"arg:a": mx.nd.array(np.arange(3), dtype=name)}) without the 24 bytes all have in common
START = struct.pack("<QQQ", 0x112, 0, 1)
NAME = "010000000000000005000000000000006172673a61"
GOLDEN = {
    "float32": "c9fa93f900000000010000000300000000000000010000000000000000000000000000000000803f00000040",
    "float64": "c9fa93f9000000000100000003000000000000000100000000000000010000000000000000000000000000000000f03f"
    "0000000000000040",
    "float16": "c9fa93f9000000000100000003000000000000000100000000000000020000000000003c0040",
    "uint8": "c9fa93f900000000010000000300000000000000010000000000000003000000000102",
    "int32": "c9fa93f900000000010000000300000000000000010000000000000004000000000000000100000002000000",
    "int8": "c9fa93f900000000010000000300000000000000010000000000000005000000000102",
    "int64": "c9fa93f9000000000100000003000000000000000100000000000000060000000000000000000000010000000000000002000000"
    "00000000",
    "bool": "c9fa93f900000000010000000300000000000000010000000000000007000000000101",
}


def golden(number_type):
    return START + bytes.fromhex(GOLDEN[number_type] + NAME)


def array_bytes(magic, shape, data, *, code=0, storage=0, device=1):
    """An array as the versions write it; ``magic`` None is the layout from before MXNet 1.0."""
    if magic is None:
        head = struct.pack(f"<I{len(shape)}I", len(shape), *shape)
    else:
        head = struct.pack("<I", magic) + (struct.pack("<i", storage) if magic != VERSION_1 else b"")
        head += struct.pack(f"<I{len(shape)}q", len(shape), *shape)
    return head + struct.pack("<iii", device, 0, code) + data


def file_bytes(*arrays, names=(b"arg:a",), count=None):
    listed = b"".join(struct.pack("<Q", len(name)) + name for name in names)
    return (
        struct.pack("<QQQ", 0x112, 0, len(arrays) if count is None else count)
        + b"".join(arrays)
        + (struct.pack("<Q", len(names)) + listed)
    )


@pytest.fixture
def read(tmp_path):
    """Reads bytes as a parameter file."""

    def call(data):
        path = tmp_path / "model-0001.params"
        path.write_bytes(data)
        return read_params(path)

    return call


@pytest.mark.parametrize("number_type", GOLDEN)
def test_bytes_are_mxnets(number_type, read, tmp_path):
    array = np.arange(3).astype(number_type)
    write_params(tmp_path / "written.params", {"arg:a": array})
    assert (tmp_path / "written.params").read_bytes() == golden(number_type)
    found = read(golden(number_type))
    assert list(found) == ["arg:a"]
    assert found["arg:a"].dtype == array.dtype
    np.testing.assert_array_equal(found["arg:a"], array)


def test_many_arrays_come_back_in_order(tmp_path):
    draw = np.random.default_rng(0)
    arrays = {f"arg:layer{i}_weight": draw.normal(size=(i + 1, 2, 3)).astype(np.float32) for i in range(20)}
    arrays["aux:bn_moving_var"] = np.asfortranarray(draw.normal(size=(4, 5)))
    write_params(tmp_path / "many.params", arrays)
    found = read_params(tmp_path / "many.params")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable


@pytest.mark.parametrize("magic", [None, VERSION_1, VERSION_2, VERSION_3])
def test_every_version(magic, read):
    values = np.arange(6, dtype="<f4")
    found = read(file_bytes(array_bytes(magic, (2, 3), values.tobytes()), names=[b"aux:x"]))
    np.testing.assert_array_equal(found["aux:x"], values.reshape(2, 3))


def test_number_types_of_newer_files(read):
    for code, kind in {8: "<i2", 9: "<u2", 10: "<u4", 11: "<u8"}.items():
        values = np.array([1, 2, 250], kind)
        found = read(file_bytes(array_bytes(VERSION_2, (3,), values.tobytes(), code=code)))
        np.testing.assert_array_equal(found["arg:a"], values)
    bits = np.array([0x3F80, 0xC040, 0x7F80], "<u2")  # 1, -3, infinity in bfloat16
    found = read(file_bytes(array_bytes(VERSION_2, (3,), bits.tobytes(), code=12)))
    assert found["arg:a"].dtype == np.float32
    assert found["arg:a"].tolist() == [1.0, -3.0, float("inf")]


def test_a_number_and_nothing_exist_since_version_3(read):
    assert read(file_bytes(array_bytes(VERSION_3, (), b"\0\0\x80?")))["arg:a"].item() == 1.0
    assert read(file_bytes(array_bytes(VERSION_3, (0, 3), b"")))["arg:a"].shape == (0, 3)


def test_a_gpu_array(read):
    assert read(file_bytes(array_bytes(VERSION_2, (1,), bytes(4), device=2)))["arg:a"].shape == (1,)


DAMAGED = {
    "empty": (b"", "does not begin"),
    "another file": (b"PK\3\4" + bytes(100), "does not begin"),
    "cut in the numbers": (golden("float32")[:70], "cut short"),
    "cut in a name": (golden("float32")[:-2], "cut short"),
    "too long": (golden("float32") + b"x", "1 bytes follow"),
    "a count of 2**40": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), count=2**40), "1099511627776 arrays"),
    "a count of 2**64 - 1": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), count=2**64 - 1), "arrays do not fit"),
    "a shape of 2**60": (file_bytes(array_bytes(VERSION_2, (2**60,), bytes(4))), "cut short"),
    "a product over 2**64": (file_bytes(array_bytes(VERSION_2, (2**32, 2**32), bytes(4))), "cut short"),
    "a product of 0 by overflow": (file_bytes(array_bytes(VERSION_2, (2**62, 4), bytes(4))), "cut short"),
    "huge and empty": (file_bytes(array_bytes(VERSION_3, (2**62, 2**62, 0), b"")), "cut short"),
    "a negative size": (file_bytes(array_bytes(VERSION_2, (-1, -4), bytes(16))), "shape"),
    "a rank of 2**31": (file_bytes(struct.pack("<IiI", VERSION_2, 0, 2**31) + bytes(64)), "rank 2147483648"),
    "an unknown version": (file_bytes(struct.pack("<I", 0xF993FACB) + bytes(64)), "version or rank"),
    "no shape": (file_bytes(struct.pack("<IiI", VERSION_2, 0, 0)), "without a shape"),
    "row_sparse": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4), storage=1)), "row_sparse"),
    "csr": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4), storage=2)), "csr"),
    "an unknown storage": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4), storage=7)), "unknown"),
    "an unknown number type": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4), code=99)), "number type 99"),
    "an unknown device": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4), device=77)), "device"),
    "no names": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), names=()), "1 arrays, but 0 names"),
    "too many names": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), names=(b"a", b"b")), "2 names"),
    "the same name twice": (
        file_bytes(*[array_bytes(VERSION_2, (1,), bytes(4))] * 2, names=(b"a", b"a")),
        "two arrays",
    ),
    "a name that is not UTF-8": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), names=(b"\xff\xfe",)), "UTF-8"),
    "an empty name": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), names=(b"",)), "1 to"),
    "a long name": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), names=(b"a" * 5000,)), "name of 5000 bytes"),
    "a terminal's codes": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), names=(b"a\x1b[2J",)), "printed"),
    "a zero byte": (file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), names=(b"a\0b",)), "printed"),
}
for text in ("../../etc/passwd", "arg:../x", "/etc/passwd", "arg:/etc/passwd", "a/../b", "..\\x", "~/x"):
    one = array_bytes(VERSION_2, (1,), bytes(4))
    DAMAGED[f"the path {text}"] = (file_bytes(one, names=(text.encode(),)), "path of a file")


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_an_error_before_memory_is_spent(damage, read):
    data, message = DAMAGED[damage]
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=message) as error:
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert "model-0001.params: not an MXNet parameter file, or damaged: " in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()


def test_every_cut_is_noticed(read):
    whole = file_bytes(
        array_bytes(VERSION_2, (2,), bytes(8)), array_bytes(None, (1, 1), bytes(4)), names=(b"arg:a", b"aux:b")
    )
    assert len(read(whole)) == 2
    for length in range(len(whole)):
        with pytest.raises(UserError):
            read(whole[:length])


def test_a_name_with_a_slash_is_only_a_name(read):
    assert list(read(file_bytes(array_bytes(VERSION_2, (1,), bytes(4)), names=(b"arg:net/conv.1_weight",))))


@pytest.mark.parametrize(
    ("name", "array"),
    [("a", np.float32(1)), ("a", np.zeros(2, "complex64")), ("a", np.zeros(2, "U3")), ("../a", np.zeros(2, "f4"))],
)
def test_what_could_not_be_read_back_is_not_written(name, array, tmp_path):
    with pytest.raises(ValueError, match=r"MXNet cannot save|path"):
        write_params(tmp_path / "x.params", {name: np.asarray(array)})
    assert os.listdir(tmp_path) == []


def test_the_path_of_an_epoch():
    assert str(params_path("models/y1/model", 7)) == "models/y1/model-0007.params"
