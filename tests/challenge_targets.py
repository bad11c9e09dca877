"""What tests/challenge_mutations.py damages: a small track of each kind, its submissions, and a judge of its own.

A judge says of a file's bytes True (by the format's definition it is a submission), False (it is none) or None (it is
written in one of the ways that the readers are lenient about). It shares no code with the readers.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import random
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fuzz_targets import damage_bytes

from lwface.challenge.kinds import ChallengeTrack, get_kind
from lwface.formats.montage_video import ListedVideo, write_face_video, write_video_list

Judge = Callable[[str, bytes], "bool | None"]
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"\d{1,18}", re.ASCII)
WORDS = ["nan", "inf", "-inf", "1e308", "-1e308", "1e999", "1e-400", "-0", "1_0", "٣", "0x10", "1,5", "", " ", "1e"]
WORDS += ["--1", "9" * 20, "-1", "96.0001", "1e6", "1000001", "TRUE", "None", "=1+1", "a" * 5000, "\0", "\x1b[31m"]
VALUES = [None, True, False, -1, 7, 2**31, 10**400, 1.0, 0.5, math.nan, math.inf, "1", "", [], [1], {}, {"a": 1}]
SPLITS = {
    "\n": ["\r\n", "\r", "\n\n", "\x0b", "\u2028"],
    " ": ["  ", "\t", "\u00a0", ",", ""],
    ",": [";", "\t", ",,", ", ", ""],
}
LIMIT = 10**6  # pixels
MOST = 2**26  # bytes of a solution


@dataclass(frozen=True)
class SmallTrack:
    """A track, where its truth lies, a good submission, and what tells good ones from others."""

    track: ChallengeTrack
    reference: Path
    name: str
    good: bytes
    damage: Callable[[random.Random, str, bytes], tuple[str, bytes]]
    judge: Judge


def small_tracks(folder: Path) -> dict[str, SmallTrack]:
    """One of each kind, their truth below ``folder``."""
    made = {}
    for make in (_landmarks, _keypoints, _sequences, _features, _montage):
        kind = make.__name__.removeprefix("_")
        (folder / kind).mkdir(parents=True)
        made[kind] = make(folder / kind)
    return made


def _track(kind: str, **settings: str) -> ChallengeTrack:
    figure = get_kind(kind).figures[0]
    return ChallengeTrack(
        kind, kind, kind, kind, 0.6, 0, figure.name, figure.higher_is_better, settings=settings, widest=64
    )


# -- damage -----------------------------------------------------------------------------------------------------------


def damage_text(dice: random.Random, name: str, data: bytes, gap: str) -> tuple[str, bytes]:
    """A change or three of rows, fields, separators or bytes."""
    if dice.random() < 0.25:
        return name, damage_bytes(dice, data, [data])
    rows = [line.split(gap) for line in data.decode().rstrip("\n").split("\n")]
    ends, gaps = "\n", gap
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3))):
        row = dice.choice(rows)
        place, what = dice.randrange(len(row)), dice.randrange(9)
        if what < 3:
            row[place] = dice.choice(
                [*WORDS, dice.choice(dice.choice(rows)), f"{dice.gauss(0, 1) * 10 ** dice.randrange(9)}"]
            )
        elif what == 3:
            del row[place]
            row[:] = row or [""]
        elif what == 4:
            row.insert(place, dice.choice(WORDS))
        elif what == 5:
            rows.append(list(row))
        elif what == 6 and len(rows) > 1:
            rows.remove(row)
        elif what == 7:
            dice.shuffle(rows)  # allowed, but for a header
        else:
            ends, gaps = (dice.choice([one, one, *SPLITS[one]]) for one in ("\n", gap))
    text = ends.join(gaps.join(row) for row in rows) + dice.choice(("\n", "", "\n\n"))
    codes = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32")
    return name, text.encode(dice.choice(codes), "replace")


def damage_zip(dice: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
    """Entries that lead elsewhere, are there twice, are links, are huge, are damaged; or bytes of the whole."""
    if dice.random() < 0.3:
        return name, damage_bytes(dice, data, [data])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    what = dice.randrange(8)
    place = dice.randrange(len(files))
    own, content = files[place]
    if what == 0:
        files[place] = (
            dice.choice(["../" + own, "/tmp/" + own, "C:\\" + own, "a/" + own, own.upper(), "\0", own + "/"]),
            content,
        )
    elif what == 1:
        files.append(dice.choice(files))
    elif what == 2:
        del files[place]
    elif what == 3:
        files.append((dice.choice(["__MACOSX/x", "../../evil", "evil.pkl", "x" * 3000]), b"x"))
    elif what == 4:
        files[place] = own, bytes(dice.choice((0, 0, 10**6, 10**6, 70 * 10**6)))
    elif what == 5:
        files[place] = own, damage_bytes(dice, content, [content])
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for entry_name, inner in files:
            entry = zipfile.ZipInfo(entry_name, (1980, 1, 1, 0, 0, 0))
            link = what == 6 and entry_name == own
            entry.external_attr = (0o120777 if link else 0o100644) << 16
            packed = zipfile.ZIP_DEFLATED if len(inner) > 10**5 or dice.random() < 0.5 else zipfile.ZIP_STORED
            with _quiet():
                archive.writestr(entry, b"/etc/passwd" if link else inner, packed)
    whole = written.getvalue()
    if what == 7:  # sizes and flags of the directory
        at = whole.rfind(b"PK\x01\x02") + dice.choice((6, 8, 10, 16, 20, 24, 28, 42))
        whole = whole[:at] + bytes(dice.choices(range(256), k=2)) + whole[at + 2 :]
    return name, whole


def _quiet() -> object:
    import warnings

    return warnings.catch_warnings(action="ignore")  # a name that is there twice


# -- landmarks --------------------------------------------------------------------------------------------------------


def _landmarks(folder: Path) -> SmallTrack:
    draw = np.random.default_rng(0)
    names = [f"image{number}.jpg" for number in range(5)]

    def text(spread: float) -> str:
        places = np.random.default_rng(1).uniform(10, 180, (5, 136)) + spread * draw.normal(size=(5, 136))
        return "".join(
            " ".join([name, *(f"{x:.4f}" for x in row)]) + "\n" for name, row in zip(names, places, strict=True)
        )

    (folder / "truth.txt").write_text(text(0))
    good = text(2).encode()

    def judge_text(data: bytes) -> bool | None:
        try:
            lines = [line.strip(" \t") for line in re.split("\r\n|\r|\n", data.decode("utf-8"))]
        except UnicodeDecodeError:
            return None if data[:2] in (b"\xff\xfe", b"\xfe\xff") else False
        if any(not line.isascii() for line in lines):
            return None
        found = [line.split(" ") for line in lines if line]
        if sorted(row[0] for row in found) != sorted(names) or any(len(row) != 137 for row in found):
            return None if any(not line.isprintable() for line in lines) else False
        fields = [field for row in found for field in row[1:]]
        return all(NUMBER.fullmatch(field) and abs(float(field)) <= LIMIT for field in fields)

    def judge(name: str, data: bytes) -> bool | None:
        if not name.endswith(".zip"):
            return judge_text(data)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if archive.namelist() != ["solution.txt"] or archive.getinfo("solution.txt").file_size > MOST:
                    return False
                return judge_text(archive.read("solution.txt"))
        except Exception:
            return False

    def damage(dice: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
        if dice.random() < 0.6:
            return damage_text(dice, name, data, " ")
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            inner = data if dice.random() < 0.7 else damage_text(dice, name, data, " ")[1]
            archive.writestr("solution.txt", inner, zipfile.ZIP_DEFLATED)
        return damage_zip(dice, "solution.zip", written.getvalue())

    return SmallTrack(_track("landmarks"), folder, "solution.txt", good, damage, judge)


# -- keypoints --------------------------------------------------------------------------------------------------------


def _keypoints(folder: Path) -> SmallTrack:
    points = ("left_eye_center", "right_eye_center", "nose_tip", "mouth_center_bottom_lip")
    asked = list(itertools.product(range(1, 6), [f"{point}_{axis}" for point in points for axis in "xy"]))
    draw = random.Random(0)
    rows = [f"{n},{image},{feature},{draw.uniform(5, 90):.3f}\n" for n, (image, feature) in enumerate(asked, start=1)]
    (folder / "truth.csv").write_text("RowId,ImageId,FeatureName,Location\n" + "".join(rows))
    good = "RowId,Location\n" + "".join(f"{n},{draw.uniform(5, 90):.3f}\n" for n in range(1, len(asked) + 1))

    def judge(_name: str, data: bytes) -> bool | None:
        found = _table(data, ("RowId", "Location"))
        if found is None or isinstance(found, bool):
            return found
        if not all(WHOLE.fullmatch(row["RowId"]) for row in found):
            return None
        if sorted(int(row["RowId"]) for row in found) != list(range(1, len(asked) + 1)):
            return False
        return _all_numbers([row["Location"] for row in found], 0, 96)

    return SmallTrack(
        _track("keypoints"), folder, "s.csv", good.encode(), lambda dice, *file: damage_text(dice, *file, ","), judge
    )


def _all_numbers(cells: list[str], low: float, high: float) -> bool | None:
    """Whether all are numbers within bounds; None where one may be, in a spelling of Python's."""
    verdict: bool | None = True
    for cell in cells:
        if NUMBER.fullmatch(cell.strip()):
            if not low <= float(cell) <= high:
                return False
        else:
            try:
                if not low <= float(cell) <= high:
                    return False
                verdict = None
            except ValueError:
                return False
    return verdict


