"""Tables that say to which group each image, or each person, belongs."""

from __future__ import annotations

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.person_names import composed
from lwface.formats.text_files import table_rows


def read_groups(path: PathLike, key: str, value: str) -> dict[str, str]:
    """``value`` by ``key`` of a csv with a header; other columns are passed over.

    Keys are in Unicode's composed form (:func:`lwface.formats.person_names.composed`), in which a name is looked up.

    Raises:
        UserError: a column is missing, a line has too few fields, or a key has two values; names file and line.
    """
    found: dict[str, str] = {}
    rows = table_rows(path)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    if missing := [name for name in (key, value) if name not in header]:
        raise UserError(
            f"{path}: has no column {missing[0]!r}: expected the columns {key} and {value}; it has "
            f"{', '.join(header) or 'none'}"
        )
    places = header.index(key), header.index(value)
    for line, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise UserError(f"{path}: line {line} has {len(row)} columns, not {len(header)}")
        name, group = (row[place].strip() for place in places)
        name = composed(name)
        if found.setdefault(name, group) != group:
            raise UserError(f"{path}: line {line}: {name} is in {group!r} and in {found[name]!r}")
    return found
