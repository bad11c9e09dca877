"""What single ranges add to pictures: only what they say, and nothing at their usual value."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.synthetic import web
from lwface.synthetic.cosmetics import even_texture
from lwface.synthetic.form import corrections
from lwface.synthetic.head import template
from lwface.synthetic.landmarks import landmark_points
from lwface.synthetic.makeup import Makeup, chance, draw_makeup
from lwface.synthetic.options import Options, Ranges
from lwface.synthetic.person import Person, person, person_of_picture
from lwface.synthetic.place import clutter
from lwface.synthetic.render import render, sample_image
from lwface.synthetic.scene import skin_texture
from lwface.synthetic.sheet import look_sheet
from lwface.synthetic.shot import SESSIONS, Shot, sample_shot
from lwface.synthetic.teeth import BLUE, HALF, HEIGHT, RED, SLANT, own_teeth
from lwface.synthetic.texture import FRONT, A, Y, shared

SEED = 3
NEW = dict.fromkeys(
    ("background", "video", "form", "skin", "looks", "lights", "lens", "sensor", "makeup", "teeth"), 1.0
)
LIGHT = {"light", "key", "sky", "ground", "shadow", "second", "pattern", "exposure"}


@pytest.mark.parametrize("name", NEW)
def test_a_range_leaves_what_else_was_drawn(name: str) -> None:
    who = person(SEED, 1)
    usual, more = sample_shot(who, 4), sample_shot(who, 4, ranges=Ranges(**{name: NEW[name]}))
    kept = (
        {f.name for f in dataclasses.fields(usual)}
        - {"session", "clutter", "web", "lens", "sensor", "makeup"}
        - (LIGHT if name == "lights" else set())
    )
    for field in kept:
        np.testing.assert_equal(getattr(more, field), getattr(usual, field), err_msg=field)


@pytest.mark.parametrize("name", sorted(NEW.keys() - {"teeth"}))  # which an open mouth shows
def test_a_range_shows_and_the_crop_is_that_of_the_whole_frame(name: str) -> None:
    ranges = Ranges(**{name: NEW[name]})
    whole, cropped = (sample_image(SEED, 2, 1, ranges=ranges, crop_only=only) for only in (False, True))
    np.testing.assert_array_equal(whole.crop, cropped.crop)
    assert np.abs(whole.frame.astype(int) - sample_image(SEED, 2, 1).frame).mean() > 1


def test_form_moves_the_head_and_its_points_and_skin_only_colours() -> None:
    usual, formed, skinned = (person(SEED, 2, Ranges(**more)) for more in ({}, {"form": 1.0}, {"skin": 1.0}))
    moved = np.sqrt(((formed.vertices - usual.vertices) ** 2).sum(axis=-1))
    assert 0.5 < moved.mean() < 5
    assert moved.max() < 25  # mm
    np.testing.assert_array_equal(skinned.vertices, usual.vertices)
    plain, blotched = (skin_texture(who).astype(float) for who in (usual, skinned))
    share = blotched[..., :3] / plain[..., :3]
    assert 0.5 < np.median(share) < 1.2
    assert share.reshape(-1, 3).std(axis=0).min() > 0.05


def test_other_people_have_other_hills() -> None:
    """Two people differ by more than the corrections, which are everybody's."""
    heads = [person(SEED, i, Ranges(form=1.0)).vertices - person(SEED, i).vertices - corrections() for i in range(6)]
    flat = np.stack([head.ravel() for head in heads])
    alike = np.corrcoef(flat) - np.eye(6)
    assert np.abs(alike).max() < 0.7
    assert flat.std() > 0.2


def test_looks_differ_more_the_more_is_asked_for_and_points_follow_them() -> None:
    amounts = [0.0, 0.5, 1.0]
    looks = [[person(SEED, i, Ranges(looks=amount)).look for i in range(24)] for amount in amounts]
    for name in ("brow_thickness", "brow_gap", "white", "ear_size"):
        spreads = [np.std([getattr(look, name) for look in some]) for some in looks]
        assert spreads[2] > 1.2 * max(spreads[0], 1e-3), name
        middle = [np.mean([getattr(a, name), getattr(b, name)]) for a, b in zip(looks[0], looks[2], strict=True)]
        np.testing.assert_allclose([getattr(look, name) for look in looks[1]], middle, rtol=1e-6)
    who = person(SEED, 3, Ranges(looks=1.0))
    gap = landmark_points(template().vertices, who.look, np.ones(2))[[21, 22], 0]
    np.testing.assert_allclose(gap, np.array((-1, 1)) * (who.look.brow_gap + 0.74 * who.look.brow_length), atol=0.7)


