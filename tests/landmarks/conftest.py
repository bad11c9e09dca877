"""Procedural faces with points, made once for all tests of this folder."""

import pytest

from lwface.base.journal import fingerprint, open_job
from lwface.synthetic import generate


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """Frames of 20 people to learn from and of 6 others."""
    folder = tmp_path_factory.mktemp("faces")
    options = generate.Options(
        train_people=20, images_per_person=3, heldout_people=6, heldout_images=3, video_people=0, pack_people=2,
        pack_pairs=2, frames=True,
    )  # fmt: skip
    with open_job(folder, fingerprint({}, []), generate.PRODUCTS) as journal:
        generate.generate(options, folder, journal, 1)
    return folder
