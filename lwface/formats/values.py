"""What a cell of a table means, whatever program wrote it: ``3``, ``3.0`` and ``3.000e+00`` are one number.

pandas turns a column of whole numbers into floats where one of them is missing, NumPy's ``savetxt`` writes exponents,
and nothing has many spellings. So cells are compared by value. Text is compared in Unicode's composed form (NFC), as
letters with an accent have two spellings that look the same.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache

# The spellings of pandas, NumPy, R, Excel, SQL and Python; "" is the one of most.
MISSING = frozenset(
    (
        *("nan", "NaN", "NAN", "-nan", "-NaN", "NaT", "NA", "<NA>", "N/A", "n/a", "#N/A"),
        *("NULL", "null", "None", r"\N", '""'),
    )
)
TRUTHS = {"1": 1, "0": 0, "True": 1, "False": 0, "true": 1, "false": 0, "TRUE": 1, "FALSE": 0}
LONGEST_NUMBER = 400  # characters of one; what is longer is text
LONGEST_VALUE = LONGEST_NUMBER + 1000  # and digits that it can have, by its exponent
EXACT_FLOAT = 2**53  # from here on a float64 does not tell neighbouring whole numbers apart

# An exponent needs its sign, which every program writes: "12e4" is a name, as hexadecimal numbers are.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]\d{1,3})?", re.ASCII)


@lru_cache(maxsize=2**16)
def value_of(text: str) -> str:
    """One text for all spellings of a value: "" for nothing, a number in its shortest form, any other text in NFC.

    Blanks around it do not count. Leading zeros of a number do not either.
    """
    text = text.strip()
    if text in MISSING:
        return ""
    if len(text) > LONGEST_NUMBER or _NUMBER.fullmatch(text) is None:
        return unicodedata.normalize("NFC", text)
    number = Decimal(text)
    if number == number.to_integral_value():
        return str(int(number))
    return format(number.normalize(), "f")


def whole_number(text: str) -> int | None:
    """The whole number that is written, None where it is none."""
    value = value_of(text)
    if len(value) > LONGEST_VALUE:  # digits that were taken for text; Python refuses to read more than 4300
        return None
    return int(value) if value.removeprefix("-").isdecimal() and value.isascii() else None


def lost_digits(text: str) -> bool:
    """Whether a whole number is written as a float so large that others may have become the same."""
    value = whole_number(text)
    return value is not None and abs(value) >= EXACT_FLOAT and not text.strip().lstrip("+-").isdecimal()