def test_another_time_changes_hair_and_nothing_else() -> None:
    ranges = Ranges(looks=1.0, restyle=0.5)
    for identity in range(6):
        before, after = (person(SEED, identity, ranges, other=other) for other in (False, True))
        np.testing.assert_array_equal(before.vertices, after.vertices)
        changed = {
            field.name
            for field in dataclasses.fields(before.look)
            if np.any(getattr(before.look, field.name) != getattr(after.look, field.name))
        }
        assert "cut" in changed
        assert changed <= {"cut", "hair", "beard_parts"} | {
            f"hair_{name}" for name in ("style", "volume", "length")
        } | {"hairline", "parting"}
    others = [person_of_picture(SEED, 1, index, ranges).other for index in range(200)]
    assert 0.4 < np.mean(others) < 0.6


def test_a_share_is_a_share() -> None:
    shots = [sample_shot(person(SEED, 1), i, ranges=Ranges(video=0.3, background=0.7)) for i in range(200)]
    assert 0.2 < np.mean([shot.web is not None for shot in shots]) < 0.4
    assert 0.6 < np.mean([shot.clutter > 0 for shot in shots]) < 0.8


@pytest.mark.parametrize("name", ["background", "video", "coarse", "restyle", "lens", "sensor", "makeup"])
def test_shares_end_at_one(name: str) -> None:
    with pytest.raises(UserError, match=f"--{name} 1.5: expected a share from 0 to 1"):
        Options(**{name: 1.5}).check()


def test_a_video_that_does_nothing_but_code() -> None:
    """At full resolution, without noise, halo, comb and curves only JPEG is left, and grey stays grey."""
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    plain = web.Web(1.0, 0, 0.0, 1.0, levels, 0.0, (95, 95), (0, 0), soft=True)
    frame = np.full((64, 64, 3), 90, np.uint8)
    frame[:, 32:] = 160
    shown = web.webbed(frame, plain, np.zeros((64, 64, 3), np.float32))
    assert np.abs(shown.astype(int) - frame).max() < 9
    late = web.webbed(frame, dataclasses.replace(plain, comb=3), np.zeros((64, 64, 3), np.float32))
    assert np.abs(late[0:20:2].astype(int) - frame[0:20:2]).max() < 60  # lines in time, but for what JPEG smears
    assert late[1:20:2, 33].mean() < late[0:20:2, 33].mean() - 20  # every other line is behind
    less = web.webbed(frame, dataclasses.replace(plain, detail=0.2), np.zeros((64, 64, 3), np.float32))
    assert less.shape == frame.shape
    assert len(np.unique(less[:, :, 0])) > len(np.unique(shown[:, :, 0]))  # the edge became a slope


def test_clutter_has_more_edges_than_the_usual_background() -> None:
    def edges(image: np.ndarray) -> float:
        return float(np.abs(np.diff(np.sqrt(np.clip(image, 0, 1)).reshape(96, 96, 3), axis=1)).mean())

    from lwface.synthetic.augment import background

    cluttered = [edges(clutter(seed, 96)) for seed in range(1, 9)]
    assert np.mean(cluttered) > 1.5 * np.mean([edges(background(seed, 3.0, 96)) for seed in range(1, 9)])
    np.testing.assert_array_equal(clutter(5, 96), clutter(5, 96))


