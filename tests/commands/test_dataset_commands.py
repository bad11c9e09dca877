"""The commands as a user types them: what they write, what they print, and one line for every mistake."""

from __future__ import annotations

import csv
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwface.formats.alignment import ARCFACE_TEMPLATE, align
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import encode_jpeg, read_rgb
from lwface.formats.recordio import Header, RecordWriter
from lwface.formats.recordio import pack as record
from lwface.formats.verification_pack import read_pack, write_pack
from lwface.scoring.drawn_folds import drawn_folds
from lwface.synthetic.render import sample_image

ROOT = Path(__file__).resolve().parents[2]
YTF = ROOT.parent / "shared" / "data" / "ytf-keypoints"


def run(command: str, *arguments: object, status: int = 0) -> str:
    """Run a command from another folder; its standard output, or its only line of error."""
    line = [sys.executable, str(ROOT / "datasets" / f"{command}.py"), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    if status == 2:
        errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
        assert len(errors) == 1, done.stderr
        return errors[0]
    return done.stdout


def picture(seed: int, height: int = 112, width: int = 112) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 people with 3 aligned faces each."""
    root = tmp_path_factory.mktemp("crops")
    for i in range(60):
        path = root / f"p{i // 3:02d}" / f"{i % 3}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode_jpeg(picture(i)))
    return root


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, np.ndarray]]:
    """Uncropped PNG frames of two people, a csv of five points beside them; one frame has no row."""
    root = tmp_path_factory.mktemp("frames")
    points: dict[str, np.ndarray] = {}
    for i, name in enumerate(("a/0.png", "a/1.png", "b/0.png", "b/bare.png")):
        (root / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(root / name), picture(i, 90, 140)[:, :, ::-1])
        if "bare" not in name:
            points[name] = ARCFACE_TEMPLATE.astype(np.float64) * (0.5 + 0.1 * i) + i
    table = root / "points.csv"
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *(f"{axis}{i}" for i in range(5) for axis in "xy")])
        writer.writerows([name, *map(repr, p.ravel().tolist())] for name, p in points.items())
    return root, table, points


COMMANDS = [
    "split_people",
    "build_rec",
    "build_pack",
    "rec_info",
    "pack_info",
    "rec_to_images",
    "align_faces",
    "convert_ytf",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    text = run(command, "--help")
    assert "--input" in text
    assert "None" not in text


def test_rec_there_and_back(crops: Path, tmp_path: Path) -> None:
    """build_rec, rec_info --check and rec_to_images: the files come back byte for byte."""
    out = run("build_rec", "--input", crops, "--output", tmp_path / "rec")
    assert "60 images of 20 people" in out
    assert "already complete" in run("build_rec", "--input", crops, "--output", tmp_path / "rec")
    info = run("rec_info", "--input", tmp_path / "rec", "--check", "--records", 1)
    for line in (
        "60 images: 0 damaged",
        "20 classes, images of 112x112",
        "identities  20",
        "key 1, label 0",
        "median 3",
    ):
        assert line in info
    assert "60 images" in run("rec_to_images", "--input", tmp_path / "rec", "--output", tmp_path / "images")
    written = sorted((tmp_path / "images").rglob("*.jpg"))
    originals = sorted(crops.rglob("*.jpg"))
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in originals]
    assert written[0].relative_to(tmp_path / "images").as_posix() == "000000/00000001.jpg"


def test_every_command_accounts_for_what_a_folder_holds(
    people: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    """Two of the people are links; programs have left their own files; all is used or counted, in the manifest too."""
    root, points = people
    folder = tmp_path / "people"
    shutil.copytree(root, folder)
    for person in ("p03", "p07"):
        (folder / person).rename(tmp_path / person)
        (folder / person).symlink_to(f"../{person}")
    (folder / "round").symlink_to(".")
    for extra in (".ipynb_checkpoints/c-checkpoint.jpg", "p00/@eaDir/c.jpg/thumb.jpg", "p01/Thumbs.db", "p02/x.heic"):
        (folder / extra).parent.mkdir(parents=True, exist_ok=True)
        (folder / extra).touch()
    cv2.imwrite(str(folder / "p04" / "d.tif"), read_rgb(folder / "p04" / "c.jpg")[:, :, ::-1])
    table = table_of(tmp_path / "points.csv", {**points, "p04/d.tif": points["p04/c.jpg"]})
    skipped = {
        "a link to a folder that it lies in": {"count": 1, "examples": ["round"]},
        "in a folder that another program left": {"count": 1, "examples": ["p00/@eaDir/c.jpg/thumb.jpg"]},
        "in a hidden folder": {"count": 1, "examples": [".ipynb_checkpoints/c-checkpoint.jpg"]},
        "no image that is read here, by its ending .db": {"count": 1, "examples": ["p01/Thumbs.db"]},
        "no image that is read here, by its ending .heic": {"count": 1, "examples": ["p02/x.heic"]},
    }
    for command in ("align_faces", "build_rec"):
        out = run(command, "--input", folder, "--landmarks", table, "--output", tmp_path / command)
        assert out.startswith("41 ")
        assert all(f"skipped 1: {reason} (" in out for reason in skipped)
        manifest = json.loads((tmp_path / command / "manifest.json").read_text())
        assert {key: manifest[key] for key in ("seen", "taken", "skipped")} == {
            "seen": 46,
            "taken": 41,
            "skipped": skipped,
        }
    pack = ("build_pack", "--input", folder, "--landmarks", table, "--pack-pairs", 20, "--output", tmp_path / "a.bin")
    out = run(*pack)
    assert all(f"skipped 1: {reason} (" in out for reason in skipped)
    shutil.copy(folder / "p05" / "c.jpg", folder / "p05" / "c.png")
    for command in ("align_faces", "build_rec"):
        error = run(command, "--input", folder, "--landmarks", table, "--output", tmp_path / "two", status=2)
        assert "p05/c.jpg and p05/c.png have one name with two endings" in error


def test_damaged_rec(crops: Path, tmp_path: Path) -> None:
    run("build_rec", "--input", crops, "--output", tmp_path / "rec")
    rec = tmp_path / "rec" / "train.rec"
    reader = FaceRecords(rec).reader
    data = bytearray(rec.read_bytes())
    data[reader.offset_of(4)] ^= 1  # the magic word of record 4
    data[reader.offset_of(7) + 40 : reader.offset_of(7) + 60] = bytes(20)  # inside the JPEG's header
    rec.write_bytes(data)
    info = run("rec_info", "--input", rec, "--check", status=1)
    assert "60 images: 2 damaged" in info
    assert f"record 4 at byte {reader.offset_of(4)}: wrong magic number" in info
    assert f"record 7 at byte {reader.offset_of(7)}: " in info
    images = tmp_path / "images"
    assert "record 4" in run("rec_to_images", "--input", rec, "--output", images, status=2)
    shutil.rmtree(images)
    out = run("rec_to_images", "--input", rec, "--output", images, "--skip-bad")
    assert "58 images" in out
    assert "skipped 1: wrong magic number" in out


def test_a_pack_is_unpacked_and_built_again(crops: Path, tmp_path: Path) -> None:
    pack, folder = tmp_path / "a.bin", tmp_path / "files"
    run("build_pack", "--input", crops, "--pack-pairs", 20, "--output", pack)
    out = run("pack_info", "--input", pack, "--unpack", folder, "--json", tmp_path / "a.json")
    assert "a.bin: 20 pairs, 10 of one person (50.0%)" in out
    assert "10 consecutive ones, each with pairs of both kinds" in out
    assert f"20 pairs in {folder}" in out
    assert json.loads((tmp_path / "a.json").read_text())["formats"] == {"jpg": 40}
    assert "is already complete" in run("pack_info", "--input", pack, "--unpack", folder)
    run("build_pack", "--input", folder, "--pairs", folder / "pairs.txt", "--output", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == pack.read_bytes()
    images = read_pack(pack).images
    write_pack(tmp_path / "bad.bin", [images[0][:-9], *images[1:4]], [True, False])
    assert "image 0 of pair 0: the JPEG is cut" in run("pack_info", "--input", tmp_path / "bad.bin", status=1)


def test_rec_info_counts_what_exif_turns(crops: Path, tmp_path: Path) -> None:
    """Records and packs that other tools wrote; build_rec itself leaves no such tag."""
    block = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, 8, 0, 0)
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    plain = (crops / "p00" / "0.jpg").read_bytes()
    tagged = plain[:2] + segment + plain[2:]
    with RecordWriter(tmp_path / "train.rec") as writer:
        for key, data in enumerate((plain, tagged, tagged)):
            writer.write(key, record(Header(0, 0, key, 0), data))
    out = run("rec_info", "--input", tmp_path, "--check")
    assert "3 images: 0 damaged" in out
    assert "turned      2 images by an EXIF orientation (record 1, record 2)" in out
    write_pack(tmp_path / "a.bin", [tagged, plain, plain, plain], [True, False])
    out = run("rec_info", "--input", tmp_path / "a.bin", "--check")
    assert "a.bin: 2 pairs, 1 of one person" in out
    assert "turned      1 images by an EXIF orientation (image 0)" in out
    write_pack(tmp_path / "b.bin", [plain[:-40], plain], [True])
    out = run("rec_info", "--input", tmp_path / "b.bin", "--check", status=1)
    assert "image 0 of pair 0: the JPEG is cut short" in out
    people = tmp_path / "people" / "Ann"
    people.mkdir(parents=True)
    (people / "0.jpg").write_bytes(tagged)
    run("build_rec", "--input", tmp_path / "people", "--output", tmp_path / "out")
    assert "turned" not in run("rec_info", "--input", tmp_path / "out", "--check")


def test_align_faces_and_build_rec_agree(frames: tuple[Path, Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    root, table, points = frames
    out = run("align_faces", "--input", root, "--landmarks", table, "--output", tmp_path / "aligned")
    assert "3 aligned faces" in out
    assert "skipped 1: no landmarks (b/bare.png)" in out
    crops = [encode_jpeg(align(read_rgb(root / name), p)) for name, p in points.items()]
    assert [(tmp_path / "aligned" / name).with_suffix(".jpg").read_bytes() for name in points] == crops
    out = run("build_rec", "--input", root, "--landmarks", table, "--output", tmp_path / "rec")
    assert "3 images of 2 people" in out
    records = FaceRecords(tmp_path / "rec")
    assert [records.read(i) for i in range(3)] == [(0, crops[0]), (0, crops[1]), (1, crops[2])]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """Frames of 20 procedural people, two each (one frame of two names), and their five points."""
    root = tmp_path_factory.mktemp("people")
    points = {}
    for person in range(20):
        picture = sample_image(9, person, 0)
        for name in (f"p{person:02d}/a  b.jpg", f"p{person:02d}/c.jpg"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(encode_jpeg(picture.frame))
            points[name] = picture.landmarks5.astype(np.float64)
    return root, points


def table_of(path: Path, points: dict[str, np.ndarray]) -> Path:
    header = "image," + ",".join(f"x{i},y{i}" for i in range(5))
    rows = [f"{name},{','.join(map(repr, row.ravel().tolist()))}" for name, row in points.items()]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_another_order_is_refused_everywhere(people: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    """The person's own left first: no crops, no records, no pack; with the flag those of the right order."""
    root, points = people
    wrong = table_of(tmp_path / "subject.csv", {name: row[[1, 0, 2, 4, 3]] for name, row in points.items()})
    right = table_of(tmp_path / "arcface.csv", points)
    remedy = "under --landmark-order subject the median residual is "
    outputs = {"align_faces": ("crops", []), "build_rec": ("rec", []), "build_pack": ("a.bin", ["--pack-pairs", 20])}
    for command, (output, more) in outputs.items():
        given = ("--input", root, *more, "--output", tmp_path / output)
        assert remedy in run(command, *given, "--landmarks", wrong, status=2)
        assert not (tmp_path / output).exists()
        run(command, *given, "--landmarks", wrong, "--landmark-order", "subject")
        run(command, "--input", root, *more, "--output", tmp_path / f"right-{output}", "--landmarks", right)
    crops = [(tmp_path / f"{prefix}crops/p00/a  b.jpg").read_bytes() for prefix in ("", "right-")]
    assert crops[0] == crops[1] == FaceRecords(tmp_path / "rec").read(0)[1]
    assert (tmp_path / "rec/train.rec").read_bytes() == (tmp_path / "right-rec/train.rec").read_bytes()
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "right-a.bin").read_bytes()
    sheets = [read_rgb(tmp_path / name) for name in ("crops.contact_sheet.jpg", "rec/contact_sheet.jpg")]
    np.testing.assert_array_equal(*sheets)
    assert sheets[0].shape[0] > 5 * 112
    assert (tmp_path / "a.contact_sheet.jpg").is_file()


