"""The programs of a page of documentation, and a small world for them to run in.

As a command, ``documented_programs.py PAGE FOLDER`` writes both into FOLDER, the programs as ``program.py``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import torch

from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import RecordWriter, pack
from lwface.models.pretrained import iresnet_name
from lwface.models.store import save_model
from lwface.networks import create_network
from lwface.synthetic.render import sample_image

SETTINGS = {"net_name": "fmobilenet", "net_multiplier": 0.25, "emb_size": 16, "net_output": "E", "net_input": 0}
IRESNET_SETTINGS = {"net_name": "fresnet", "net_units": [1, 2, 3, 1], "emb_size": 8}
PEOPLE, IMAGES_EACH = 20, 3


def program_of(page: Path) -> str:
    """All Python of ``page``, in its order: later blocks go on from earlier ones."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks, f"{page} has no program"
    return "\n".join(blocks)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """(count, 112, 112, 3) uint8: noise of another mean in each."""
    generator = np.random.default_rng(seed)
    means = generator.integers(40, 200, (count, 1, 1, 3))
    return (means + generator.integers(0, 56, (count, 112, 112, 3))).astype(np.uint8)


def write_iresnet(path: Path) -> None:
    """A small network of ArcFace's units, as arcface_torch saves one."""
    torch.manual_seed(1)
    state = create_network(IRESNET_SETTINGS).state_dict()
    torch.save({iresnet_name(name): tensor for name, tensor in state.items()}, path)


def make_world(folder: Path) -> None:
    """Models, a data set and two images, under the names that the documentation uses."""
    torch.manual_seed(0)
    save_model(str(folder / "models" / "y2-arcface-retina" / "model"), 1, create_network(SETTINGS), SETTINGS)
    write_iresnet(folder / "backbone.pth")
    jpegs = [encode_jpeg(image) for image in pictures(PEOPLE * IMAGES_EACH)]
    dataset = folder / "datasets" / "mine"
    dataset.mkdir(parents=True)
    with RecordWriter(dataset / "train.rec") as writer:
        for key, jpeg in enumerate(jpegs):
            writer.write(key, pack((0, float(key // IMAGES_EACH), key, 0), jpeg))
    (dataset / "property").write_text(f"{PEOPLE},112,112\n")
    (folder / "photographs").mkdir()
    for person, name in enumerate(("anna", "ben")):
        photograph = encode_jpeg(sample_image(11, person, 0, difficulty=0.5).frame)
        (folder / "photographs" / f"{name}.jpg").write_bytes(photograph)
    for name, jpeg in (("anna", jpegs[0]), ("ben", jpegs[-1])):
        (folder / "people" / name).mkdir(parents=True)
        (folder / "people" / name / "1.jpg").write_bytes(jpeg)


if __name__ == "__main__":
    page, folder = map(Path, sys.argv[1:])
    make_world(folder)
    (folder / "program.py").write_text(program_of(page))