def test_a_second_light_adds_and_a_pattern_only_takes() -> None:
    who = person(SEED, 2)
    dark = dataclasses.replace(sample_shot(who, 1), noise=0.0, second=np.zeros(6, np.float32))
    lit = dataclasses.replace(dark, second=np.array((0.6, 0, 0.8, 0.5, 0.5, 0.5), np.float32))
    plain = dataclasses.replace(dark, second=None)
    behind = dataclasses.replace(plain, pattern=9, background=dark.background)
    usual, none, more, less = (render(who, s).crop.astype(int) for s in (plain, dark, lit, behind))
    np.testing.assert_array_equal(usual, none)
    assert (more - usual).mean() > 3
    assert (less - usual).mean() < -1
    assert (less - usual).max() < 40  # but for what JPEG smears


def test_lights_have_directions_of_length_one_and_colours_that_are_not_negative() -> None:
    shots = [sample_shot(person(SEED, 1), i, ranges=Ranges(lights=2.0)) for i in range(60)]
    np.testing.assert_allclose([np.linalg.norm(shot.light) for shot in shots], 1, rtol=1e-5)
    assert min(shot.key.min() for shot in shots) >= 0
    assert 3 < sum(shot.second is not None for shot in shots) < 40


def test_make_up_is_a_share_of_outings_women_mostly_and_the_same_in_an_outing() -> None:
    ranges = Ranges(makeup=0.4)
    people = [person(SEED, i, ranges) for i in range(80)]
    worn = [[sample_shot(who, 0, ranges=ranges, session=n).makeup for n in range(SESSIONS)] for who in people]
    shares = {man: np.mean([m is not None for who, some in zip(people, worn, strict=True) for m in some
                            if (who.look.masculine > 0) == man]) for man in (False, True)}  # fmt: skip
    assert 0.62 < shares[False] < 0.82  # 0.72
    assert 0.03 < shares[True] < 0.14  # 0.08
    assert chance(0.4, man=False) + chance(0.4, man=True) == pytest.approx(0.8)
    made = [makeup for some in worn for makeup in some if makeup is not None]
    assert all(any(getattr(makeup, part) is None for makeup in made) for part in ("base", "cheeks", "lids", "lips"))
    assert len(set(made)) == len(made)  # no two are alike, not even of one person
    who = next(who for who, some in zip(people, worn, strict=True) if some[2] is not None)
    assert sample_shot(who, 7, ranges=ranges, session=2).makeup == sample_shot(who, 1, ranges=ranges, session=2).makeup


def _plain(shot: Shot) -> Shot:
    """The shot from in front, in light from there, with nothing on and without what a camera does."""
    worn = dataclasses.replace(shot.session, glasses="", headgear="", lip_tint=np.zeros(4, np.float32))
    straight = dataclasses.replace(shot, session=worn, yaw=0.0, pitch=0.0, roll=0.0, mask=None, hand=0, quality=100)
    open_eyes, light, still = np.ones(2, np.float32), np.array((0, 0, 1), np.float32), np.zeros(2, np.float32)
    return dataclasses.replace(straight, noise=0.0, blur=0.0, detail=1.0, lids=open_eyes, light=light, motion=still)


def test_make_up_is_where_it_belongs() -> None:
    """Each part of it changes its own part of the face, and foundation makes skin more even."""
    who = person(SEED, 3, Ranges(skin=1.0))
    bare = _plain(sample_shot(who, 0))
    all_on = next(m for i in range(60) if None not in (m := draw_makeup(np.random.default_rng(i), man=False)))
    usual = render(who, bare)
    eyes, mouth = usual.landmarks68[36:48, 1].mean(), usual.landmarks68[48:, 1].mean()
    for part in ("lids", "brows", "lips", "cheeks"):
        only = Makeup(None, None, None, None, None, 0.0)._replace(**{part: getattr(all_on, part)})
        away = np.abs(render(who, dataclasses.replace(bare, makeup=only)).frame.astype(float) - usual.frame).sum(axis=2)
        height = (away.sum(axis=1) * np.arange(len(away))).sum() / away.sum()
        assert {"lids": abs(height - eyes) < 8, "brows": eyes - 16 < height < eyes - 3, "lips": abs(height - mouth) < 6,
                "cheeks": eyes < height < mouth + 4}[part], (part, height, eyes, mouth)  # fmt: skip
    cheek = (np.abs(shared()[A] - 40) < 15) & (np.abs(shared()[Y] + 30) < 12) & (shared()[FRONT] > 0.9)
    spread = [np.log(texture(who)[cheek][:, :3].astype(float)).std(axis=0) for texture in (even_texture, skin_texture)]
    assert (spread[0] < (0.85, 0.7, 0.7) * spread[1]).all()


