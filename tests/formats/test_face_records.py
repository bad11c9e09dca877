"""Labelled faces in both layouts, and every label or range that cannot be."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lwface.formats.face_records import FaceRecords, identity_records
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import MAGIC_BYTES, Header, RecordError, RecordWriter, pack

M = MAGIC_BYTES


def write(rec: Path, payloads: dict[int, bytes]) -> Path:
    with RecordWriter(rec) as writer:
        for key, payload in payloads.items():
            writer.write(key, payload)
    return rec


def write_faces(folder: Path, labels: list[float], num_classes: int | None = None) -> Path:
    """A plain set: key and label of image i are i and labels[i]."""
    write(folder / "train.rec", {k: pack((0, label, k, 0), b"jpeg%d" % k) for k, label in enumerate(labels)})
    if num_classes is not None:
        (folder / "property").write_text(f"{num_classes},112,112\n")
    return folder


def write_insightface(folder: Path) -> Path:
    """Five images of two people, then the two identity records, then record 0."""
    records = {k: pack((0, float(k > 2), k, 0), b"jpeg%d" % k) for k in range(1, 6)}
    records |= {6: pack((0, (1, 3), 6, 0), b""), 7: pack((0, (3, 6), 7, 0), b""), 0: pack((0, (6, 8), 0, 1), b"")}
    write(folder / "train.rec", records)
    (folder / "property").write_text("2,112,112\n")
    return folder


def test_identity_records_are_the_layout_by_hand() -> None:
    expected = [
        (6, pack((0, (1, 3), 6, 0), b"")),
        (7, pack((0, (3, 6), 7, 0), b"")),
        (0, pack((0, (6, 8), 0, 1), b"")),
    ]
    assert identity_records([1, 3], 6) == expected


def test_insightface_layout(tmp_path: Path) -> None:
    for path in (write_insightface(tmp_path), tmp_path / "train.rec"):
        records = FaceRecords(path)
        assert records.insightface
        assert len(records) == 5
        assert records.keys.tolist() == [1, 2, 3, 4, 5]
        assert records.identities == {6: (1, 3), 7: (3, 6)}
        assert (records.num_classes, records.image_size) == (2, (112, 112))
        assert [records.read(i) for i in range(5)] == [(int(k > 2), b"jpeg%d" % k) for k in range(1, 6)]
        assert records.labels().tolist() == [0, 0, 1, 1, 1]


def test_plain_layout(tmp_path: Path) -> None:
    records = FaceRecords(write_faces(tmp_path, [1, 0, 2], 3))
    assert not records.insightface
    assert records.identities is None
    assert records.keys.tolist() == [0, 1, 2]
    assert records.read(0) == (1, b"jpeg0")
    assert records.labels().tolist() == [1, 0, 2]


def test_labels_of_every_shape_of_record(tmp_path: Path) -> None:
    """One label, several (the first counts), records split by the magic word: gathered as they are read."""
    tricky = struct.unpack("<f", M)[0]  # a label whose bytes are the magic word is split, and is no class
    payloads = [pack((0, 4.0, 0, 0), b""), pack((0, (3, 9), 0, 0), b"x"), pack((0, 2.0, 0, 0), M * 3)]
    payloads += [pack(Header(0, 1.0, int.from_bytes(M, "little"), 0), b"jpeg"), pack((0, [5.0], 0, 0), b"ab" + M)]
    write(tmp_path / "train.rec", dict(enumerate(payloads)))
    records = FaceRecords(tmp_path)
    assert records.labels().tolist() == [4, 3, 2, 1, 5] == [records.read(i)[0] for i in range(5)]
    write(tmp_path / "train.rec", {0: payloads[0], 1: pack((0, tricky, 0, 0), b"")})
    with pytest.raises(RecordError, match="record 1"):
        FaceRecords(tmp_path).labels()


@pytest.mark.parametrize("label", [3.0, -1.0, 0.5, float("nan"), float("inf"), 1e30])
def test_label_outside_num_classes_names_the_key(tmp_path: Path, label: float) -> None:
    records = FaceRecords(write_faces(tmp_path, [0, 1, label, 2], 3))
    for attempt in (records.labels, lambda: records.read(2)):
        with pytest.raises(RecordError, match=r"record 2 at byte \d+: label") as caught:
            attempt()
        assert caught.value.key == 2
    assert records.read(3) == (2, b"jpeg3")


def test_labels_of_a_record_too_short_for_a_header(tmp_path: Path) -> None:
    write(tmp_path / "train.rec", {1: pack((0, 0.0, 0, 0), b"image"), 2: b"short"})
    records = FaceRecords(tmp_path)
    for attempt in (records.labels, lambda: records.read(1)):
        with pytest.raises(RecordError, match=r"record 2 at byte \d+: .* too few"):
            attempt()


@pytest.mark.parametrize(
    "text", ["", "3", "3,112", "x,112,112", "0,112,112", "3,112,112,1", "-3,112,112", "3.0,112,112"]
)
def test_damaged_property(tmp_path: Path, text: str) -> None:
    write_faces(tmp_path, [0.0])
    (tmp_path / "property").write_text(text)
    with pytest.raises(RecordError, match="property"):
        _ = FaceRecords(tmp_path).num_classes


@pytest.mark.parametrize("text", ["\ufeff2,112,112\r\n2\r\n", "2;112;112\n\n2\n", "2 112 112", " 2, 112, 112 "])
def test_property_of_other_writers(tmp_path: Path, text: str, capsys) -> None:
    write_faces(tmp_path, [0.0, 1.0])
    (tmp_path / "property").write_text(text, encoding="utf-8")
    records = FaceRecords(tmp_path)
    assert (records.num_classes, records.image_size) == (2, (112, 112))
    assert records.labels().tolist() == [0, 1]
    assert not capsys.readouterr().err


def test_a_property_that_counts_other_images_says_so(tmp_path: Path, capsys) -> None:
    write_faces(tmp_path, [0.0, 1.0])
    (tmp_path / "property").write_text("2,112,112\n3\n")
    assert FaceRecords(tmp_path).num_classes == 2
    assert "property: says 3 images, the index has 2" in capsys.readouterr().err
    (tmp_path / "property").write_text("2,112,112\n2,112,112\n")
    with pytest.raises(RecordError, match="after its first line is not the number of images"):
        _ = FaceRecords(tmp_path).num_classes


def test_an_index_that_was_made_by_counting(tmp_path: Path, capsys) -> None:
    """What MXNet's rec2idx writes: a key from 0 on for each record, in the order of the file."""
    write_insightface(tmp_path)
    expected = FaceRecords(tmp_path)
    labels, data = expected.labels().tolist(), [expected.read(i) for i in range(len(expected))]
    idx = tmp_path / "train.idx"
    offsets = sorted(int(line.split("\t")[1]) for line in idx.read_text().splitlines())
    assert not capsys.readouterr().err
    idx.write_text("".join(f"{key}\t{offset}\n" for key, offset in enumerate(offsets)))
    records = FaceRecords(tmp_path)
    assert records.insightface
    assert records.keys.tolist() == expected.keys.tolist()
    assert records.labels().tolist() == labels
    assert [records.read(i) for i in range(len(records))] == data
    assert records.identities == expected.identities
    assert "counted anew" in capsys.readouterr().err
    assert pickle.loads(pickle.dumps(records)).labels().tolist() == labels
    idx.write_text("".join(f"{key}\t{offset}\n" for key, offset in enumerate(offsets[:-1])))  # cut short: not that
    assert not FaceRecords(tmp_path).insightface


