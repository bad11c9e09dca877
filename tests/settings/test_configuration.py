import ast
import importlib
import inspect
import shutil
import sys
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.losses import LOSSES
from lwface.networks import NETWORKS
from lwface.settings.configuration import RETIRED, ROOT, SETTINGS, network_settings, resolve, step_list


@pytest.fixture
def user_config(monkeypatch):
    """Run with a ``config.py`` of the given text, as a user would edit it."""

    def use(text):
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("config", loader=None))
        exec(text, module.__dict__)
        monkeypatch.setitem(sys.modules, "config", module)

    return use


FROM_SAMPLE = (
    "import copy, sample_config\n"
    "config, dataset, default, loss, network = (copy.deepcopy(getattr(sample_config, name)) "
    "for name in ('config', 'dataset', 'default', 'loss', 'network'))\n"
    "from easydict import EasyDict as edict\n"
)


def test_names_and_values_of_the_original():
    merged = resolve("y2", "retina", "arcface")
    assert (merged.network, merged.dataset, merged.loss) == ("y2", "retina", "arcface")
    assert (merged.net_name, merged.emb_size, merged.net_blocks) == ("fmobilefacenet", 256, [2, 8, 16, 4])
    assert (merged.loss_s, merged.loss_m1, merged.loss_m2, merged.loss_m3) == (64.0, 1.0, 0.5, 0.0)
    assert (merged.lr, merged.mom, merged.wd, merged.per_batch_size) == (0.1, 0.9, 0.0005, 128)
    assert step_list(merged.lr_steps) == [100000, 160000, 220000]
    assert merged.num_classes == 93431
    assert merged.dataset_path == str(ROOT / "datasets" / "ms1m-retinaface-t1")
    assert merged.models_root == str(ROOT / "models")


@pytest.mark.parametrize("loss", ["softmax", "nsoftmax", "arcface", "cosface", "combined"])
@pytest.mark.parametrize("dataset", ["retina", "emore", "synthetic"])
def test_every_combination_resolves(loss, dataset):
    assert resolve("y1", dataset, loss).loss_name in LOSSES


def test_overrides_win_and_none_means_not_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    merged = resolve("y2", "retina", "arcface", lr=0.05, wd=None, models_root="here")
    assert (merged.lr, merged.wd) == (0.05, 0.0005)
    assert merged.models_root == str(tmp_path / "here")  # what a user types starts where the user is


def test_later_sections_win(user_config):
    user_config(FROM_SAMPLE + "loss.arcface.lr = 0.3\nnetwork.y1.lr = 0.2\nnetwork.y1.loss_s = 32.0\n")
    assert resolve("y1", "retina", "arcface").lr == 0.2
    assert resolve("y1", "retina", "arcface").loss_s == 32.0
    assert resolve("y2", "retina", "arcface").lr == 0.3


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("y3", "retina", "arcface"), "unknown network 'y3': did you mean 'y"),
        (("y2", "retin", "arcface"), "unknown dataset 'retin': did you mean 'retina'"),
        (("y2", "retina", "arcfase"), "unknown loss 'arcfase': did you mean 'arcface'"),
    ],
)
def test_unknown_name_suggests_the_nearest(names, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        resolve(*names)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("config.emb_sise = 128", "config.emb_sise: unknown key: did you mean 'emb_size'"),
        ("network.y2.net_block = [1]", "network.y2.net_block: unknown key: did you mean 'net_blocks'"),
        ("default.lr = '0.1'", "default.lr = '0.1': expected float, got str"),
        ("default.lr = float('nan')", "default.lr = nan: expected at least 0"),
        ("default.per_batch_size = True", "expected int, got bool"),
        ("default.per_batch_size = 0", "expected at least 1"),
        ("default.ckpt = 4", "expected one of 0, 1, 2, 3"),
        ("default.lr_steps = '1,x'", "expected integers separated by commas"),
        ("default.lr_steps = '200,100'", "rising order"),
        ("dataset.retina.image_shape = (224, 224, 3)", "expected .112, 112, 3."),
        ("network.y2.net_name = 'fmobilfacenet'", "did you mean 'fmobilefacenet'"),
        ("loss.arcface.loss_s = 0", "must be above 0"),
        ("config.fp16 = True", "use precision = 'bf16'"),
        ("config.memonger = True", "no effect here"),
    ],
)
def test_a_wrong_line_is_an_error_that_says_what_to_do(user_config, line, message):
    user_config(FROM_SAMPLE + line + "\n")
    with pytest.raises(UserError, match=message):
        resolve("y2", "retina", "arcface")


