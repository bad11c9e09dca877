"""Where the files in a tar lie: read once from end to end, kept beside the tar, and checked before it is believed.

A tar is a row of members, each a header of 512 bytes (POSIX.1-2001, "ustar Interchange Format"; GNU tar's manual,
"Basic Tar Format"), its data, and zeros up to a multiple of 512; a header of zeros ends it. Long names come in a member
before the one they are for: GNU's of kind ``L``, POSIX's of kind ``x``. Nothing in a tar is ever unpacked here.

Regular files whose names end like images' are indexed; other files are counted. A link, a device, a sparse file, a name
that is absolute or has ``..`` in it is an error: who reads by name must not be led elsewhere. Of several members of one
name the last counts, as for ``tar`` itself.

The index, ``NAME.tar.index``, is ``MAGIC``; the length of what follows as little-endian uint64; JSON with the tar's
size and time, the number of members, what was skipped and a CRC-32 of the rest; then starts and sizes of the data
(int64 each), CRC-32 of each header (uint32), and the names (UTF-8, a line each), in the names' order. One that does not
fit its tar, or is damaged, is made anew.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.account import Account
from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing
from lwface.base.notes import note
from lwface.base.progress import progress
from lwface.formats.image_files import is_image_name

BLOCK = 512
MAGIC = b"lwface tar index 1\n"
READ_AHEAD = 1 << 20  # bytes; headers and small frames are read in long pieces
LONGEST_NAME = 1 << 16  # bytes of a member that holds a name
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstandard"}
_REGULAR, _FOLDER, _LONG_NAME, _LONG_LINK, _POSIX, _POSIX_ALL = b"0\x007", b"5", b"L", b"K", b"x", b"g"
_REFUSED = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe"}
_REFUSED |= {b"S": "a sparse file"}
_RECORD = re.compile(rb"(\d+) ([^=\n]+)=")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_OUTSIDE = ("/../", "\n../", "/..\n", "\n..\n", "\n/", "\n\n")  # in names of which each stands between two line ends
_NO_IMAGE, _REPLACED = "no image by its name", "a later member has the same name"
_HIDDEN = "a hidden file"


class TarMember(NamedTuple):
    """A regular file in a tar.

    Attributes:
        name: with ``/``, without ``./`` before it.
        start, size: of its data, in bytes.
        check: CRC-32 of the header before it.
    """

    name: str
    start: int
    size: int
    check: int


@dataclass(frozen=True, eq=False)
class TarIndex:
    """The images in a tar, in the order of their names.

    Attributes:
        names: N of them.
        starts, sizes: (N,) int64, of their data, in bytes.
        checks: (N,) uint32, CRC-32 of the header before each.
        skipped: what else the tar holds, as :meth:`lwface.base.account.Account.as_json`.
    """

    names: list[str]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    checks: NDArray[np.uint32]
    skipped: dict[str, object]


def index_path(tar: PathLike) -> Path:
    """Where the index of ``tar`` is kept."""
    return Path(f"{os.fspath(tar)}.index")


def tar_index(tar: PathLike) -> TarIndex:
    """The index of ``tar``: the one beside it where that fits, else a new one, which is kept there.

    Where it cannot be kept (a folder that is read-only, a full disk) it is only used, which a note says.

    Raises:
        UserError: not a tar, compressed, damaged, cut short, or with members that are refused.
        OSError: it cannot be read.
    """
    status = os.stat(tar)
    place = index_path(tar)
    if place.is_file():
        try:
            return read_index(place, status)
        except UserError as error:
            note(f"{error}; it is made anew")
    found = build_index(tar)
    try:
        write_index(place, found, status)
    except OSError as error:
        note(f"{place}: cannot be kept ({error.strerror}); the tar is read through again next time")
    return found


def build_index(tar: PathLike) -> TarIndex:
    """Read ``tar`` from end to end; errors as for :func:`tar_index`."""
    found: dict[str, TarMember] = {}
    account = Account()
    for member in progress(tar_members(tar), label=f"index of {Path(tar).name}", unit=" files"):
        base = member.name.rpartition("/")[2]
        if base.startswith("."):
            account.skip(_HIDDEN, member.name)
        elif not is_image_name(member.name):
            account.skip(_NO_IMAGE, member.name)
        else:
            if member.name in found:
                account.skip(_REPLACED, member.name)
            found[member.name] = member
    account.taken = len(found)
    names = sorted(found)
    numbers = np.array([found[name][1:] for name in names], np.int64).reshape(-1, 3)
    starts, sizes, checks = (np.ascontiguousarray(column) for column in numbers.T)
    return TarIndex(names, starts, sizes, checks.astype(np.uint32), account.as_json())


def tar_members(tar: PathLike) -> Iterator[TarMember]:
    """The regular files in ``tar`` in their order; errors as for :func:`tar_index`."""
    size = os.stat(tar).st_size
    with open(tar, "rb", buffering=READ_AHEAD) as file:
        position, long_name, long_size = 0, "", -1
        while True:
            header = file.read(BLOCK)
            if position == 0:
                _check_is_tar(tar, header)
            if not header or not any(header):
                break
            if len(header) < BLOCK and position:
                raise UserError(f"{tar}: ends inside a header, at byte {size} (cut short?); copy it again")
            length = _size(tar, header, position)
            kind, start = header[156:157], position + BLOCK
            if kind in (_LONG_NAME, _LONG_LINK, _POSIX, _POSIX_ALL):
                data = _small_member(tar, file, start, length, size)
                if kind == _LONG_NAME:
                    long_name = _text(data.split(b"\0")[0])
                elif kind == _POSIX:
                    long_name, long_size = _posix_records(tar, data, position)
            else:
                name = _safe_name(tar, long_name or _name(header), position)
                length = long_size if long_size >= 0 else length
                if kind in _REFUSED:
                    raise UserError(f"{tar}: {name} is {_REFUSED[kind]}; only plain files are read: pack it anew")
                if kind not in (_FOLDER, b"0", b"\0", b"7"):
                    raise UserError(f"{tar}: {name} is a member of an unknown kind {kind!r}: pack it anew")
                if kind == _FOLDER or (kind == b"\0" and name.endswith("/")):
                    length = 0 if kind == _FOLDER else length
                elif start + length > size:
                    told = f"{name} should end at byte {start + length}, the file has {size}"
                    raise UserError(f"{tar}: cut short: {told}; copy it again")
                else:
                    yield TarMember(name, start, length, zlib.crc32(header))
                long_name, long_size = "", -1
            position = start + -(-length // BLOCK) * BLOCK
            file.seek(position)
        if not header:
            note(f"{tar}: has no mark where it ends; if it was cut short, its last files are missing")


def write_index(path: PathLike, index: TarIndex, status: os.stat_result) -> None:
    """Write ``index`` beside ``path`` and rename; ``status`` is the tar's."""
    names = "\n".join(index.names).encode("utf-8", "surrogateescape")
    arrays = (index.starts.astype("<i8"), index.sizes.astype("<i8"), index.checks.astype("<u4"))
    body = b"".join(array.tobytes() for array in arrays) + names
    about = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "members": len(index.names)}
    head = json.dumps({**about, "skipped": index.skipped, "crc32": zlib.crc32(body)}).encode()
    with replacing(path) as file:
        file.write(MAGIC + len(head).to_bytes(8, "little") + head + body)