def _table(data: bytes, columns: tuple[str, ...]) -> list[dict[str, str]] | bool | None:
    """The rows of a table in plain csv; None where it is written in another way."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if not text.isascii() or '"' in text or ";" in text or "\t" in text or not text.replace("\n", "").isprintable():
        return None
    lines = text.rstrip("\n").split("\n")
    rows = list(csv.reader(lines))
    if not rows or sorted(cell.strip() for cell in rows[0]) != sorted(columns) or len(rows) < 2:
        return False
    if any(len(row) != len(columns) for row in rows[1:]):
        return False
    header = [cell.strip() for cell in rows[0]]
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


# -- sequences --------------------------------------------------------------------------------------------------------


def _sequences(folder: Path) -> SmallTrack:
    samples, people = [f"seq_{n:04}" for n in range(8)], 7
    draw = random.Random(0)
    truth = [f"{name},{n % people},person_{n % people}\n" for n, name in enumerate(samples)]
    (folder / "truth.csv").write_text("sample,index,person\n" + "".join(truth))
    (folder / "people.csv").write_text("index,person\n" + "".join(f"{n},person_{n}\n" for n in range(people)))
    guesses = [draw.sample(range(people), 5) for _ in samples]
    good = json.dumps(guesses).encode()
    columns = ("sample", *(f"guess_{place}" for place in range(1, 6)))
    lines = [",".join([name, *map(str, row)]) + "\n" for name, row in zip(samples, guesses, strict=True)]
    good_table = (",".join(columns) + "\n" + "".join(lines)).encode()

    def are_guesses(rows: object) -> bool:
        return (
            isinstance(rows, list)
            and len(rows) == len(samples)
            and all(
                isinstance(row, list)
                and len(row) == 5
                and all(type(one) is int and 0 <= one < people for one in row)
                and len(set(row)) == 5
                for row in rows
            )
        )

    def judge(name: str, data: bytes) -> bool | None:
        if name.endswith(".json"):
            try:
                value = json.loads(data)
            except (ValueError, RecursionError):
                return False
            return are_guesses(value.get("predictions") if isinstance(value, dict) else value)
        found = _table(data, columns)
        if found is None or isinstance(found, bool):
            return found
        if sorted(row["sample"].strip() for row in found) != sorted(samples):
            return False
        cells = [[row[column].strip() for column in columns[1:]] for row in found]
        if not all(WHOLE.fullmatch(cell) for row in cells for cell in row):
            return None if _all_numbers([cell for row in cells for cell in row], 0, people) is not False else False
        numbers = [[int(cell) for cell in row] for row in cells]
        return all(len(set(row)) == 5 and max(row) < people for row in numbers)

    def damage(dice: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
        what = dice.random()
        if what < 0.4:
            return damage_text(dice, "s.csv", good_table, ",")
        if what < 0.6:
            return name, damage_bytes(dice, data, [data])
        if what < 0.9:
            return name, json.dumps(_changed(dice, json.loads(data))).encode()
        deep = dice.choice((10, 10**3, 10**5))
        wild = (b"[" * deep + b"]" * deep, b"[" + b"9" * deep + b"]", b'{"predictions":' + data + b"}")
        return name, dice.choice(wild)

    def _changed(dice: random.Random, value: list[object]) -> object:
        for _ in range(dice.randrange(1, 4)):
            lists = [row for row in value if isinstance(row, list) and row]
            holder = value if dice.random() < 0.3 or not lists else dice.choice(lists)
            holder[dice.randrange(len(holder))] = dice.choice([*VALUES, *range(people)])
        return value if dice.random() < 0.8 else {"predictions": value}

    return SmallTrack(_track("sequences"), folder, "s.json", good, damage, judge)


# -- features ---------------------------------------------------------------------------------------------------------


def _features(folder: Path) -> SmallTrack:
    people, each, width = 10, 3, 8
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(people), each)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    rows = (draw.normal(size=(people, width))[labels] + 0.8 * draw.normal(size=(len(labels), width))).astype("<f4")
    good = struct.pack("<4i", len(rows), width, 4 * width, 5) + rows.tobytes()
    wild = np.array([np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, 0, -0.0, 1e-38, 1], "<f4")

    def judge(_name: str, data: bytes) -> bool | None:
        if len(data) < 16:
            return False
        count, own, stride, kind = struct.unpack("<4i", data[:16])
        if (count, stride, kind) != (len(rows), 4 * own, 5) or not 1 <= own <= 64 or len(data) != 16 + count * stride:
            return False
        with np.errstate(all="ignore"):
            values = np.frombuffer(data, "<f4", offset=16).reshape(count, own).astype(np.float64)
        return bool(np.isfinite(values).all() and (np.abs(values).max(axis=1) > 0).all())

    def damage(dice: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
        what = dice.random()
        if what < 0.4:
            return name, damage_bytes(dice, data, [data])
        if what < 0.6:
            head = [*struct.unpack("<4i", data[:16])]
            numbers = (0, -1, 1, 29, 31, 512, 2**31 - 1, -(2**31), 65, 32)
            head[dice.randrange(4)] = dice.choice(numbers)
            return name, struct.pack("<4i", *head) + data[16:]
        values = np.frombuffer(data, "<f4", offset=16).copy().reshape(len(rows), width)
        for _ in range(dice.randrange(1, 4)):
            row, column = dice.randrange(len(rows)), dice.choice((slice(None), dice.randrange(width)))
            values[row, column] = wild[dice.randrange(len(wild))]
        return name, data[:16] + values.tobytes()

    return SmallTrack(_track("recognition-images", far="1e-1"), folder, "f.bin", good, damage, judge)


# -- montage ----------------------------------------------------------------------------------------------------------


def _montage(folder: Path) -> SmallTrack:
    draw = np.random.default_rng(0)
    frames, size = 3, (12, 10)
    queries = ["q0_0", "q1_0", "q2_0"]

    def clip() -> tuple[np.ndarray, np.ndarray]:
        return draw.integers(0, 256, (frames, *size, 3), dtype=np.uint8), draw.uniform(1, 9, (frames, 68, 2))

    database = {"d0_0": clip(), "d1_0": clip()}
    for where, clips in (("videos", database), ("queries", {name: clip() for name in queries})):
        (folder / where).mkdir()
        for name, (images, points) in clips.items():
            write_face_video(folder / where / f"{name}.npz", images, points)
        write_video_list(folder / where / "videos.csv", iter([(ListedVideo(n, n[:2]), size, frames) for n in clips]))
    images, points = (np.concatenate(part) for part in zip(*database.values(), strict=True))

    def arrays(first: int) -> dict[str, np.ndarray]:
        rows = np.arange(first, first + frames)
        return {
            "colorImages": np.ascontiguousarray(images[rows].transpose(1, 2, 3, 0)),
            "landmarks2D": points[rows].transpose(1, 2, 0),
            "frameIndex": rows,
        }

    def packed(answers: dict[str, dict[str, np.ndarray]]) -> bytes:
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            for name, own in answers.items():
                inner = io.BytesIO()
                np.savez(inner, **own)
                archive.writestr(zipfile.ZipInfo(f"{name}.npz", (1980, 1, 1, 0, 0, 0)), inner.getvalue())
        return written.getvalue()

    def damage(dice: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
        if dice.random() < 0.35:
            return damage_zip(dice, name, data)
        answers = {query: arrays(first) for query, first in zip(queries, (0, 1, 3), strict=True)}
        own = answers[dice.choice(queries)]
        if dice.random() < 0.3:
            own["matrix"] = np.tile(np.array([[1.0, 0, 0], [0, 1, 0]]), (frames, 1, 1))
        key = dice.choice(sorted(own))
        array, what = own[key].copy(), dice.randrange(9)
        if what < 3:
            value = dice.choice(
                (0, -1, 1, 5, 6, 255, 10**7, 2**62, *((np.nan, np.inf, 1e308) if array.dtype.kind == "f" else ()))
            )
            with np.errstate(all="ignore"):
                array.flat[dice.randrange(array.size)] = np.array(value).astype(array.dtype)
        elif what == 3:
            array = array.astype(dice.choice(("O", "f2", "f4", "i1", "u8", "c16", "U5", "bool")))
        elif what == 4:
            array = array[..., : dice.randrange(frames)]
        elif what == 5:
            array = np.asfortranarray(array) if dice.random() < 0.5 else array.T
        elif what == 6:
            array = array.astype(array.dtype.newbyteorder(">"))
        elif what == 7:
            del own[key]
        if what != 7:
            own[key] = array
        with np.errstate(all="ignore"):
            return name, packed(answers) if what != 8 else damage_bytes(dice, packed(answers), [data])

    def judge(_name: str, data: bytes) -> bool | None:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sorted(archive.namelist()) != sorted(f"{query}.npz" for query in queries):
                    return False
                return all(good_answer(archive.read(f"{query}.npz")) for query in queries)
        except Exception:
            return False

    def good_answer(data: bytes) -> bool:
        with np.load(io.BytesIO(data), allow_pickle=False) as own:
            shown, where, rows = own["colorImages"], own["landmarks2D"], own["frameIndex"]
            moves = own["matrix"] if "matrix" in own.files else np.zeros((frames, 2, 3))
        return (
            (shown.shape, where.shape, rows.shape) == ((*size, 3, frames), (68, 2, frames), (frames,))
            and moves.shape == (frames, 2, 3)
            and (shown.dtype.kind, where.dtype.kind, rows.dtype.kind, moves.dtype.kind) == ("u", "f", "i", "f")
            and shown.dtype.itemsize == 1
            and all(math.isfinite(x) and abs(x) <= LIMIT for x in (*where.ravel().tolist(), *moves.ravel().tolist()))
            and all(-1 <= row < len(images) for row in rows.tolist())
        )

    good = packed({query: arrays(first) for query, first in zip(queries, (0, 1, 3), strict=True)})
    return SmallTrack(_track("montage"), folder, "m.zip", good, damage, judge)
