"""Flags of train.py."""

from __future__ import annotations

import pytest

from lwface.base.errors import UserError
from lwface.recognition.options import FLAGS, parse_options

NAMES = ["--network", "y2", "--dataset", "retina", "--loss", "arcface"]


def test_the_challenges_command():
    options = parse_options(NAMES)
    config = options.config
    assert (config.network, config.dataset, config.loss) == ("y2", "retina", "arcface")
    assert (config.lr, config.mom, config.wd, config.per_batch_size) == (0.1, 0.9, 5e-4, 128)
    assert (config.verbose, config.ckpt, config.lr_steps) == (2000, 3, "100000,160000,220000")
    assert (options.device, options.resume, options.track) == ("auto", False, None)


def test_every_flag_overrides_the_configuration(tmp_path):
    values = {
        "models_root": str(tmp_path), "pretrained": "p", "pretrained_epoch": 3, "ckpt": 2, "verbose": 7, "lr": 0.5,
        "lr_steps": "1,2", "wd": 0.25, "mom": 0.5, "frequent": 9, "per_batch_size": 11, "kvstore": "local", "seed": 5,
        "max_steps": 6, "num_workers": 4, "precision": "float32", "lr_policy": "poly", "warmup_steps": 8,
        "accumulate": 2, "end_epoch": 12, "checkpoint_steps": 13, "optimizer": "adamw",
    }  # fmt: skip
    assert set(values) | {"skip_bad"} == set(FLAGS)
    arguments = [part for key, value in values.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    options = parse_options([*NAMES, *arguments, "--skip-bad", "--device", "cpu", "--resume", "--track", "iqiyi-light"])
    assert {key: options.config[key] for key in values} == values
    assert options.config.skip_bad
    assert (options.device, options.resume, options.track) == ("cpu", True, "iqiyi-light")


def test_defaults_are_those_of_the_network(monkeypatch):
    import sample_config

    monkeypatch.setitem(sample_config.network.y2, "per_batch_size", 64)
    assert parse_options(NAMES).config.per_batch_size == 64
    assert parse_options([*NAMES, "--per-batch-size", "32"]).config.per_batch_size == 32


def test_help_says_meaning_and_default(capsys):
    with pytest.raises(SystemExit):
        parse_options(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for key in FLAGS:
        assert f"--{key.replace('_', '-')} " in text
    assert "weight decay (default: 0.0005)" in text


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
        parse_options([*NAMES, *arguments])


def test_bad_usage_is_status_2():
    with pytest.raises(SystemExit, match="2"):
        parse_options([*NAMES, "--lr", "fast"])
    with pytest.raises(SystemExit, match="2"):
        parse_options([*NAMES, "--no-such-flag"])
