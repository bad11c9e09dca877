"""A small bank of heads that the tests of this room share."""

from pathlib import Path

import pytest

from lwface.base.journal import open_job
from lwface.synthetic.head_bank import PRODUCTS, HeadBank, generate_heads
from lwface.synthetic.head_options import HeadOptions


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of four people, whom no shipped model learnt from; the last of them judges."""
    folder = tmp_path_factory.mktemp("heads")
    journal = open_job(folder, "test", PRODUCTS)
    assert journal is not None
    with journal:
        generate_heads(HeadOptions(seed=9, people=4, shots=1, backs=1), folder, journal, 0)
    return folder


@pytest.fixture(scope="session")
def bank(heads: Path) -> HeadBank:
    return HeadBank(heads)
