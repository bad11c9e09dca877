"""RecordIO, the data file of MXNet (``train.rec`` with ``train.idx``), byte for byte, without MXNet.

A record is ``uint32 0xCED7230A``, ``uint32`` with a continuation flag in the top 3 bits and a length in the low 29, the
payload, zeros to a multiple of 4; all little-endian. A payload that holds the magic word at a multiple of 4 is split
there into parts with the flags 1 (first), 2 (middle), 3 (last) and the word itself left out. An index line is
``key<TAB>byte offset``.

The payload of a face record is a 24-byte header ``uint32 flag, float32 label, uint64 id, uint64 id2``, then ``flag``
float32 labels that replace ``label`` when ``flag`` is not 0, then the JPEG. :class:`FaceRecords` knows the two layouts
of a data set: InsightFace's, whose record 0 holds two labels ``a, b`` (images are keys 1 to a-1, keys a to b-1 hold the
key range of one identity each), and the plain one, where every record is an image.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from lwface.base.files import PathLike, commit
from lwface.formats.record_files import RecordError, record_file
from lwface.formats.text_files import open_text

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
MAX_LENGTH = (1 << 29) - 1
MAX_EXACT_LABEL = 1 << 24  # labels are float32: integers above this are not all representable

_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)  # continuation flags
_FRAME = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
_LABEL_BLOCK = 1 << 18  # records whose labels are gathered at once


class Header(NamedTuple):
    """The 24 bytes before an image. ``flag`` is the number of labels that follow them; 0: ``label`` is the only one."""

    flag: int
    label: float
    id: int
    id2: int


def pack(header: Header | tuple[int, Any, int, int], data: bytes) -> bytes:
    """The payload for ``data`` under ``header``, whose label may be a number or a sequence (``flag`` is set to fit)."""
    _, label, identifier, identifier2 = header
    if np.ndim(label) == 0:
        return _HEADER.pack(0, float(label), identifier, identifier2) + data
    labels = np.asarray(label, dtype="<f4").reshape(-1)
    return _HEADER.pack(labels.size, 0.0, identifier, identifier2) + labels.tobytes() + data


def unpack(payload: bytes) -> tuple[Header, np.ndarray, bytes]:
    """``(header, labels (max(1, flag),) float32, data)`` of a payload; :class:`RecordError` when it is too short."""
    if len(payload) < _HEADER.size:
        raise RecordError(f"{len(payload)} bytes are too few for an image header of {_HEADER.size}")
    header = Header(*_HEADER.unpack_from(payload))
    if header.flag == 0:
        return header, np.array([header.label], dtype=np.float32), payload[_HEADER.size :]
    end = _HEADER.size + 4 * header.flag
    if end > len(payload):
        raise RecordError(f"the header announces {header.flag} labels, but the record has only {len(payload)} bytes")
    labels = np.frombuffer(payload, dtype="<f4", count=header.flag, offset=_HEADER.size).astype(np.float32)
    return header, labels, payload[end:]


def encode_record(payload: bytes) -> bytes:
    """``payload`` as it stands in the file, split where it holds the magic word at a multiple of 4."""
    if len(payload) > MAX_LENGTH:
        raise RecordError(f"a record of {len(payload)} bytes is too long: at most {MAX_LENGTH} fit")
    pieces: list[bytes] = []
    start = 0
    at = payload.find(MAGIC_BYTES)
    while at >= 0:
        if at % 4:
            at = payload.find(MAGIC_BYTES, at + 1)
            continue
        pieces += _frame(_MIDDLE if start else _FIRST, at - start), payload[start:at]
        start = at + 4
        at = payload.find(MAGIC_BYTES, start)
    pieces += _frame(_LAST if start else _WHOLE, len(payload) - start), payload[start:], bytes(-len(payload) % 4)
    return b"".join(pieces)


def _frame(flag: int, length: int) -> bytes:
    return _FRAME.pack(MAGIC, flag << 29 | length)


def _index_path(rec_path: Path, idx_path: PathLike | None) -> Path:
    return rec_path.with_suffix(".idx") if idx_path is None else Path(idx_path)


def read_index(idx_path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """``(keys, offsets)`` of an index file, int64 ``(N,)``, in ascending order of the keys."""
    if os.path.getsize(idx_path) == 0:
        raise RecordError(f"{idx_path}: the index is empty", path=idx_path)
    try:
        with open_text(idx_path) as file:
            table = np.loadtxt(file, dtype=np.int64, delimiter="\t", comments=None, ndmin=2, encoding="ascii")
    except (ValueError, OverflowError) as error:
        raise RecordError(
            f"{idx_path}: not an index (key<TAB>byte offset a line): {str(error).splitlines()[0]}", path=idx_path
        ) from None
    if table.shape[1] != 2:
        raise RecordError(f"{idx_path}: {table.shape[1]} columns a line; key<TAB>byte offset expected", path=idx_path)
    keys, offsets = np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])
    steps = np.diff(keys)
    if (steps <= 0).any():  # InsightFace's files end with key 0
        order = np.argsort(keys, kind="stable")
        keys, offsets = keys[order], offsets[order]
        twice = np.flatnonzero(np.diff(keys) == 0)
        if twice.size:
            key = int(keys[twice[0]])
            raise RecordError(f"{idx_path}: key {key} is there twice", path=idx_path, key=key)
    return keys, offsets


class RecordReader:
    """Reads records by key from a memory-mapped file.

    A read shares nothing with another: any number of threads, forked processes and pickled copies may read at once.
    Every damage that can be seen is a :class:`RecordError`.

    Attributes:
        path: the record file.
        keys: int64 ``(N,)``, ascending.
        offsets: int64 ``(N,)``, the byte at which each key's record starts.
    """

    def __init__(self, rec_path: PathLike, idx_path: PathLike | None = None) -> None:
        self.path = record_file(rec_path)
        self.idx_path = _index_path(self.path, idx_path)
        if not self.idx_path.is_file():
            raise RecordError(f"{self.idx_path}: the index of {self.path.name} is missing", path=self.idx_path)
        self.keys, self.offsets = read_index(self.idx_path)
        in_order = bool((np.diff(self.offsets) >= 0).all())
        self._starts = self.offsets if in_order else np.sort(self.offsets)
        self._open()

    def _open(self) -> None:
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise RecordError(f"{self.path}: the record file is empty", path=self.path)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_map"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self.keys)

    def close(self) -> None:
        """Unmap the file; no read is possible afterwards."""
        self._map.close()

    def call_in_order(self, keys: Sequence[int]) -> None:
        """Call the records by ``keys`` (N,), in the order in which they lie in the file, whatever the index said."""
        new = np.array(keys, dtype=np.int64)
        order = np.argsort(new)
        self.keys, self.offsets = new[order], self._starts[order]

    def offset_of(self, key: int) -> int:
        """The byte at which the record of ``key`` starts."""
        at = int(np.searchsorted(self.keys, key))
        if at == len(self.keys) or self.keys[at] != key:
            raise RecordError(f"{self.idx_path}: the index has no key {key}", path=self.idx_path, key=int(key))
        return int(self.offsets[at])

    def read(self, key: int) -> bytes:
        """The payload of the record of ``key``."""
        offset = self.offset_of(key)
        if offset < 0 or offset >= len(self._map) or offset % 4:
            why = "not a multiple of 4" if offset % 4 else f"outside the file of {len(self._map)} bytes"
            raise self.error(key, f"the index points to byte {offset}, {why}")
        after = int(np.searchsorted(self._starts, offset, side="right"))
        limit = min(len(self._map), int(self._starts[after])) if after < len(self._starts) else len(self._map)
        parts: list[bytes] = []
        while True:
            if offset + _FRAME.size > len(self._map):
                raise self.error(key, f"the file is cut short: it ends at byte {len(self._map)} in a record's frame")
            magic, length = _FRAME.unpack_from(self._map, offset)
            flag, length = length >> 29, length & MAX_LENGTH
            if magic != MAGIC:
                raise self.error(key, f"wrong magic number 0x{magic:08X} at byte {offset} (0x{MAGIC:08X} expected)")
            if flag not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
                raise self.error(key, f"continuation flag {flag} does not belong at byte {offset}")
            if flag in (_FIRST, _MIDDLE) and length % 4:
                raise self.error(key, f"a part of {length} bytes at byte {offset} is not a multiple of 4")
            start, stop = offset + _FRAME.size, offset + _FRAME.size + length
            offset = stop + -length % 4
            if offset > len(self._map):
                raise self.error(
                    key, f"the file is cut short: it ends at byte {len(self._map)}, the record at {offset}"
                )
            if offset > limit:
                raise self.error(key, f"its length takes it to byte {offset}, into the record at byte {limit}")
            parts.append(self._map[start:stop])
            if flag in (_WHOLE, _LAST):
                break
        if offset < limit and not self._record_begins(offset):  # an index may leave records out, but not bytes
            raise self.error(key, f"it ends at byte {offset}, where no record begins: its length or flag is wrong")
        return MAGIC_BYTES.join(parts)

    def _record_begins(self, offset: int) -> bool:
        if offset + _FRAME.size > len(self._map):
            return False
        magic, length = _FRAME.unpack_from(self._map, offset)
        return magic == MAGIC and length >> 29 in (_WHOLE, _FIRST)

    def error(self, key: int, problem: str) -> RecordError:
        """The error for a ``problem`` with the record of ``key``."""
        offset = self.offset_of(key)
        return RecordError(
            f"{self.path}: record {key} at byte {offset}: {problem}", path=self.path, key=int(key), offset=offset
        )

    def first_labels(self, keys: np.ndarray) -> np.ndarray:
        """The first label of each record of ``keys``, float32 ``(len(keys),)``, without reading the images."""
        words = np.frombuffer(self._map, dtype="<u4", count=len(self._map) // 4)
        labels = np.empty(len(keys), dtype=np.float32)
        for begin in range(0, len(keys), _LABEL_BLOCK):
            block = keys[begin : begin + _LABEL_BLOCK]
            at = np.minimum(np.searchsorted(self.keys, block), len(self.keys) - 1)
            word = np.clip(self.offsets[at] // 4, 0, max(0, len(words) - 9))
            # Gathered at once where everything is in place; one by one, with all checks, where anything is not.
            if len(words) >= 9:
                flag, label = words[word + 2], np.where(words[word + 2] > 0, words[word + 8], words[word + 3])
                length, enough = words[word + 1], 24 + 4 * np.minimum(flag.astype(np.int64), MAX_LENGTH)
                good = (self.keys[at] == block) & (word * 4 == self.offsets[at]) & (words[word] == MAGIC)
                good &= (length >> 29 == _WHOLE) & (length >= enough) & (word * 4 + 8 + length <= len(self._map))
                labels[begin : begin + len(block)] = label.astype("<u4").view("<f4")
            else:
                good = np.zeros(len(block), dtype=bool)
            for i in np.flatnonzero(~good):
                labels[begin + i] = self.unpack(int(block[i]))[1][0]
        return labels

    def unpack(self, key: int) -> tuple[Header, np.ndarray, bytes]:
        """``(header, labels, data)`` of the record of ``key``; see :func:`unpack`."""
        payload = self.read(key)
        try:
            return unpack(payload)
        except RecordError as error:
            raise self.error(key, str(error)) from None


class RecordWriter:
    """Writes a record file and its index beside their targets and gives them their names when the block ends well.

    With ``resume``, what an interrupted writer left is kept and continued: ``count`` records with last key ``last_key``
    are already there, whole. Without it, they are thrown away.
    """

    def __init__(self, rec_path: PathLike, idx_path: PathLike | None = None, *, resume: bool = False) -> None:
        self.path = Path(rec_path)
        self.idx_path = _index_path(self.path, idx_path)
        self.resume = resume
        self.count = 0
        self.last_key: int | None = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._rec_part, self._idx_part = (p.with_name(p.name + ".part") for p in (self.path, self.idx_path))
        self._rec = open(self._rec_part, "ab")  # noqa: SIM115 - closed by __exit__
        try:
            fcntl.flock(self._rec, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._rec.close()
            raise RecordError(f"{self.path}: another process is writing this file", path=self.path) from None
        self._idx = open(self._idx_part, "ab")  # noqa: SIM115
        self._keep_whole_records()

    def _keep_whole_records(self) -> None:
        """Cut both part files after the last record that is whole in both."""
        rec_end = idx_end = 0
        if self.resume and self._rec.tell() > 0:
            size = self._rec.tell()
            with open(self._rec_part, "rb") as rec, open(self._idx_part, "rb") as idx:
                for line in idx:
                    fields = line.split(b"\t")
                    if not line.endswith(b"\n") or len(fields) != 2 or fields[1] != b"%d\n" % rec_end:
                        break
                    end = _whole_record_end(rec, rec_end, size)
                    if end is None:
                        break
                    rec_end, idx_end = end, idx_end + len(line)
                    self.count, self.last_key = self.count + 1, int(fields[0])
        self._rec.truncate(rec_end)
        self._idx.truncate(idx_end)
        self._offset = rec_end

    def __enter__(self) -> RecordWriter:
        return self

    def write(self, key: int, payload: bytes) -> None:
        """Append the record of ``key``."""
        record = encode_record(payload)
        self._rec.write(record)
        self._idx.write(b"%d\t%d\n" % (key, self._offset))
        self._offset += len(record)
        self.count, self.last_key = self.count + 1, key

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._rec, self._idx:
            for file in (self._rec, self._idx):
                file.flush()
                os.fsync(file.fileno())
            if kind is None:
                commit(self._rec_part, self.path)
                commit(self._idx_part, self.idx_path)
            elif not self.resume:
                self._rec_part.unlink()
                self._idx_part.unlink()


def _whole_record_end(rec: Any, offset: int, size: int) -> int | None:
    """The byte after the record at ``offset`` of a file of ``size`` bytes; None when it is not whole."""
    while offset + _FRAME.size <= size:
        rec.seek(offset)
        magic, length = _FRAME.unpack(rec.read(_FRAME.size))
        flag, length = length >> 29, length & MAX_LENGTH
        offset += _FRAME.size + length + -length % 4
        if magic != MAGIC or offset > size:
            return None
        if flag in (_WHOLE, _LAST):
            return int(offset)
    return None