def test_a_plain_set_counted_anew_is_as_it_was(tmp_path: Path, capsys) -> None:
    records = FaceRecords(write_faces(tmp_path, [0, 1, 1]))
    idx = tmp_path / "train.idx"
    offsets = sorted(int(line.split("\t")[1]) for line in idx.read_text().splitlines())
    idx.write_text("".join(f"{key}\t{offset}\n" for key, offset in enumerate(offsets)))
    again = FaceRecords(tmp_path)
    assert again.labels().tolist() == records.labels().tolist()
    assert not capsys.readouterr().err


def test_without_property(tmp_path: Path) -> None:
    records = FaceRecords(write_faces(tmp_path, [0, 99]))
    assert not records.has_property
    assert records.labels().tolist() == [0, 99]
    with pytest.raises(RecordError, match="property: missing"):
        _ = records.num_classes


def test_record_0_that_does_not_fit_the_index(tmp_path: Path) -> None:
    write_insightface(tmp_path)
    idx = tmp_path / "train.idx"
    lines = idx.read_text().splitlines(keepends=True)
    idx.write_text("".join(line for line in lines if not line.startswith("3\t")))
    with pytest.raises(RecordError, match="no key 3"):
        FaceRecords(tmp_path)
    idx.write_text("".join(line for line in lines if not line.startswith("7\t")))
    with pytest.raises(RecordError, match="no key 7"):
        _ = FaceRecords(tmp_path).identities
    write(tmp_path / "train.rec", {0: pack((0, (9, 3), 0, 0), b""), 1: pack((0, 0.0, 1, 0), b"i")})
    with pytest.raises(RecordError, match="not in order"):
        FaceRecords(tmp_path)


