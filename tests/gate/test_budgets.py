import pytest

from lwface.base.errors import UserError
from lwface.gate.budgets import TRACKS, BudgetError, get_track, violations

# VarGFaceNet won the light track: FLOPs by the official program, bytes of its published parameter file.
WINNER = {"flops": 1022388952, "model_bytes": 20046809, "embedding": 512, "number_type": "float32"}
LIGHT = ["deepglint-light", "iqiyi-light"]
LARGE = ["deepglint-large", "iqiyi-large"]


@pytest.mark.parametrize("name", LIGHT + LARGE)
def test_the_winner_of_the_light_track_is_legal_everywhere(name):
    assert violations(get_track(name), **WINNER) == []


def test_powers_of_ten_would_have_excluded_the_winner():
    assert WINNER["flops"] > 10**9
    assert WINNER["model_bytes"] > 20 * 10**6


@pytest.mark.parametrize("name", LIGHT + LARGE)
def test_one_more_than_a_limit_is_over_and_the_limit_is_not(name):
    track = get_track(name)
    at_limit = {"flops": (30 if name in LARGE else 1) * 1024**3, "embedding": 512, "number_type": "float32"}
    at_limit["model_bytes"] = 20 * 1024**2
    assert violations(track, **at_limit) == []
    for figure in ("flops", "embedding") if name in LARGE else ("flops", "embedding", "model_bytes"):
        over = {**at_limit, figure: at_limit[figure] + 1}
        (sentence,) = violations(track, **over)
        assert sentence.endswith(f"the limit {at_limit[figure]} of {name} by 1")


@pytest.mark.parametrize("name", LARGE)
def test_the_large_tracks_limit_no_bytes(name):
    assert violations(get_track(name), **{**WINNER, "model_bytes": 10**12}) == []


@pytest.mark.parametrize("number_type", ["float16", "bfloat16", "float32+int8"])
def test_another_number_type_is_refused(number_type):
    (sentence,) = violations(get_track("iqiyi-large"), **{**WINNER, "number_type": number_type})
    assert number_type in sentence
    assert "float32" in sentence


def test_every_limit_broken_is_named():
    figures = {"flops": 10**12, "model_bytes": 10**9, "embedding": 1024, "number_type": "float64"}
    assert len(violations(get_track("deepglint-light"), **figures)) == 4


def test_tracks_have_the_official_lists_and_rankings():
    assert {track.rows for track in TRACKS.values() if track.kind == "image"} == {1862120}
    assert {track.rows for track in TRACKS.values() if track.kind == "video"} == {203848}
    assert {(track.kind, track.far) for track in TRACKS.values()} == {("image", 1e-8), ("video", 1e-4)}


def test_unknown_track_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'deepglint-light'"):
        get_track("deeplint-light")


def test_over_budget_ends_a_command_with_status_1():
    assert BudgetError.exit_status == 1
    assert UserError.exit_status == 2
