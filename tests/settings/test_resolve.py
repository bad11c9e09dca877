import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.losses import LOSSES
from lwface.networks import NETWORKS
from lwface.settings.places import Places, checkout
from lwface.settings.resolve import all_settings, network_settings, resolve
from lwface.settings.run import RETIRED, RUN_SETTINGS, step_list
from lwface.settings.sections import SAMPLE, load_sections

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def user_config(monkeypatch, tmp_path):
    """Run with a ``config.py`` of the given text, as a user would edit it."""

    def use(text):
        path = tmp_path / "config.py"
        path.write_text(text)
        monkeypatch.setattr(Places, "of", lambda: Places(ROOT, path))

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
    assert (merged.net_name, merged.declared["emb_size"], merged.declared["net_blocks"]) == (
        "fmobilefacenet",
        256,
        [2, 8, 16, 4],
    )
    assert tuple(merged.declared[f"loss_{name}"] for name in ("s", "m1", "m2", "m3")) == (64.0, 1.0, 0.5, 0.0)
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
    assert resolve("y1", "retina", "arcface").declared["loss_s"] == 32.0
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
    assert not set(RETIRED) & set(resolve("y2", "retina", "arcface").as_dict())


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from sample_config import *\n\ndefault.lr = = 1\n", r"config.py, line 3: SyntaxError"),
        ("from sample_config import *\n\ndefault.lr = 1 / 0\n", r"config.py, line 3: ZeroDivisionError"),
        ("import sample_confg\n", r"config.py, line 1: ModuleNotFoundError"),
    ],
)
def test_a_configuration_that_does_not_load_names_its_line(user_config, text, message):
    user_config(text)
    with pytest.raises(UserError, match=message):
        resolve("y2", "retina", "arcface")


def test_resolving_does_not_change_the_sections():
    resolve("y2", "retina", "arcface").declared["net_blocks"].append(9)
    assert resolve("y2", "retina", "arcface").declared["net_blocks"] == [2, 8, 16, 4]


def test_a_registered_family_is_a_network_without_an_entry():
    settings = network_settings("fmobilefacenet")
    assert settings["net_name"] == "fmobilefacenet"
    parameters = inspect.signature(NETWORKS["fmobilefacenet"]).parameters
    assert settings["net_output"] == parameters["net_output"].default


def test_the_original_place_of_data_sets_is_found(user_config):
    user_config(FROM_SAMPLE + "dataset.retina.dataset_path = '../datasets/ms1m-retinaface-t1'\n")
    assert resolve("y2", "retina", "arcface").dataset_path == str(ROOT / "datasets" / "ms1m-retinaface-t1")


def _reads() -> set[str]:
    """Every name that the code of the library reads as an attribute."""
    found = set()
    for path in (ROOT / "lwface").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
    return found


def test_every_setting_of_a_run_is_read_by_some_code():
    read_elsewhere = {"net_name", "loss_name"}  # as keys, where the network and the loss are made
    assert set(RUN_SETTINGS) - _reads() - read_elsewhere - {"kvstore"} == set()


def test_every_key_of_the_sample_is_a_setting():
    sample = load_sections(Places(ROOT, None))
    keys = set(sample.config) | set(sample.default)
    for section in (sample.network, sample.dataset, sample.loss):
        for entry in section.values():
            keys |= set(entry)
    assert keys <= set(all_settings())


def test_every_network_of_the_sample_reads_all_that_its_entry_says():
    for name in load_sections(Places(ROOT, None)).network:
        network_settings(name)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("network.y2.net_rank = 0.5", r"network.y2.net_rank: the family fmobilefacenet does not read it; .*net_blocks"),
        ("loss.softmax.loss_s = 2.0", r"loss.softmax.loss_s: the loss softmax does not read it; .* fc7_no_bias"),
        ("network.y2 = edict()", r"network.y2.net_name is missing: one of airface"),
        ("loss.softmax = edict()", r"loss.softmax.loss_name is missing: one of adaface, arcnegface"),
        ("network.y2 = 'fmobilefacenet'", r"network.y2 is a str: expected edict\(net_name=..., ...\)"),
        ("default.leraning_rate = 1", r"default.leraning_rate: unknown key: no network, no loss and no run has it"),
        ("network.mixfacene.net_act = 'relu'", r"no 'mixfacene': did you mean 'mixfacenet'. a new entry begins with"),
        ("network.toy9.net_act = 'relu'", r"there is no 'toy9': a new entry begins with NAME = edict\(\)"),
        ("del dataset.retina['num_classes']", r"dataset.retina.num_classes is missing: identities"),
    ],
)
def test_what_nobody_reads_or_what_is_missing_is_told(user_config, line, message):
    user_config(FROM_SAMPLE + line + "\n")
    with pytest.raises(UserError, match=message):
        resolve("y2", "retina", "softmax")


def test_a_run_cannot_be_changed_but_replaced():
    run = resolve("y2", "retina", "arcface")
    with pytest.raises(AttributeError):
        run.lr = 1.0
    assert run.replace(lr=1.0).lr == 1.0
    assert run.lr == 0.1


def test_installed_the_library_runs_nobodys_configuration(tmp_path, monkeypatch):
    (tmp_path / "config.py").write_text("raise SystemExit('a stranger's code ran')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lwface.settings.places.checkout", lambda: None)
    assert Places.of() == Places(tmp_path, None)
    assert resolve("y2", "retina", "arcface").dataset_path == str(tmp_path / "datasets" / "ms1m-retinaface-t1")
    (tmp_path / "mine.py").write_text("from sample_config import *\ndefault.lr = 0.3\n")
    (tmp_path / "data").mkdir()
    mine = Places.of(root="data", config="mine.py")
    assert resolve("y2", "retina", "arcface", places=mine).lr == 0.3
    assert resolve("y2", "retina", "arcface", places=mine).models_root == str(tmp_path / "data" / "models")


def test_families_are_known_without_importing_them():
    code = (
        "import sys; from lwface.settings.sections import registered; "
        "found = [registered(section) for section in ('network', 'loss')];"
        "assert 'torch' not in sys.modules; from lwface.networks import NETWORKS; from lwface.losses import LOSSES;"
        "assert [sorted(one) for one in found] == [list(NETWORKS), list(LOSSES)], found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_places_that_do_not_exist_are_told():
    with pytest.raises(UserError, match="--root nowhere: no such folder"):
        Places.of(root="nowhere")
    with pytest.raises(UserError, match=r"--config nowhere\.py: no such file"):
        Places.of(config="nowhere.py")
    with pytest.raises(UserError, match=r"--config \.: is a folder"):
        Places.of(config=".")


def test_a_kind_of_loss_is_a_loss_of_its_own_name():
    assert resolve("y2", "retina", "margin_softmax").loss_name == "margin_softmax"


def test_this_is_a_checkout_and_its_sample_is_the_one_at_the_root():
    assert checkout() == ROOT
    assert SAMPLE.resolve() == ROOT / "sample_config.py"


def test_paths_of_the_sample_stay_inside_the_project():
    sample = load_sections(Places(ROOT, None))
    assert all(Path(entry.dataset_path).parts[0] == "datasets" for entry in sample.dataset.values())
