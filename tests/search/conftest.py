"""A data set of a few made-up people that a search finds in the configuration under the name ``synthetic``."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.formats.verification_pack import write_pack
from lwface.settings.places import Places
from lwface.settings.sections import load_sections

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 6


@pytest.fixture(scope="session")
def face_folder(tmp_path_factory):
    """Training records of six people, and held-out images of six: a folder of images and a pack of pairs."""
    folder = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    base = random.integers(40, 215, (2 * PEOPLE, 7, 7, 3))

    def face(person):
        noisy = np.clip(base[person] + random.integers(-25, 26, (7, 7, 3)), 0, 255).astype(np.uint8)
        return encode_jpeg(np.kron(noisy, np.ones((16, 16, 1), np.uint8)))

    with RecordWriter(folder / "train.rec") as writer:
        for key in range(24):
            writer.write(key, pack(Header(0, float(key % PEOPLE), key, 0), face(key % PEOPLE)))
    (folder / "property").write_text(f"{PEOPLE},112,112")
    (folder / "images").mkdir()
    labels = [row % PEOPLE for row in range(24)]
    for row, person in enumerate(labels):
        (folder / "images" / f"{row}.jpg").write_bytes(face(PEOPLE + person))
    (folder / "images" / "filelist.txt").write_text("".join(f"{row}.jpg\n" for row in range(24)))
    (folder / "images" / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    pairs = [(i % PEOPLE, (i + i % 2) % PEOPLE) for i in range(40)]
    write_pack(folder / "heldout.bin", [face(PEOPLE + i) for pair in pairs for i in pair], [a == b for a, b in pairs])
    return folder


@pytest.fixture
def configured(face_folder, monkeypatch):
    """A configuration whose ``synthetic`` is :func:`face_folder`; gives its sections, to change them further."""
    sections = load_sections(Places(ROOT, None))
    sections.dataset.synthetic.dataset_path = str(face_folder)
    for user in ("settings.resolve", "search.results", "commands.search"):
        monkeypatch.setattr(f"lwface.{user}.load_sections", lambda places=None: copy.deepcopy(sections))
    return sections


@pytest.fixture(autouse=True)
def _one_thread():  # threads of test processes that run side by side wait for each other
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