def _mouthed(who: Person, **movements: float) -> Shot:
    shot, names = _plain(sample_shot(who, 0)), template().expression_names
    return dataclasses.replace(shot, expression=np.array([movements.get(name, 0.0) for name in names], np.float32))


def test_teeth_are_between_the_lips_and_nowhere_else() -> None:
    usual, own = (person(SEED, 5, Ranges(teeth=amount)) for amount in (0.0, 1.0))
    np.testing.assert_array_equal(render(usual, _mouthed(usual)).frame, render(own, _mouthed(own)).frame)
    grin = _mouthed(own, smile=0.8, teeth=1.0, jaw=0.3)
    before, after = render(usual, grin), render(own, grin)
    np.testing.assert_array_equal(after.crop, render(own, grin, crop_only=True).crop)
    np.testing.assert_array_equal(after.landmarks68, before.landmarks68)
    away = np.abs(after.frame.astype(int) - before.frame).max(axis=2)
    inner = after.landmarks68[60:]
    (left, top), (right, bottom) = inner.min(axis=0) - 4, inner.max(axis=0) + 4  # of a JPEG's smear
    rows, columns = np.nonzero(away > 12)
    assert len(rows) > 60
    assert left < columns.min() < columns.max() < right
    assert top < rows.min() < rows.max() < bottom


def test_teeth_are_a_person_s_own_and_differ_more_the_more_is_asked_for() -> None:
    mouths = {amount: [own_teeth(person(SEED, i, Ranges(teeth=amount))) for i in range(60)] for amount in (0.25, 1.0)}
    assert own_teeth(person(SEED, 4, Ranges(teeth=1.0, restyle=0.5), other=True)).shown == mouths[1.0][4].shown
    few, all_ = ([np.concatenate((m.upper.teeth, m.lower.teeth)) for m in some] for some in mouths.values())
    for column in (HALF, HEIGHT, SLANT, BLUE):  # each middle one's, of people of whom none is lost
        little, much = ([teeth[len(teeth) // 2, column] for teeth in some] for some in (few, all_))
        assert np.std(much) > 1.5 * np.std(little), column
    assert all(len(teeth) == 24 for teeth in few[:3])
    assert 2 < sum(len(teeth) < 24 for teeth in all_) < 16  # 13 %
    assert 1 < sum(m.upper.wire > 0 for m in mouths[1.0]) < 14  # 10 %
    for teeth in all_:
        assert (teeth[:, RED : BLUE + 1] > 0.02).all()
        assert (teeth[:, RED : BLUE + 1] < 1.2).all()
        assert (teeth[:, HALF] > 1).all()


def test_a_lip_that_rises_shows_more_of_the_same_teeth() -> None:
    """Teeth stay where they are in the skull: their edges do not move in the picture while the lip does."""
    who = person(SEED, 5, Ranges(teeth=1.0))
    frames = [render(who, _mouthed(who, teeth=amount, jaw=0.35), frame_size=576) for amount in (0.2, 1.2)]
    low, high = (int(frame.landmarks68[62, 1]) for frame in frames)
    assert low > high + 2  # the middle of the upper lip's lower edge rose
    column = int(frames[0].landmarks68[62, 0]) + 6
    edges = [np.diff(frame.frame[low + 2 : low + 30, column].astype(int).sum(axis=1)).argmin() for frame in frames]
    assert abs(int(edges[0]) - int(edges[1])) <= 1


def test_the_sheet_of_looks_has_six_rows() -> None:
    assert look_sheet(SEED, columns=2).shape == (6 * 114, 2 * 114, 3)


def test_a_frame_coded_twice_is_the_same_again() -> None:
    who = person(SEED, 0)
    shot = sample_shot(who, 2, ranges=Ranges(video=1.0))
    assert shot.web is not None
    first, second = (render(who, shot, noise_seed=3).frame for _ in range(2))
    np.testing.assert_array_equal(first, second)