def test_retired_keys_at_their_harmless_value_are_dropped(user_config):
    lines = "".join(f"config.{key} = {value!r}\n" for key, (value, _) in RETIRED.items())
    user_config(FROM_SAMPLE + lines)
    assert not set(RETIRED) & set(resolve("y2", "retina", "arcface"))


def test_what_the_user_leaves_out_comes_from_the_sample(user_config):
    user_config(
        "from easydict import EasyDict as edict\ndefault = edict(__import__('sample_config').default, lr=0.5)\n"
    )
    merged = resolve("y2", "retina", "arcface")
    assert merged.lr == 0.5
    assert merged.net_name == "fmobilefacenet"


def test_copying_the_sample_over_the_configuration_changes_nothing(user_config):
    expected = resolve("y2", "retina", "arcface")
    user_config((ROOT / "sample_config.py").read_text())
    assert resolve("y2", "retina", "arcface") == expected


def test_a_configuration_that_does_not_load_names_its_line(tmp_path, monkeypatch):
    for source in (ROOT / "sample_config.py",):
        shutil.copy(source, tmp_path)
    (tmp_path / "config.py").write_text("from sample_config import *\n\ndefault.lr = = 1\n")
    monkeypatch.delitem(sys.modules, "config", raising=False)
    monkeypatch.setattr("lwface.settings.configuration.ROOT", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=r"config.py, line 3: SyntaxError"):
        resolve("y2", "retina", "arcface")
    monkeypatch.delitem(sys.modules, "config", raising=False)


def test_resolving_does_not_change_the_sections():
    resolve("y2", "retina", "arcface").net_blocks.append(9)
    assert resolve("y2", "retina", "arcface").net_blocks == [2, 8, 16, 4]


def test_a_registered_family_is_a_network_without_an_entry():
    settings = network_settings("fmobilefacenet")
    assert settings.net_name == "fmobilefacenet"
    parameters = inspect.signature(NETWORKS["fmobilefacenet"]).parameters
    assert settings.net_output == parameters["net_output"].default


def test_the_original_place_of_data_sets_is_found(user_config):
    user_config(FROM_SAMPLE + "dataset.retina.dataset_path = '../datasets/ms1m-retinaface-t1'\n")
    assert resolve("y2", "retina", "arcface").dataset_path == str(ROOT / "datasets" / "ms1m-retinaface-t1")


def _reads() -> set[str]:
    """Every name that the code of the project reads as an attribute, a subscript or a parameter of a network."""
    read = set()
    here = ROOT / "lwface" / "settings" / "configuration.py"
    for path in (ROOT / "lwface").rglob("*.py"):
        if path == here:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read.add(node.attr)
            elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                read.add(node.slice.value)
    for family in NETWORKS:
        read |= set(inspect.signature(NETWORKS[family]).parameters)
    return read


def test_every_setting_is_read_by_some_code():
    checked_when_resolved = {"image_shape", "kvstore"}
    assert set(SETTINGS) - _reads() - checked_when_resolved == set()


def test_every_key_of_the_sample_is_a_setting():
    sample = importlib.import_module("sample_config")
    keys = set(sample.config) | set(sample.default)
    for section in (sample.network, sample.dataset, sample.loss):
        for entry in section.values():
            keys |= set(entry)
    assert keys <= set(SETTINGS)


def test_paths_of_the_sample_stay_inside_the_project():
    sample = importlib.import_module("sample_config")
    assert all(Path(entry.dataset_path).parts[0] == "datasets" for entry in sample.dataset.values())
