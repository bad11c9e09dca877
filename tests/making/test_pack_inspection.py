"""What a pack holds is counted by a plain loop; unpacked, it can be built again; nothing in it is passed over."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lwface.base.errors import UserError
from lwface.base.journal import open_job, read_manifest
from lwface.formats.file_list import read_image_list
from lwface.formats.image import encode_jpeg
from lwface.formats.pair_lists import read_issame
from lwface.formats.verification_pack import VerificationPack
from lwface.making.pack_inspection import inspect_pack
from lwface.making.pack_unpacking import PRODUCTS, unpack_pack
from lwface.making.pair_list import read_pairs


def picture(seed: int, height: int = 112, width: int = 112) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def turned(image: np.ndarray) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(buffer, "JPEG", exif=exif.tobytes())
    return buffer.getvalue()


JPEGS = [encode_jpeg(picture(i)) for i in range(6)]
PNG = cv2.imencode(".png", picture(7))[1].tobytes()
WIDE = encode_jpeg(picture(8, 100, 140))


def made(*pairs: tuple[bytes, bytes, bool]) -> VerificationPack:
    images = [image for first, second, _ in pairs for image in (first, second)]
    return VerificationPack("lfw", images, np.array([same for *_, same in pairs]))


def test_everything_in_a_pack_is_counted() -> None:
    cut = JPEGS[5][:-9]
    pack = made(
        (JPEGS[0], JPEGS[1], True),
        (JPEGS[1], JPEGS[0], True),  # listed again, the other way round
        (JPEGS[0], JPEGS[2], False),
        (JPEGS[2], JPEGS[2], True),  # one image twice
        (JPEGS[0], JPEGS[1], False),  # the opposite
        (PNG, WIDE, False),
        (turned(picture(9, 50, 80)), cut, True),
        (cut, JPEGS[3], False),
    )
    report = inspect_pack(pack, workers=2)
    assert (report.pairs, report.genuine, report.bytes) == (8, 4, sum(map(len, pack.images)))
    assert report.formats == {"jpg": 15, "png": 1}
    assert report.sizes == {"112x112": 12, "140x100": 1, "50x80": 1}  # the last as it is shown
    assert list(report.damaged) == [13, 14]
    assert report.turned == [12]
    assert (report.different, report.most_used) == (len(set(pack.images)), (0, 4))
    assert (report.with_itself, report.listed_again, report.contradictory) == ([3], [1, 4], [4])
    assert report.one_kind == "8 pairs are fewer than 10 folds"
    text = "\n".join(report.lines("lfw.bin"))
    for said in (
        "lfw.bin: 8 pairs, 4 of one person (50.0%)",
        "1 pairs are one image twice (counted from 0: 3)",
        "image 13 of pair 6: the JPEG is cut short",
        "16 images: 2 damaged",
        "the opposite truth (counted from 0: 4)",
    ):
        assert said in text
    assert json.loads(json.dumps(report.as_json()))["damaged"][0]["image"] == 13


def test_folds_of_one_kind_are_said() -> None:
    pairs = [(JPEGS[i % 6], JPEGS[(i + 1) % 6], i < 20) for i in range(40)]
    report = inspect_pack(made(*pairs), workers=0)
    assert (report.one_kind, report.folds) == ("fold 1 of 10 (pairs 1 to 4) has only pairs of one person", None)
    assert "mix the pairs" in "\n".join(report.lines("p"))
    report = inspect_pack(made(*pairs[::2][::-1], *pairs[1::2]), workers=0)
    assert report.one_kind is not None
    mixed = [(first, second, i % 2 == 0) for i, (first, second, _) in enumerate(pairs)]
    report = inspect_pack(made(*mixed), workers=0)
    assert (report.one_kind, report.folds) == (None, 10)
    genuine = inspect_pack(made(*((a, b, True) for a, b, _ in pairs)), workers=0)
    assert "all 40 pairs are of one person: no accuracy follows from it" in "\n".join(genuine.lines("p"))


def unpacked(pack: VerificationPack, folder: Path, **options: bool) -> None:
    journal = open_job(folder, "job", PRODUCTS)
    assert journal is not None
    with journal:
        unpack_pack(pack, folder, journal, **{"skip_bad": False, **options})
        journal.finish({})


def test_unpacked_files_are_the_pack(tmp_path: Path) -> None:
    pack = made((JPEGS[0], PNG, True), (WIDE, JPEGS[0], False), (PNG, JPEGS[0], True))
    unpacked(pack, tmp_path)
    names = read_image_list(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in names] == pack.images
    assert names == [f"images/{name}" for name in ("0.jpg", "1.png", "2.jpg", "0.jpg", "1.png", "0.jpg")]
    assert read_issame(tmp_path / "issame.txt").tolist() == pack.issame.tolist()
    pairs = read_pairs(tmp_path / "pairs.txt", sorted(set(names)))
    assert [name for pair in pairs for name in pair[:2]] == names
    assert [pair.same for pair in pairs] == pack.issame.tolist()


def test_an_interrupted_unpacking_goes_on_and_damage_is_left_out_only_where_asked(tmp_path: Path) -> None:
    pack = made((JPEGS[0], JPEGS[1], True), (JPEGS[1][:-30], JPEGS[2], False), (JPEGS[2], JPEGS[3], False))
    with pytest.raises(UserError, match=r"lfw: image 2: the JPEG is cut short.*--skip-bad leaves its pairs out"):
        unpacked(pack, tmp_path)
    unpacked(pack, tmp_path, skip_bad=True)  # the first pair was done
    manifest = read_manifest(tmp_path)
    assert (manifest["taken"], [found["count"] for found in manifest["skipped"].values()]) == (2, [1])
    names = read_image_list(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in names] == [JPEGS[i] for i in (0, 1, 2, 3)]
    with pytest.raises(UserError, match="every pair has an image that does not decode"):
        unpacked(made((b"junk", JPEGS[0], True)), tmp_path / "none", skip_bad=True)