def test_landmarks_that_leave_nothing_are_an_error(people: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    root, points = people
    for change, message in (
        (lambda row: row + 1000, "no image could be used; p00/a b.jpg: its points lie outside the picture"),
        (lambda row: row / 192, "multiply x by the width"),
    ):
        table = table_of(tmp_path / "points.csv", {name: change(row) for name, row in points.items()})
        for _ in range(2):  # nothing is left behind that would stop a second try
            assert message in run(
                "align_faces", "--input", root, "--landmarks", table, "--output", tmp_path / "out", status=2
            )
    table = table_of(tmp_path / "points.csv", {Path(name).name: row for name, row in list(points.items())[:2]})
    for command in ("align_faces", "build_rec"):
        found = run(command, "--input", root, "--landmarks", table, "--output", tmp_path / "out", status=2)
        assert "none of its 2 names (such as 'a b.jpg') is one of the 40 images" in found
    half = {name: row if i % 2 else row + 300 for i, (name, row) in enumerate(points.items())}
    table = table_of(tmp_path / "points.csv", half)
    out = run("align_faces", "--input", root, "--landmarks", table, "--output", tmp_path / "half")
    assert "20 aligned faces" in out
    assert "skipped 20: its points lie outside the picture" in out


def test_flags_of_landmarks(people: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    root, points = people
    given = ("build_rec", "--input", root, "--output", tmp_path / "out")
    assert "give it" in run(*given, "--landmark-order", "subject", status=2)
    table = table_of(tmp_path / "points.csv", points)
    assert "did you mean 'subject'" in run(*given, "--landmarks", table, "--landmark-order", "subjects", status=2)
    assert "--max-residual 0" in run(*given, "--landmarks", table, "--max-residual", 0, status=2)


def test_build_pack(crops: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("build_pack", "--input", crops, "--output", tmp_path / f"{name}.bin", "--count", 60, "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.bin").read_bytes() for name in "abc")
    assert a == b != c
    pack = read_pack(tmp_path / "a.bin")
    assert pack.issame.reshape(10, 2, 3).all(axis=2).tolist() == [[True, False]] * 10
    person = {path.read_bytes(): path.parent.name for path in crops.rglob("*.jpg")}
    people = [person[image] for image in pack.images]
    assert [p == q for p, q in zip(people[::2], people[1::2], strict=True)] == pack.issame.tolist()
    assert pack.decode().shape == (120, 112, 112, 3)


def test_build_pack_draws_around_bad_images(crops: Path, tmp_path: Path) -> None:
    shutil.copytree(crops, tmp_path / "crops")
    for i in range(5):
        (tmp_path / "crops" / f"p{i:02d}" / "1.jpg").write_bytes(b"no image")
    out = run("build_pack", "--input", tmp_path / "crops", "--output", tmp_path / "a.bin", "--count", 40)
    assert "40 pairs" in out
    assert "not a JPEG, PNG, BMP, WebP, TIFF, GIF or PNM image" in out
    assert b"no image" not in read_pack(tmp_path / "a.bin").images


def test_split_people_never_verifies_on_whom_it_trains(crops: Path, tmp_path: Path) -> None:
    """The road of the README: split, records of the one side, a pack of the other."""
    shutil.copytree(crops, tmp_path / "people")
    (tmp_path / "people" / "p00").rename(tmp_path / "elsewhere")
    (tmp_path / "people" / "p00").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "people" / "p01" / ".DS_Store").touch()
    given = ("split_people", "--input", tmp_path / "people", "--output", tmp_path / "split", "--verify-people", 8)
    out = run(*given)
    assert f"12 people, 36 images: {tmp_path / 'split' / 'train'}" in out
    assert f"8 people, 24 images: {tmp_path / 'split' / 'verify'}" in out
    assert "skipped 1: a hidden file (p01/.DS_Store)" in out
    assert "already complete" in run(*given)
    assert "other options" in run(*given, "--seed", 1, status=2)
    train, verify = tmp_path / "split" / "train", tmp_path / "split" / "verify"
    assert all(path.is_symlink() for side in (train, verify) for path in side.iterdir())
    rec = run("build_rec", "--input", train, "--output", tmp_path / "mine")
    assert "36 images of 12 people" in rec
    run("build_pack", "--input", verify, "--pack-pairs", 32, "--folds", 4, "--output", tmp_path / "mine" / "verify.bin")
    records = FaceRecords(tmp_path / "mine")
    trained = {records.read(i)[1] for i in range(len(records))}
    tested = set(read_pack(tmp_path / "mine" / "verify.bin").images)
    person = {path.read_bytes(): path.parent.name for path in (tmp_path / "people").glob("*/*.jpg")}
    assert not {person[image] for image in trained} & {person[image] for image in tested}
    manifest = json.loads((tmp_path / "split" / "manifest.json").read_text())
    assert sorted(manifest["train"] + manifest["verify"]) == sorted(
        path.name for path in (tmp_path / "people").iterdir()
    )
    assert manifest["images"]["seen"] == 61
    inside = tmp_path / "people" / "split"
    assert "must not lie in the other" in run(
        "split_people", "--input", tmp_path / "people", "--output", inside, status=2
    )


def test_build_pack_of_few_people(crops: Path, tmp_path: Path) -> None:
    """Ten folds name their rule, what was skipped and what can be had; five are drawn, and are known by their order."""
    for person in range(12):
        shutil.copytree(crops / f"p{person:02d}", tmp_path / "few" / f"p{person:02d}")
    (tmp_path / "few" / "p00" / "0.jpg").write_bytes(b"no image")
    given = ("build_pack", "--input", tmp_path / "few", "--output", tmp_path / "a.bin", "--pack-pairs", 20)
    error = run(*given, status=2)
    assert "each of 10 folds has people of its own" in error
    assert error.endswith("can give 0, in 5 folds 60: add --folds 5")
    assert "11 folds: expected 2 to 10" in run(*given, "--folds", 11, status=2)
    assert "multiple of 10" in run(*given[:-1], 24, "--folds", 5, status=2)
    out = run(*given[:-1], 30, "--folds", 5)
    assert out.startswith("30 pairs of ")
    same = read_pack(tmp_path / "a.bin").issame
    assert same.tolist() == ([True] * 3 + [False] * 3) * 5
    assert drawn_folds(same) == 5
    for path in (tmp_path / "few").glob("*/1.jpg"):
        path.write_bytes(b"no image")
    error = run(*given[:3], "--output", tmp_path / "b.bin", "--pack-pairs", 60, "--folds", 2, status=2)
    assert "; skipped 1" in error
    assert "not a JPEG" in error


def test_build_pack_across_clips(crops: Path, tmp_path: Path) -> None:
    for i, path in enumerate(sorted(crops.rglob("*.jpg"))):
        target = tmp_path / "people" / path.parent.name / f"clip {i % 2}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    given = ("build_pack", "--input", tmp_path / "people", "--pack-pairs", 40)
    assert "not inside one clip, " in run(*given[:-1], 100, "--output", tmp_path / "x.bin", status=2)
    line = [sys.executable, str(ROOT / "datasets" / "build_pack.py"), *map(str, given[1:]), "--output"]
    told = {}
    for clips in ("auto", "none"):
        output = tmp_path / f"{clips}.bin"
        done = subprocess.run([*line, output, "--clips", clips], capture_output=True, text=True, check=True)
        told[clips] = done.stderr
    assert "taken for clips" in told["auto"]
    assert "of the 20 pairs of one person lie inside one folder, which may be a clip" in told["none"]
    clip = {path.read_bytes(): path.parent for path in (tmp_path / "people").rglob("*.jpg")}
    pack = read_pack(tmp_path / "auto.bin")
    assert all(clip[a] != clip[b] for a, b in zip(pack.images[::2], pack.images[1::2], strict=True))


def test_build_pack_from_a_list(crops: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("p00/0.jpg p00/1.jpg 1\np00/0.jpg p03/2 0\n")
    run("build_pack", "--input", crops, "--output", tmp_path / "a.bin", "--pairs", tmp_path / "pairs.txt")
    pack = read_pack(tmp_path / "a.bin")
    assert pack.issame.tolist() == [True, False]
    again = ("build_pack", "--input", crops, "--output", tmp_path / "b.bin", "--pairs", tmp_path / "pairs.txt")
    for flags in (("--folds", 5), ("--clips", "none")):
        assert "--folds and --clips are for pairs that are drawn" in run(*again, *flags, status=2)
    assert pack.images == [(crops / name).read_bytes() for name in ("p00/0.jpg", "p00/1.jpg", "p00/0.jpg", "p03/2.jpg")]


def test_two_spellings_of_a_name_are_one_person(crops: Path, tmp_path: Path) -> None:
    """The error names both folders before anything is written; other spellings are two people, and told."""
    people = tmp_path / "people"
    for name, person in (("Zo\u00eb", 0), ("Zoe\u0308", 1), ("Li Na", 2), ("li_na", 3), ("Bo", 4), ("Cy", 5)):
        shutil.copytree(crops / f"p{person:02d}", people / name)
    for command, *flags in (("split_people",), ("build_rec",), ("build_pack", "--pack-pairs", 4, "--folds", 2)):
        error = run(command, "--input", people, "--output", tmp_path / "out", *flags, status=2)
        assert "'Zo\\xeb'" in error
        assert "'Zoe\\u0308'" in error
        assert not (tmp_path / "out").exists()
    shutil.rmtree(people / "Zoe\u0308")
    line = [sys.executable, ROOT / "datasets" / "split_people.py", "--input", people, "--output", tmp_path / "out"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    notes = [text for text in done.stderr.splitlines() if text.startswith("note: ")]
    assert len(notes) == 1
    assert "2 names equal others but for case, blanks, _ or -" in notes[0]
    assert "('Li Na' and 'li_na')" in notes[0]


def test_mistakes_are_one_line(crops: Path, frames: tuple[Path, Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    root, table, _ = frames
    (tmp_path / "file").touch()
    out = tmp_path / "out"
    (tmp_path / "bad.csv").write_text("image,x0\n")
    cases: list[tuple[str, list[object], str]] = [
        ("build_rec", ["--input", tmp_path / "no", "--output", out], "no such folder"),
        ("build_rec", ["--input", crops, "--output", tmp_path / "file" / "x"], "Not a directory"),
        ("build_rec", ["--input", root / "a", "--output", out], "beside the folders of people"),
        ("build_rec", ["--input", crops, "--output", out, "--landmarks", tmp_path / "no.csv"], "no.csv: No such file"),
        ("build_rec", ["--input", crops, "--output", out, "--landmarks", tmp_path / "bad.csv"], "bad.csv: line 1"),
        ("build_rec", ["--input", crops, "--output", out, "--landmarks", table], "none of its 3 names"),
        ("build_rec", ["--input", root, "--output", out], "no image could be used; a/0.png: not 112x112"),
        ("build_pack", ["--input", crops, "--output", tmp_path / "a.bin", "--count", 2000], "seed 0 can give 120"),
        ("build_pack", ["--input", crops, "--output", tmp_path / "file", "--count", 20], "already there"),
        ("rec_info", ["--input", crops], "train.rec: no such record file"),
        ("pack_info", ["--input", tmp_path / "none.bin"], "none.bin: No such file"),
        ("pack_info", ["--input", crops], "is a folder; give a pack in it"),
        ("pack_info", ["--input", crops / "p00" / "0.jpg"], "not a verification pack"),
        ("pack_info", ["--input", crops / "p00" / "0.jpg", "--skip-bad"], "--skip-bad is about --unpack"),
        ("rec_to_images", ["--input", tmp_path / "file", "--output", out], "index of file is missing"),
        ("align_faces", ["--input", root, "--landmarks", table, "--output", root], "lies in --input"),
        ("convert_ytf", ["--input", crops, "--output", out], "training_keypoints.csv: No such file"),
    ]
    for command, arguments, message in cases:
        assert message in run(command, *arguments, status=2)


# --- YouTube Faces -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_ytf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 people of two videos (one person: of one) with 2 training frames and 1 test frame, in the set's own layout."""
    root = tmp_path_factory.mktemp("ytf")
    header = "image," + ",".join(f"x{i},y{i}" for i in range(68))
    rng = np.random.default_rng(0)
    for part, count in (("training", 2), ("test", 1)):
        (root / part).mkdir()
        rows = [header]
        for person in range(30):
            for video in range(1 if person == 29 else 2):
                for frame in range(count):
                    name = f"Per_Son_{person:02d}x_{video}{frame}.jpg"
                    (root / part / name).write_bytes(encode_jpeg(picture(rng.integers(10**6), 80, 70)))
                    points = rng.normal(40, 2, (68, 2))
                    points[36:42] += [-12, -10]
                    points[42:48] += [12, -10]
                    points[[48, 54]] += [[-9, 14], [9, 14]]
                    rows.append(f"{name}," + ",".join(map(str, points.ravel().round(2))))
        if part == "training":
            shutil.copy(root / part / "Per_Son_00x_00.jpg", root / part / "Per_Son_00x_01.jpg")  # an exact copy
            (root / part / "Per_Son_00x_09.jpg").write_bytes(encode_jpeg(picture(1)))  # no landmarks
        (root / f"{part}_keypoints.csv").write_text("\n".join(rows) + "\n")
    return root


def convert(source: Path, output: Path, *more: object) -> str:
    return run("convert_ytf", "--input", source, "--output", output, *more)


def test_convert_ytf(tiny_ytf: Path, tmp_path: Path) -> None:
    out = convert(tiny_ytf, tmp_path / "a", "--train-people", 8, "--pairs", 40, "--seed", 4)
    assert "176 different frames" in out  # 30 * 2 * 3 - 3 of the missing video - 1 copy
    assert "skipped 1: exact copy of another frame (training/Per_Son_00x_01.jpg)" in out
    assert "skipped 1: no landmarks (training/Per_Son_00x_09.jpg)" in out
    folder = tmp_path / "a"
    records = FaceRecords(folder)
    assert records.num_classes == 8
    train = {
        line.split("\t")[1].split("/")[1].rpartition("_")[0] for line in (folder / "train.lst").read_text().splitlines()
    }
    images = (folder / "images" / "filelist.txt").read_text().splitlines()
    labels = (folder / "images" / "labels.txt").read_text().splitlines()
    held_out = sorted({name.rsplit("_", 2)[0] for name in images})
    assert len(train) == 8
    assert len(held_out) == 22
    assert not train & set(held_out)
    assert [int(label) for label in labels] == [held_out.index(name.rsplit("_", 2)[0]) for name in images]
    people = (folder / "images" / "people.csv").read_text().splitlines()
    told = [f"{name},{name.rsplit('_', 2)[0]},{name.rpartition('_')[0]}" for name in images]
    assert people == ["file,person,video", *told]
    videos = (folder / "videos" / "filelist.txt").read_text().splitlines()
    video_labels = (folder / "videos" / "labels.txt").read_text().splitlines()
    assert [int(label) for label in video_labels] == [held_out.index(name.rsplit("_", 1)[0]) for name in videos]
    frames = {
        f"{video}_{path.name}": path.read_bytes() for video in videos for path in (folder / "videos" / video).iterdir()
    }
    assert frames == {name: (folder / "images" / name).read_bytes() for name in images}
    pack = read_pack(folder / "heldout.bin")
    assert len(pack) == 40
    video_of = {data: name.rpartition("_")[0] for name, data in frames.items()}
    for first, second, same in zip(pack.images[::2], pack.images[1::2], pack.issame, strict=True):
        one, two = video_of[first], video_of[second]
        assert (one[:-2] == two[:-2]) == same
        assert one != two
    if "Per_Son_29x" in held_out:
        assert "1 of these people have one video only" in out


def test_convert_ytf_is_reproducible(tiny_ytf: Path, tmp_path: Path) -> None:
    options = ("--train-people", 8, "--pairs", 40)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        convert(tiny_ytf, tmp_path / name, *options, "--seed", seed)
    contents = [
        {str(p.relative_to(tmp_path / name)): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in "abc"
    ]
    assert contents[0] == contents[1] != contents[2]
    assert "already complete" in convert(tiny_ytf, tmp_path / "a", *options, "--seed", 1)
    again = run("convert_ytf", "--input", tiny_ytf, "--output", tmp_path / "a", *options, "--seed", 9, status=2)
    assert "other options" in again


def test_convert_ytf_says_what_cannot_be(tiny_ytf: Path, tmp_path: Path) -> None:
    common = ("convert_ytf", "--input", tiny_ytf, "--output", tmp_path / "a")
    assert "--train-people 30: from 1 to 29" in run(*common, "--train-people", 30, status=2)
    assert "can give" in run(*common, "--train-people", 8, "--pairs", 4000, status=2)
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(not YTF.is_dir(), reason="the real frames of ../shared/data/ytf-keypoints are not here")
def test_real_frames(tmp_path: Path) -> None:
    out = convert(YTF, tmp_path / "ytf", "--train-people", 220)
    assert "3383 different frames with landmarks" in out
    assert "images of 220 people" in out
    assert "of 57 other people" in out
    assert "600 pairs" in out
