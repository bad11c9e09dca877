"""Optional packages."""

import json

import pytest

from lwface.base.errors import UserError
from lwface.base.extras import available, require


def test_an_installed_module_is_imported():
    assert available("json")
    assert require("json", "onnx") is json


def test_a_missing_one_is_an_error_that_says_what_to_type():
    assert not available("no_such_package")
    with pytest.raises(UserError, match=r"no_such_package is not installed: make setup .* pip install '\.\[search\]'"):
        require("no_such_package", "search")