@pytest.mark.parametrize("announced", [1e9, 3e38])
def test_record_0_that_announces_more_than_memory_holds(tmp_path: Path, announced: float) -> None:
    folder = write_insightface(tmp_path)
    rec = folder / "train.rec"
    changed = rec.read_bytes().replace(struct.pack("<ff", 6, 8), struct.pack("<ff", announced, announced))
    assert changed != rec.read_bytes()
    rec.write_bytes(changed)
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match="it announces images 1 to"):
            FaceRecords(folder)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_face_records_pickle(tmp_path: Path) -> None:
    records = pickle.loads(pickle.dumps(FaceRecords(write_insightface(tmp_path))))
    assert records.read(4) == (1, b"jpeg5")


def write_pictures(folder: Path, count: int) -> tuple[Path, list[np.ndarray]]:
    """A plain set of ``count`` pictures, image i of person i // 2 under the key i, and the pictures as they decode."""
    generator = np.random.default_rng(0)
    jpegs = [encode_jpeg(generator.integers(0, 256, (16, 12, 3), dtype=np.uint8)) for _ in range(count)]
    write(folder / "train.rec", {i: pack((0, float(i // 2), i, 0), jpeg) for i, jpeg in enumerate(jpegs)})
    bgr = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in jpegs]
    return folder, [image[:, :, ::-1] for image in bgr]


def test_indexing_gives_image_and_label(tmp_path: Path) -> None:
    folder, pictures = write_pictures(tmp_path, 5)
    records = FaceRecords(folder)
    for position in (*range(-5, 5), np.int64(3), torch.tensor(2)):
        image, label = records[position]
        assert np.array_equal(image, pictures[position])
        assert (image.dtype, image.shape, label, type(label)) == (np.uint8, (16, 12, 3), position % 5 // 2, int)
    assert [label for _, label in records] == [0, 0, 1, 1, 2]
    for outside in (5, -6):
        with pytest.raises(IndexError, match=rf"train\.rec: no image {outside}: there are 5, counted from 0"):
            records[outside]
    with pytest.raises(TypeError):
        records["0"]  # type: ignore[index]


def test_a_damaged_image_names_file_and_key(tmp_path: Path) -> None:
    folder, pictures = write_pictures(tmp_path, 2)
    jpeg = encode_jpeg(np.ascontiguousarray(pictures[0]))
    write(folder / "train.rec", {4: pack((0, 0.0, 4, 0), jpeg[:-9]), 7: pack((0, 1.0, 7, 0), jpeg)})
    records = FaceRecords(folder)
    with pytest.raises(RecordError, match=r"train\.rec: record 4 at byte 0: its image does not decode: .* cut short"):
        records[0]
    assert records[1][1] == 1


@pytest.mark.parametrize(("workers", "start"), [(0, None), (2, "fork"), (2, "spawn")])
def test_a_data_loader_reads_them(tmp_path: Path, workers: int, start: str | None) -> None:
    folder, pictures = write_pictures(tmp_path, 7)
    loader = DataLoader(FaceRecords(folder), batch_size=3, num_workers=workers, multiprocessing_context=start)
    batches = list(loader)
    assert [images.shape for images, _ in batches] == [(3, 16, 12, 3), (3, 16, 12, 3), (1, 16, 12, 3)]
    assert np.array_equal(torch.cat([images for images, _ in batches]).numpy(), np.stack(pictures))
    assert torch.cat([labels for _, labels in batches]).tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_no_torch_is_needed_to_read_them(tmp_path: Path) -> None:
    folder, _ = write_pictures(tmp_path, 2)
    program = (
        "import sys; sys.modules['torch'] = None\n"
        f"from lwface.formats.face_records import FaceRecords; print(FaceRecords({str(folder)!r})[1][1])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")
