"""Text that other programs write: the one reader of lists (an entry a line) and the one reader of tables (csv).

Accepted everywhere: UTF-8 with a byte order mark or without one; UTF-16 and UTF-32 with one (PowerShell, Excel's
"Unicode text"); the line ends of Unix, Windows and old Macs; blank lines at the end. A table's columns are separated by
commas, semicolons or tabs, whichever its header has most of, or as a first line ``sep=;`` says; where that is no comma,
numbers may have a decimal comma (Excel in most of Europe). A table that is not UTF-8 is read as Windows-1252, which is
said: which of its names are equal does not depend on the guess, since in no code page that keeps ASCII does a separator
stand inside a character.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterator
from typing import BinaryIO

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.notes import note

SEPARATORS = ",;\t"  # of columns; of equally many the first is meant
GUESSED = "cp1252"  # the code page of a table that is not UTF-8

_MARKS = (  # the longer first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS_AS_BLANKS = str.maketrans(SEPARATORS, " " * len(SEPARATORS))
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_SAYS_SEPARATOR = re.compile(r"\"?sep=([,;\t])\"?\s*", re.IGNORECASE)


def open_text(path: PathLike) -> BinaryIO:
    """The file as bytes of UTF-8 without a byte order mark; :class:`UserError` where UTF-16 or UTF-32 is damaged."""
    return _plain(path, open(path, "rb"))


def _plain(path: PathLike, file: BinaryIO) -> BinaryIO:
    """``file`` after its byte order mark; its bytes as UTF-8 where that is another encoding's."""
    try:
        head = file.read(4)
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                with file:
                    return io.BytesIO((head + file.read()).decode(encoding).encode("utf-8", "surrogatepass"))
        file.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file ({error.encoding}: {error.reason})") from None
    except BaseException:
        file.close()
        raise
    return file


def numbered_lines(path: PathLike, *, names: bool = False) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line, without the blanks around it and without blank lines at the end.

    Args:
        path: the file; it is read as the lines are asked for, and no line is kept.
        names: lines are file names, which are bytes: those that are not UTF-8 come through as ``os.fsdecode`` has them.

    Raises:
        UserError: a line is not UTF-8 and ``names`` is not set.
    """
    with open_text(path) as file:
        yield from _lines(path, file, names)


def numbered_lines_of(data: bytes, path: PathLike) -> Iterator[tuple[int, str]]:
    """As :func:`numbered_lines`, of a file that is in memory, such as one of a zip; errors call it ``path``."""
    yield from _lines(path, _plain(path, io.BytesIO(data)), names=False)


def _lines(path: PathLike, file: BinaryIO, names: bool) -> Iterator[tuple[int, str]]:
    number, offset, blank = 0, 0, 0
    for whole in file:
        for line in whole.rstrip(b"\r\n").split(b"\r"):  # a carriage return alone ends a line, too
            number += 1
            text = decoded(path, line, offset, names=names).strip()
            if not text:
                blank += 1
                continue
            yield from ((number - back, "") for back in range(blank, 0, -1))
            blank = 0
            yield number, text
        offset += len(whole)


def decoded(path: PathLike, data: bytes, offset: int, *, names: bool = False) -> str:
    """``data``, found ``offset`` bytes into a file, as text; :class:`UserError` where it is none."""
    if names:
        return data.decode(sys.getfilesystemencoding(), "surrogateescape")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file ({error.reason} at byte {offset + error.start})") from None


def fields_of(text: str) -> list[str]:
    """The fields of a line of numbers or of names without blanks: separated by blanks, commas, semicolons or tabs."""
    return text.translate(_SEPARATORS_AS_BLANKS).split()


def name_and_fields(text: str, count: int) -> list[str]:
    """A name, which may hold blanks, and the last ``count`` fields of a line; fewer where there are fewer."""
    found = text.rsplit(None, count)
    return found if len(found) > count else text.translate(_SEPARATORS_AS_BLANKS).rsplit(None, count)


def table_rows(path: PathLike) -> Iterator[tuple[int, list[str]]]:
    """Line number (of the last line of a quoted field) and fields of each row of a table, the header first.

    A blank line between rows has no fields, or one that is empty where the table has one column; blank lines at the
    end are left out.

    Raises:
        UserError: it is no text or its quotes do not close; names file and line.
    """
    encoding = _encoding(path)
    with io.TextIOWrapper(open_text(path), encoding, "surrogateescape", newline="") as file:
        first = file.readline()
        told = _SAYS_SEPARATOR.fullmatch(first)
        separator = told[1] if told else _separator(first)
        if not told:
            file = _Again(first, file)  # type: ignore[assignment]
        lines = csv.reader(file, delimiter=separator, strict=True)
        skipped, blank, columns = int(told is not None), list[int](), 0
        try:
            for fields in lines:
                number = skipped + lines.line_num
                if not fields:
                    blank.append(number)
                    continue
                columns = columns or len(fields)
                yield from ((line, [""] if columns == 1 else []) for line in blank)
                blank.clear()
                yield number, [_decimal_point(field) for field in fields] if separator != "," else fields
        except csv.Error as error:
            raise UserError(f"{path}, line {skipped + lines.line_num}: is not csv: {error}") from None


class _Again:
    """The lines of a file, one that was read already before the others."""

    def __init__(self, first: str, rest: io.TextIOWrapper) -> None:
        self._first, self._rest = [first] if first else [], rest

    def __iter__(self) -> Iterator[str]:
        yield from self._first
        yield from self._rest


def _encoding(path: PathLike) -> str:
    """UTF-8 where all of the file is that; else the code page that is guessed, which is said."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, chunk = 1, b" "
    with open_text(path) as file:
        while chunk:
            chunk = file.read(2**20)
            if b"\0" in chunk:
                raise UserError(f"{path}: is not a text file: it has bytes of zero")
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                note(f"{path}: line {line} is not UTF-8: read as Windows-1252; if names look wrong, save it as UTF-8")
                return GUESSED
            line += chunk.count(b"\n")
    return "utf-8"


def _separator(header: str) -> str:
    """The separator of which the header has most outside of quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=bare.count)


def _decimal_point(field: str) -> str:
    return field.replace(",", ".") if "," in field and _DECIMAL_COMMA.fullmatch(field) else field
