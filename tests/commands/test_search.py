"""Flags of search.py: what is refused, and where a search is kept."""

from fractions import Fraction
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.commands.search import parse_arguments

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ["--track", "deepglint-light", "--dataset", "ytf"]


@pytest.fixture(autouse=True)
def data_is_there(monkeypatch):
    monkeypatch.setattr("lwface.commands.search.require_dataset", lambda folder, name: None)


def parse(*flags):
    return parse_arguments([*NEEDED, *flags])


def test_defaults():
    options = parse()
    assert (options.track.name, options.dataset, options.family, options.loss) == (
        "deepglint-light",
        "ytf",
        "mobile",
        "softmax",
    )
    assert (options.shares, options.far, options.baselines) == ((0.25, 1.0), None, ())
    assert options.folder == ROOT / "models" / "search-mobile-deepglint-light-ytf"


def test_values_are_taken_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = parse(
        "--far", "1e-3", "--baseline", "y1, m05", "--family", "both", "--models-root", "here", "--seed", "5"
    )
    assert (options.far, options.baselines, options.seed) == (Fraction(1, 1000), ("y1", "m05"), 5)
    assert options.folder == tmp_path / "here" / "search-both-deepglint-light-ytf"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trials", "0"], "--trials 0: at least 1"),
        (["--steps", "0"], "--steps 0: at least 1"),
        (["--images-per-step", "1"], "--images-per-step 1: at least 2"),
        (["--reports", "0"], "--reports 0: at least 1"),
        (["--reports", "9", "--steps", "8"], "--reports 9: at most one a step"),
        (["--min-flops", "0.6", "--max-flops", "0.5"], "expected shares of the track's FLOPs from 0 to 1"),
        (["--max-flops", "1.1"], "expected shares"),
        (["--min-flops", "nan"], "expected shares"),
        (["--min-flops", "0", "--max-flops", "0"], "expected shares"),
        (["--far", "2"], "FAR '2' is not a number above 0 and below 1"),
        (["--far", "1e-3,1e-4"], "one is needed"),
        (["--seed", "-1"], "--seed -1: at least 0"),
        (["--name", "my network"], "--name 'my network': expected a name"),
        (["--name", "lambda"], "--name 'lambda': expected a name"),
        (["--track", "deepglint-lite"], "unknown track 'deepglint-lite': did you mean 'deepglint-light'"),
    ],
)
def test_what_cannot_be_is_named(flags, message):
    with pytest.raises(UserError, match=message):
        parse(*flags)


@pytest.mark.parametrize("flags", [["--family", "mobil"], ["--trials", "many"], ["--no-such-flag"]])
def test_usage_errors_end_as_usual(flags, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(*flags)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err
