"""A definition is read whole or refused with the line of what is wrong."""

from datetime import datetime, timedelta, timezone

import pytest

from lwface.base.errors import UserError
from lwface.challenge.definition import read_challenge
from lwface.challenge.templates import TEMPLATES, NewChallenge, definition_text
from lwface.gate.budgets import LANDMARKS, Budget

OPENS = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=8)))


@pytest.fixture
def text():
    return definition_text(TEMPLATES["landmarks"], NewChallenge("", "landmarks", 10, 7, OPENS))


def _read(folder, text):
    (folder / "challenge.toml").write_text(text)
    return read_challenge(folder)


def test_what_a_template_says_is_read(tmp_path, text):
    challenge = _read(tmp_path, text)
    assert (challenge.opens, challenge.closes) == (OPENS, OPENS + timedelta(days=14))
    assert (challenge.public_share, challenge.seed) == (0.6, 7)
    assert (challenge.submissions_a_day, challenge.submissions_in_all) == (5, 60)
    (track,) = challenge.tracks
    assert challenge.track("landmarks") is track
    assert (track.ranks_by, track.higher_is_better, track.public_share, track.seed) == ("nme", False, 0.6, 7)
    assert track.limits == LANDMARKS
    assert challenge.reference(track) == tmp_path / "reference/landmarks"


def test_limits_and_settings_of_ones_own(tmp_path, text):
    changed = text.replace('budget = "landmarks-68"', 'flops = 1_000_000, width = 64, number_type = "float16"')
    changed = changed.replace('kind = "landmarks"', 'kind = "recognition-videos"').replace('"nme"', '"eer"')
    (track,) = _read(tmp_path, changed + 'settings = { far = "1e-3" }\n').tracks
    assert track.limits == Budget("landmarks", 1_000_000, None, embedding=64, number_type="float16")
    assert (track.widest, track.settings, track.ranks_by) == (64, {"far": "1e-3"}, "eer")
    assert [figure.title for figure in track.figures] == ["equal error rate", "TAR at FAR 1e-3"]
    assert _read(tmp_path, changed).tracks[0].settings == {"far": "1e-4"}
    with pytest.raises(UserError, match=r"line \d+: tracks\.landmarks\.settings\.far: FAR 'x' is not a number"):
        _read(tmp_path, changed + 'settings = { far = "x" }\n')


@pytest.mark.parametrize(
    ("old", "new", "line_of", "says"),
    [
        ("public_share = 0.6", "public_shar = 0.6", "public_shar", "did you mean 'public_share'"),
        ("public_share = 0.6", "public_share = 1.0", "public_share", "above 0 and below 1"),
        ("public_share = 0.6", 'public_share = "0.6"', "public_share", "not a number"),
        ("seed = 7", "seed = true", "seed", "not a whole number"),
        ("submissions_a_day = 5", "submissions_a_day = 0", "submissions_a_day", "1 or more"),
        ("+08:00", "", "opens", "with its zone"),
        ('kind = "landmarks"', 'kind = "landmark"', "kind", "did you mean 'landmarks'"),
        ('ranks_by = "nme"', 'ranks_by = "nmee"', "ranks_by", "did you mean 'nme'"),
        ('reference = "reference/', 'reference = "../', "reference", "within"),
        ('budget = "landmarks-68"', 'budget = "landmarks"', "limits", "did you mean 'landmarks-68'"),
        ('budget = "landmarks-68"', "flops = -1", "limits", "1 or more"),
        ("needs_model = false", "settings = { far = 1 }", "settings", "unknown key 'far'"),
        ("[tracks.landmarks]", "[tracks.Land]", "[tracks.Land]", "small letters"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, old, new, line_of, says):
    changed = text.replace(old, new)
    number = next(n for n, line in enumerate(changed.splitlines(), 1) if line.startswith(line_of))
    with pytest.raises(UserError, match=rf"challenge\.toml, line {number}: .*{says}"):
        _read(tmp_path, changed)


def test_damaged_toml_tells_its_line(tmp_path, text):
    with pytest.raises(UserError, match=r"not TOML: .*line 2\b"):
        _read(tmp_path, text.replace('title = "Light', 'title = "\\qLight', 1))


def test_what_is_missing_is_named(tmp_path, text):
    for key in ("title", "opens", "closes"):
        left = "\n".join(line for line in text.splitlines() if not line.startswith(f"{key} "))
        with pytest.raises(UserError, match=f"{key}: is missing"):
            _read(tmp_path, left)
    with pytest.raises(UserError, match=r"challenge/new\.py"):
        read_challenge(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not after"):
        _read(tmp_path, text.replace("closes = 2026-03-15", "closes = 2026-02-15"))
