"""Training data without what a list of datasets/clean.py leaves out, and with people joined."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.features.writing import RecordListing
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.recognition.dataset import FaceDataset
from lwface.recognition.leaving_out import read_left_out

LABELS = [0, 0, 1, 1, 2, 2, 2, 3]
NAMES = [f"{'abcd'[label]}/{number}.jpg" for number, label in enumerate(LABELS)]
HEADER = "person,proposal,other\n"


@pytest.fixture
def records(tmp_path):
    """Eight images of four people; the keys are 10, 11, ...; every pixel of an image is its place."""
    with RecordWriter(tmp_path / "train.rec") as writer:
        for place, label in enumerate(LABELS):
            image = np.full((4, 4, 3), 20 * place, np.uint8)
            writer.write(10 + place, pack(Header(0, label, 10 + place, 0), encode_jpeg(image)))
    (tmp_path / "property").write_text("4,4,4\n")
    lines = [f"1\t{name}\t{label}\n" for name, label in zip(NAMES, LABELS, strict=True)]
    (tmp_path / "train.lst").write_text("".join(lines))
    return FaceRecords(tmp_path)


def left_out(records, text):
    path = records.path.with_name("clean.csv")
    path.write_text(text)
    return read_left_out(path, records)


def batch(records, found, **options):
    """Labels, and places by their pixels."""
    data = FaceDataset(records, image_size=(4, 4), left_out=found, **options)
    whole = data[np.arange(len(data))]
    assert data.labels().tolist() == whole.targets.tolist()
    return whole.targets.tolist(), [round(float(image.float().mean()) / 20) for image in whole.images]


@pytest.mark.parametrize(
    "text",
    [
        f"key,{HEADER}12,1,leave out,\n15,2,leave out,0\n13,3,same person as,1\n",
        f"image,{HEADER}b/2.jpg,b,leave out,\nc/5.jpg,c,leave out,a\n,d,same person as,b\n",
    ],
    ids=["keys", "paths"],
)
def test_images_are_gone_and_people_are_one(records, text):
    found = left_out(records, text)
    assert found.text() == "2 of 8 images left out, 1 people joined to another"
    assert batch(records, found) == ([0, 0, 1, 2, 2, 1], [0, 1, 3, 4, 6, 7])
    assert batch(records, found, keep=True) == batch(records, found)


def test_chains_of_people_end_at_the_lowest(records):
    found = left_out(records, f"key,{HEADER},3,same person as,2\n,2,same person as,1\n,1,same person as,3\n")
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert found.people == 2
    assert found.used.all()


def test_few_images_are_counted_afterwards(records):
    found = left_out(records, f"key,{HEADER}10,0,leave out,\n,3,same person as,1\n")
    assert batch(records, found, images_filter=3) == ([1, 1, 2, 2, 2, 1], [2, 3, 4, 5, 6, 7])
    with pytest.raises(UserError, match="no identity has data_images_filter = 4 images"):
        batch(records, found, images_filter=4)


def test_lines_that_fit_nothing_are_counted(records):
    found = left_out(records, f"key,{HEADER}10,0,leave out,\n99,0,leave out,\n,8,same person as,1\n")
    assert (
        found.text() == "1 of 8 images left out, 0 people joined to another; 2 lines name what is not in the data set"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"key,{HEADER}99,0,leave out,\n", "none of its 1 lines names an image or a person"),
        (f"key,{HEADER}10,3,leave out,\n", "line 2: 10 is of '3' here and has label 0 in the data set"),
        (f"image,{HEADER}a/0.jpg,b,leave out,\n", "of another data set"),
        ("key," + HEADER + "".join(f"{10 + i},{label},leave out,\n" for i, label in enumerate(LABELS)), "all 8 images"),
    ],
)
def test_a_list_of_another_set_is_refused(records, text, says):
    with pytest.raises(UserError, match=says):
        left_out(records, text)


def test_paths_need_the_listing(records):
    records.path.with_name("train.lst").unlink()
    with pytest.raises(UserError, match=r"names images by path, and there is no .*train\.lst"):
        left_out(records, f"image,{HEADER}a/0.jpg,a,leave out,\n")


def test_the_images_of_a_record_file_are_rows_in_the_order_of_keys(records):
    listing = RecordListing(records)
    names = list(listing.paths(2))
    assert (len(listing), len(names)) == (8, 6)
    assert names[0].endswith("train.rec: key 12")
    assert [listing.read(name) for name in names] == [records.read(place)[1] for place in range(2, 8)]
    assert listing.sha256 == RecordListing(FaceRecords(records.path)).sha256