def read_index(path: PathLike, status: os.stat_result) -> TarIndex:
    """The index in ``path`` of a tar of this ``status``; :class:`UserError` where it is another's, or damaged."""
    data = Path(path).read_bytes()
    start = len(MAGIC) + 8
    length = int.from_bytes(data[len(MAGIC) : start], "little")
    try:
        if not data.startswith(MAGIC) or start + length > len(data):
            raise ValueError
        about = json.loads(data[start : start + length])
        size, time, count = (int(about[key]) for key in ("size", "mtime_ns", "members"))
        body = memoryview(data)[start + length :]
        if zlib.crc32(body) != about["crc32"] or count < 0:
            raise ValueError
        starts, sizes = (np.frombuffer(body, "<i8", count, 8 * count * part).astype(np.int64) for part in (0, 1))
        checks = np.frombuffer(body, "<u4", count, 16 * count).astype(np.uint32)
        text = str(body[20 * count :], "utf-8", "surrogateescape")
        names, skipped = text.split("\n") if count else [], dict(about["skipped"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path}: not an index of a tar, or damaged") from None
    if (size, time) != (status.st_size, status.st_mtime_ns):
        raise UserError(f"{path}: the tar has changed since")
    fits = len(names) == count and not (count and _unsafe(text)) and sorted(set(names)) == names
    fits = fits and bool(((starts >= BLOCK) & (sizes >= 0) & (sizes <= size - starts)).all())
    if not fits:
        raise UserError(f"{path}: does not fit its tar")
    return TarIndex(names, starts, sizes, checks, skipped)


def _check_is_tar(tar: PathLike, header: bytes) -> None:
    if not header:
        raise UserError(f"{tar}: is empty; copy it again")
    for mark, what in COMPRESSED.items():
        if header.startswith(mark):
            raise UserError(f"{tar}: is compressed by {what}, where nothing can be read at random; decompress it first")


def _size(tar: PathLike, header: bytes, position: int) -> int:
    """The size of a member's data; :class:`UserError` where the header's sum is wrong."""
    try:
        stated = _number(header[148:156]) if len(header) == BLOCK else -1
        told = sum(header) - sum(header[148:156]) + 8 * 32
        size = _number(header[124:136])
    except (ValueError, IndexError):
        stated, told, size = 0, 1, 0
    if stated != told or size < 0:
        what = "not a tar" if position == 0 else f"damaged: no header at byte {position}"
        raise UserError(f"{tar}: {what}; copy it again")
    return size


def _number(field: bytes) -> int:
    """A number in octal digits, or GNU's: bytes behind one of 128 (or 255: negative)."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[0] == 0xFF else 0)
    return int(field.rstrip(b"\0 ").lstrip() or b"0", 8)


def _name(header: bytes) -> str:
    """The name in a header; POSIX's has its beginning in a field of its own."""
    name = header[:100].split(b"\0")[0]
    above = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return _text(above + b"/" + name if above else name)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _safe_name(tar: PathLike, name: str, position: int) -> str:
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    if _unsafe(name or ".") or "\n" in name:
        raise UserError(f"{tar}: the member at byte {position} is called {name!r}, which leads out of it: pack it anew")
    return name


def _unsafe(names: str) -> bool:
    """Whether one of the ``names``, a line each, is empty, leads elsewhere, or holds what cannot be printed."""
    lines = f"\n{names}\n"
    return any(piece in lines for piece in _OUTSIDE) or _CONTROL.search(names) is not None


def _small_member(tar: PathLike, file: BinaryIO, start: int, length: int, size: int) -> bytes:
    """The data of a member that describes the next one."""
    if length > LONGEST_NAME or start + length > size:
        raise UserError(f"{tar}: damaged: a name of {length} bytes at byte {start}; copy it again")
    return file.read(length)


def _posix_records(tar: PathLike, data: bytes, position: int) -> tuple[str, int]:
    """Name and size that records ``LENGTH KEY=VALUE`` tell of the next member; empty and -1 where they do not."""
    name, size, place = "", -1, 0
    while place < len(data) and data[place]:
        found = _RECORD.match(data, place)
        end = place + int(found[1]) if found else 0
        if not found or end <= found.end() or end > len(data) or data[end - 1 : end] != b"\n":
            raise UserError(f"{tar}: damaged: the records at byte {position} make no sense; copy it again")
        value = data[found.end() : end - 1]
        if found[2] == b"path":
            name = _text(value)
        elif found[2] == b"size":
            if not value.isdigit() or len(value) > 18:
                raise UserError(f"{tar}: damaged: a size of {value[:20]!r} at byte {position}; copy it again")
            size = int(value)
        elif found[2].startswith(b"GNU.sparse"):
            raise UserError(f"{tar}: the member at byte {position} is a sparse file; only plain files are read")
        place = end
    return name, size
