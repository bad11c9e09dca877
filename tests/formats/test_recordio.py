"""RecordIO byte for byte, every damage an error that says where, and reads that do not disturb each other."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import random
import threading
from pathlib import Path

import numpy as np
import pytest

from lwface.formats.recordio import (
    MAGIC_BYTES,
    RecordError,
    RecordReader,
    RecordWriter,
    encode_record,
    pack,
    read_index,
    unpack,
)

M = MAGIC_BYTES
EDGES = [
    *(b"", b"a", b"abc", M, M * 2, b"a" + M, b"abcd" + M, M + b"a", M + b"abcd"),
    *(b"abcd" + M + M + b"efgh" + M + b"i", b"abcd" + M[:3], b"ab" + M + b"cd" + M),
]
# Written by mxnet.recordio.MXIndexedRecordIO of MXNet 1.9.1 from EDGES with keys 0, 1, ...
EDGES_REC = bytes.fromhex(
    "0a23d7ce000000000a23d7ce01000000610000000a23d7ce03000000616263000a23d7ce000000200a23d7ce000000600a23d7ce00000020"
    "0a23d7ce000000400a23d7ce000000600a23d7ce05000000610a23d7ce0000000a23d7ce04000020616263640a23d7ce000000600a23d7ce"
    "000000200a23d7ce01000060610000000a23d7ce000000200a23d7ce04000060616263640a23d7ce04000020616263640a23d7ce00000040"
    "0a23d7ce04000040656667680a23d7ce01000060690000000a23d7ce07000000616263640a23d7000a23d7ce0800002061620a23d7ce6364"
    "0a23d7ce00000060"
)
EDGES_IDX = "0\t0\n1\t8\n2\t20\n3\t32\n4\t48\n5\t72\n6\t88\n7\t108\n8\t128\n9\t148\n10\t192\n11\t208\n"


def random_payloads(count: int) -> list[bytes]:
    dice = random.Random(5)
    payloads = []
    for _ in range(count):
        payload = b""
        for _ in range(int(dice.random() * 9)):
            kind = dice.random()
            if kind < 0.5:
                payload += M * (1 + int(dice.random() * 3))
            else:
                payload += bytes(int(dice.random() * 256) for _ in range(int(dice.random() * 40)))
        payloads.append(payload)
    return payloads


def write(rec: Path, payloads: dict[int, bytes]) -> Path:
    with RecordWriter(rec) as writer:
        for key, payload in payloads.items():
            writer.write(key, payload)
    return rec


# --- bytes ---------------------------------------------------------------------------------------------------------


def test_edges_are_mxnets_bytes(tmp_path: Path) -> None:
    rec = write(tmp_path / "e.rec", dict(enumerate(EDGES)))
    assert rec.read_bytes() == EDGES_REC
    assert rec.with_suffix(".idx").read_text() == EDGES_IDX
    reader = RecordReader(rec)
    assert [reader.read(k) for k in range(len(EDGES))] == EDGES


def test_random_payloads_are_mxnets_bytes(tmp_path: Path) -> None:
    """The hashes are of what MXNet 1.9.1 writes from the same 1000 payloads."""
    payloads = random_payloads(1000)
    rec = write(tmp_path / "r.rec", dict(enumerate(payloads)))
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (rec, rec.with_suffix(".idx"))]
    assert hashes == [
        "ed5dbf649dbcdacd1bab4be490c5f57644e74e46a3c591d3d43e83316f9f46b7",
        "2bcd8dce35ea25bc1eecd47766205326017388b025d3325dc797e70bc29f7510",
    ]
    reader = RecordReader(rec)
    assert [reader.read(k) for k in reversed(range(1000))] == payloads[::-1]


@pytest.mark.parametrize(
    ("header", "mxnet"),
    [  # mxnet.recordio.pack(IRHeader(*header), b"jpeg").hex() of MXNet 1.9.1
        ((0, 3.0, 7, 0), "0000000000004040070000000000000000000000000000006a706567"),
        (
            (5, [1.5, -2.0, 3e7], 2**40, 1),
            "0300000000000000000000000001000001000000000000000000c03f000000c0c0e1e44b6a706567",
        ),
        ((0, (4, 6), 0, 1), "020000000000000000000000000000000100000000000000000080400000c0406a706567"),
    ],
)
def test_pack_is_mxnets(header: tuple, mxnet: str) -> None:
    payload = pack(header, b"jpeg")
    assert payload.hex() == mxnet
    got, labels, data = unpack(payload)
    assert (got.id, got.id2, data) == (header[2], header[3], b"jpeg")
    np.testing.assert_array_equal(labels, np.float32(header[1]).reshape(-1))


def test_unpack_refuses_what_is_too_short() -> None:
    payload = pack((0, [1.0, 2.0], 0, 0), b"")
    for length in range(len(payload)):
        with pytest.raises(RecordError):
            unpack(payload[:length])


def test_a_record_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lwface.formats.recordio.MAX_LENGTH", 10)
    assert encode_record(bytes(10))
    with pytest.raises(RecordError, match="too long"):
        encode_record(bytes(11))


# --- damage --------------------------------------------------------------------------------------------------------


def damage_set(tmp_path: Path) -> tuple[Path, dict[int, bytes]]:
    payloads = {3: b"first one", 5: b"abcd" + M + b"efgh" + M + b"xy", 9: b"", 2: b"the last record"}
    return write(tmp_path / "d.rec", payloads), payloads


def test_every_truncation_is_an_error_for_the_records_it_touches(tmp_path: Path) -> None:
    rec, payloads = damage_set(tmp_path)
    whole = rec.read_bytes()
    ends = {
        key: len(b"".join(encode_record(payloads[k]) for k in list(payloads)[: i + 1]))
        for i, key in enumerate(payloads)
    }
    for length in range(len(whole)):
        rec.write_bytes(whole[:length])
        if length == 0:
            with pytest.raises(RecordError, match="empty"):
                RecordReader(rec)
            continue
        reader = RecordReader(rec)
        for key, payload in payloads.items():
            if ends[key] <= length:
                assert reader.read(key) == payload
            else:
                with pytest.raises(RecordError) as caught:
                    reader.read(key)
                assert (caught.value.path, caught.value.key) == (rec, key)
                assert caught.value.offset == reader.offset_of(key)
                assert str(rec) in str(caught.value)
                assert f"record {key} at byte {caught.value.offset}" in str(caught.value)


def test_every_damaged_frame_byte_is_an_error(tmp_path: Path) -> None:
    """Flips in a frame are found unless the new length ends in the padding; flips in a payload stay in that record."""
    rec, payloads = damage_set(tmp_path)
    whole = rec.read_bytes()
    offsets = dict(zip(*(a.tolist() for a in read_index(rec.with_suffix(".idx"))), strict=True))
    frames = [i for i in range(0, len(whole), 4) if whole[i : i + 4] == M]
    for position in range(len(whole)):
        owner = max((offset, key) for key, offset in offsets.items() if offset <= position)[1]
        in_frame = next((position - f for f in frames if 0 <= position - f < 8), None)
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            rec.write_bytes(damaged)
            reader = RecordReader(rec)
            for key, payload in payloads.items():
                if key != owner:
                    assert reader.read(key) == payload
            if in_frame is not None and in_frame < 4:
                with pytest.raises(RecordError):
                    reader.read(owner)
                continue
            try:
                got = reader.read(owner)
            except RecordError:
                assert in_frame is not None  # what a payload holds is not the reader's to judge
            else:
                if in_frame is None:
                    assert len(got) == len(payloads[owner])
                else:  # only a length that ends within the same padding cannot be told from a right one
                    assert in_frame == 4
                    assert abs(len(got) - len(payloads[owner])) < 4


@pytest.mark.parametrize(
    ("idx", "message"),
    [
        ("", "empty"),
        ("0\t0\n1\n", "not an index"),
        ("0\t0\n1\tx\n", "not an index"),
        ("0 0\n", "not an index|columns"),
        ("0\t0\t1\n", "columns"),
        ("0\t0\n0\t16\n", "key 0 is there twice"),
        ("0\t1.5\n", "not an index"),
        ("0\t99999999999999999999999\n", "not an index"),
        ("\u00e9\t0\n", "not an index"),
    ],
)
def test_damaged_index(tmp_path: Path, idx: str, message: str) -> None:
    rec = write(tmp_path / "a.rec", {0: b"some", 1: b"more"})
    rec.with_suffix(".idx").write_text(idx, encoding="utf-8")
    with pytest.raises(RecordError, match=message) as caught:
        RecordReader(rec)
    assert str(rec.with_suffix(".idx")) in str(caught.value)


@pytest.mark.parametrize("offset", [-8, -1, 1, 6, 28, 10**15])
def test_index_that_points_outside_or_between(tmp_path: Path, offset: int) -> None:
    rec = write(tmp_path / "a.rec", {0: b"some", 1: b"abcd" + M})
    rec.with_suffix(".idx").write_text(f"0\t0\n7\t{offset}\n")
    reader = RecordReader(rec)
    with pytest.raises(RecordError, match=f"record 7 at byte {offset}") as caught:
        reader.read(7)
    assert (caught.value.path, caught.value.key, caught.value.offset) == (rec, 7, offset)
    with pytest.raises(RecordError):
        reader.first_labels(np.array([7]))


def test_index_that_points_into_a_split_record(tmp_path: Path) -> None:
    rec = write(tmp_path / "a.rec", {0: b"abcd" + M + b"efgh"})
    rec.with_suffix(".idx").write_text("0\t12\n")
    with pytest.raises(RecordError, match="continuation flag 3"):
        RecordReader(rec).read(0)


def test_missing_files_and_keys(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"a\.rec: no such"):
        RecordReader(tmp_path / "a.rec")
    rec = write(tmp_path / "a.rec", {0: b"some", 4: b"more"})
    reader = RecordReader(rec)
    for key in (-1, 1, 5):
        with pytest.raises(RecordError, match=f"no key {key}"):
            reader.read(key)
    rec.with_suffix(".idx").unlink()
    with pytest.raises(RecordError, match=r"index of a\.rec is missing"):
        RecordReader(rec)


# --- independence --------------------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path: Path) -> tuple[RecordReader, list[bytes]]:
    payloads = random_payloads(300)
    return RecordReader(write(tmp_path / "m.rec", dict(enumerate(payloads)))), payloads


def reads_right(reader: RecordReader, payloads: list[bytes], seed: int) -> bool:
    order = np.random.default_rng(seed).integers(0, len(payloads), 2000)
    return all(reader.read(int(k)) == payloads[k] for k in order)


def test_threads_read_at_once(many: tuple[RecordReader, list[bytes]]) -> None:
    reader, payloads = many
    good: list[bool] = []
    threads = [threading.Thread(target=lambda s=s: good.append(reads_right(reader, payloads, s))) for s in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert good == [True] * 8


def test_forked_processes_read_at_once(many: tuple[RecordReader, list[bytes]]) -> None:
    reader, payloads = many
    children = []
    for seed in range(4):
        child = os.fork()
        if child == 0:
            os._exit(0 if reads_right(reader, payloads, seed) else 1)
        children.append(child)
    assert reads_right(reader, payloads, 9)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


def test_spawned_process_reads_a_pickled_reader(many: tuple[RecordReader, list[bytes]]) -> None:
    reader, payloads = many
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(reader.read, (7,)) == payloads[7]


def test_pickled_copy_reads_alone(many: tuple[RecordReader, list[bytes]]) -> None:
    reader, payloads = many
    copy = pickle.loads(pickle.dumps(reader))
    reader.close()
    assert reads_right(copy, payloads, 0)


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(RecordError("text", path="a", key=3, offset=8)))
    assert (str(error), error.path, error.key, error.offset) == ("text", "a", 3, 8)


# --- writer --------------------------------------------------------------------------------------------------------


def test_nothing_is_there_before_the_end(tmp_path: Path) -> None:
    rec = tmp_path / "w.rec"
    writer = RecordWriter(rec)
    writer.write(0, b"x")
    assert not rec.exists()
    writer.__exit__(RuntimeError, RuntimeError(), None)
    assert list(tmp_path.iterdir()) == []


def test_resume_from_any_cut_gives_the_same_bytes(tmp_path: Path) -> None:
    whole = tmp_path / "whole.rec"
    write(whole, dict(enumerate(EDGES)))
    rec = tmp_path / "w.rec"
    parts = [Path(f"{rec}.part"), Path(f"{rec.with_suffix('.idx')}.part")]
    contents = [EDGES_REC, EDGES_IDX.encode()]
    dice = random.Random(1)
    cuts = [(i, len(contents[1])) for i in range(len(EDGES_REC) + 1)]
    cuts += [(len(EDGES_REC), i) for i in range(len(contents[1]) + 1)]
    cuts += [(dice.randrange(len(EDGES_REC)), dice.randrange(len(contents[1]))) for _ in range(50)]
    for cut in cuts:
        for part, content, size in zip(parts, contents, cut, strict=True):
            part.write_bytes(content[:size])
        with RecordWriter(rec, resume=True) as writer:
            assert writer.last_key == (writer.count - 1 if writer.count else None)
            for key in range(writer.count, len(EDGES)):
                writer.write(key, EDGES[key])
        assert rec.read_bytes() == EDGES_REC, cut
        assert rec.with_suffix(".idx").read_bytes() == contents[1], cut


def test_without_resume_leftovers_are_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "w.rec.part").write_bytes(EDGES_REC)
    (tmp_path / "w.idx.part").write_text(EDGES_IDX)
    assert RecordReader(write(tmp_path / "w.rec", {4: b"new"})).keys.tolist() == [4]


def test_two_writers_of_one_file_are_an_error(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "w.rec") as writer:
        with pytest.raises(RecordError, match="another process"):
            RecordWriter(tmp_path / "w.rec")
        writer.write(0, b"x")
    assert RecordReader(tmp_path / "w.rec").read(0) == b"x"


def test_index_of_a_million_needs_little_memory(tmp_path: Path) -> None:
    """Arrays, not lists: 16 bytes a record stay; a list of numbers would be 70."""
    offsets = np.arange(1_000_000, dtype=np.int64) * 8
    idx = tmp_path / "big.idx"
    np.savetxt(idx, np.stack([np.roll(np.arange(1_000_000), -1), offsets], axis=1), fmt="%d", delimiter="\t")
    keys, got = read_index(idx)
    assert keys.dtype == got.dtype == np.int64
    np.testing.assert_array_equal(keys, np.arange(1_000_000))
    np.testing.assert_array_equal(got, np.roll(offsets, 1))
