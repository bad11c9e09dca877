"""Optional packages."""

import json
import re
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.base.extras import available, require

ROOT = Path(__file__).resolve().parents[2]


def test_an_installed_module_is_imported():
    assert available("json")
    assert require("json", "onnx") is json


def test_a_missing_one_is_an_error_that_says_what_to_type():
    assert not available("no_such_package")
    remedy = r"in a checkout make setup .*, elsewhere pip install '(.*)\[search\]'"
    with pytest.raises(UserError, match=f"no_such_package is not installed: {remedy}") as caught:
        require("no_such_package", "search")
    project = (ROOT / "pyproject.toml").read_text()
    assert f'\nname = "{re.search(remedy, str(caught.value))[1]}"\n' in project
    assert "\nsearch = [" in project
