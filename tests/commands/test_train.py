"""Flags of train.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.commands.train import FLAGS, parse_arguments
from lwface.settings.places import Places
from lwface.settings.resolve import resolve

NAMES = ["--network", "y2", "--dataset", "retina", "--loss", "arcface"]


@pytest.fixture(autouse=True)
def data_is_there(monkeypatch):
    monkeypatch.setattr("lwface.commands.train.require_dataset", lambda folder, name: None)


def run_of(options):
    return resolve(**options.names, places=options.places, **options.overrides)


def test_the_challenges_command():
    options = parse_arguments(NAMES)
    config = run_of(options)
    assert (config.network, config.dataset, config.loss) == ("y2", "retina", "arcface")
    assert (config.lr, config.mom, config.wd, config.per_batch_size) == (0.1, 0.9, 5e-4, 128)
    assert (config.verbose, config.ckpt, config.lr_steps) == (2000, 3, "100000,160000,220000")
    assert (options.device, options.resume, options.track) == ("auto", False, None)


def test_every_flag_overrides_the_configuration(tmp_path):
    (tmp_path / "clean.csv").touch()
    values = {
        "models_root": str(tmp_path), "pretrained": "p", "pretrained_epoch": 3, "pretrained_pixels": "0/255,BGR",
            "pretrained_epsilon": 2e-5, "ckpt": 2, "verbose": 7, "lr": 0.5,
        "lr_steps": "1,2", "wd": 0.25, "mom": 0.5, "frequent": 9, "per_batch_size": 11, "kvstore": "local", "seed": 5,
        "max_steps": 6, "num_workers": 4, "precision": "float32", "lr_policy": "poly", "warmup_steps": 8,
        "accumulate": 2, "end_epoch": 12, "checkpoint_steps": 13, "optimizer": "adamw", "ema": 0.9, "clip_norm": 5.0,
        "augment": 0.5,
        "sample_rate": 0.1, "sample_policy": "linear", "sample_full": 0.75, "fc7_chunk": 64, "fc7_products": "medium",
        "data_licence": "research only", "leave_out": str(tmp_path / "clean.csv"),
        "head_start": "mean", "head_warmup_steps": 5, "freeze": "..conv_1",
        "backbone_lr_mult": 0.5, "start_share": 0.5, "margin_warmup_steps": 7, "nonfinite_limit": 3,
        "teacher": [str(tmp_path / name) for name in ("a.bin", "b.bin")],
        "teacher_cache": "c", "distill": "l2", "distill_weight": 0.5, "identity_weight": 2.0, "distill_rounds": 3,
        "join": "apart", "fc7_lr_mult": 0.25, "verify_also": str(tmp_path / "clean.csv"),
    }  # fmt: skip
    for teacher in values["teacher"]:
        Path(teacher).touch()
    switches = ["skip_bad", "in_memory", "deterministic", "freeze_bn"]
    assert {*values, *switches} == set(FLAGS)
    arguments = [f"--{key.replace('_', '-')}" for key in switches]
    for key, value in values.items():
        arguments += [f"--{key.replace('_', '-')}", *(value if isinstance(value, list) else [str(value)])]
    options = parse_arguments([*NAMES, *arguments, "--device", "cpu", "--resume", "--track", "iqiyi-light"])
    assert {key: getattr(run_of(options), key) for key in values} == values
    assert all(getattr(run_of(options), key) for key in switches)
    assert (options.device, options.resume, options.track) == ("cpu", True, "iqiyi-light")


def test_defaults_are_those_of_the_network(tmp_path):
    config = tmp_path / "mine.py"
    config.write_text("from sample_config import *\nnetwork.y2.per_batch_size = 64\n")
    mine = [*NAMES, "--config", str(config)]
    assert run_of(parse_arguments(mine)).per_batch_size == 64
    assert run_of(parse_arguments([*mine, "--per-batch-size", "32"])).per_batch_size == 32


def test_the_root_is_where_data_and_models_lie(tmp_path):
    options = parse_arguments([*NAMES, "--root", str(tmp_path)])
    assert options.places == Places.of(root=str(tmp_path))
    assert run_of(options).models_root == str(tmp_path / "models")
    assert run_of(options).dataset_path == str(tmp_path / "datasets" / "ms1m-retinaface-t1")


def test_help_says_meaning_and_default(capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for key in FLAGS:
        assert f"--{key.replace('_', '-')} " in text
    assert "weight decay (default: 0.0005)" in text


def help_of(capsys, *arguments):
    with pytest.raises(SystemExit):
        parse_arguments([*arguments, "--help"])
    return " ".join(capsys.readouterr().out.replace("-\n", "-").split())


def test_help_tells_the_true_places_and_whose_defaults_it_shows(tmp_path, monkeypatch, capsys):
    root = tmp_path / "r"
    root.mkdir()
    monkeypatch.chdir(tmp_path)
    text = help_of(capsys, *NAMES, "--root", "r").replace(" ", "")
    assert f"folderofthetrainedmodels(default:{root}/models)" in text
    assert "defaultsshownarethoseof--networky2,--datasetretina,--lossarcface:theentriesofothers" in text
    assert "from0(default:0)" in text
    assert "from0(default:30)" in help_of(capsys, "--dataset", "synthetic").replace(" ", "")
    # What is typed starts where it is typed, also where it reads as the configuration does.
    typed = parse_arguments([*NAMES, "--root", "r", "--models-root", "./models"])
    assert run_of(typed).models_root == str(tmp_path / "models")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "y3"], "unknown network 'y3': did you mean 'y1'|did you mean 'y2'"),
        (["--loss", "arcfase"], "did you mean 'arcface'"),
        (["--lr", "-1"], "lr = -1.0: expected at least 0"),
        (["--per-batch-size", "0"], "per_batch_size = 0"),
        (["--lr-steps", "10,x"], "lr_steps"),
        (["--track", "deepglint"], "did you mean 'deepglint"),
    ],
)
def test_bad_values(arguments, message):
    with pytest.raises(UserError, match=message):
        parse_arguments([*NAMES, *arguments])


def test_bad_usage_is_status_2():
    with pytest.raises(SystemExit, match="2"):
        parse_arguments([*NAMES, "--lr", "fast"])
    with pytest.raises(SystemExit, match="2"):
        parse_arguments([*NAMES, "--no-such-flag"])


def test_finetuning_takes_a_tenth_of_the_rate_unless_it_is_given():
    pretrained = [*NAMES, "--pretrained", "p,1"]
    assert run_of(parse_arguments(pretrained)).lr == pytest.approx(0.01)
    assert run_of(parse_arguments([*pretrained, "--lr", "0.1"])).lr == 0.1  # the usual one, but asked for
    assert run_of(parse_arguments([*pretrained, "--lr=0.3"])).lr == 0.3
    assert run_of(parse_arguments(NAMES)).lr == 0.1
