"""The joints of a whole person in space and time: standing, gesturing or walking, each in their own way.

A person is one unit high. x is to the person's left, y is up, z is where they look.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.body import Body

COCO = 17  # joints of the challenge: five of the head, then shoulders, elbows, wrists, hips, knees, ankles
NECK, CROWN, LEFT_TOE, RIGHT_TOE = 17, 18, 19, 20  # behind them
JOINTS = 21
WALK, STAND, TALK = ACTIVITIES = ("walk", "stand", "talk")
# Nose, eyes and ears from the middle of the head, in its half height.
HEAD_POINTS = np.array([(0, -0.1, 0.95), (0.3, 0.12, 0.8), (-0.3, 0.12, 0.8), (0.72, 0.0, 0.05), (-0.72, 0.0, 0.05)])
ANKLE = 0.04  # height of the ankle


class Motion(NamedTuple):
    """What somebody does in one sequence.

    Attributes:
        activity: of :data:`ACTIVITIES`.
        phase: of the stride at the first frame, 0 to 1; ``pace``: factor on cadence and stride.
        hands: (2, 3) angles of an arm that talks: forwards, outwards, elbow. ``restless``: how far they move.
        turn, nod: of the head against the trunk, radians.
    """

    activity: str
    phase: float
    pace: float
    hands: NDArray[np.float64]
    restless: float
    turn: float
    nod: float


def draw_motion(rng: np.random.Generator) -> Motion:
    """A motion: half of all sequences are walked."""
    activity = ACTIVITIES[rng.choice(3, p=(0.5, 0.2, 0.3))]
    hands = np.stack([rng.uniform(-0.2, 1.3, 2), rng.uniform(0.0, 0.5, 2), rng.uniform(0.3, 2.0, 2)], axis=1)
    turn, nod = rng.normal(0, (0.25, 0.12))
    return Motion(activity, rng.random(), rng.normal(1, 0.06), hands, rng.uniform(0.1, 0.4), turn, nod)


def about_x(angle: float) -> NDArray[np.float64]:
    """Rotation (3, 3) that turns down (-y) towards the front (z)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array(((1, 0, 0), (0, c, s), (0, -s, c)))


def about_y(angle: float) -> NDArray[np.float64]:
    """Rotation (3, 3) that turns the front (z) towards the left (x)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array(((c, 0, s), (0, 1, 0), (-s, 0, c)))


def about_z(angle: float) -> NDArray[np.float64]:
    """Rotation (3, 3) that turns down (-y) towards the left (x)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array(((c, -s, 0), (s, c, 0), (0, 0, 1)))


def joints(body: Body, motion: Motion, seconds: float) -> NDArray[np.float64]:
    """Places (21, 3) of the joints at a time: COCO's 17, neck, middle of the head, toes; the ground is y = 0."""
    limbs, gait = body.limbs, body.gait
    walking = motion.activity == WALK
    cycle = 2 * np.pi * (motion.phase + seconds * gait.cadence * motion.pace * (1 if walking else 0.3))
    down = np.array((0.0, -1.0, 0.0))
    found = np.zeros((JOINTS, 3))
    swing = gait.stride * motion.pace if walking else 0.02
    height = limbs.thigh + limbs.shin + ANKLE
    bounce = gait.bounce * np.cos(2 * cycle) if walking else 0.0
    hip = np.array((0.006 * np.sin(cycle), height - 0.3 * swing**2 * limbs.thigh + bounce, 0.0))
    trunk = about_x(-gait.lean) @ about_z(gait.sway * np.sin(cycle) * (1.0 if walking else 0.4))
    twist = about_y(0.12 * np.sin(cycle) if walking else 0.0)
    for side, sign in enumerate((1.0, -1.0)):  # left, right
        angle = sign * np.sin(cycle)
        found[11 + side] = hip + about_y(-0.08 * np.sin(cycle) * walking) @ (sign * limbs.hips, 0, 0)
        bend = gait.knee * max(0.0, sign * np.cos(cycle)) ** 1.5 if walking else 0.05
        thigh = about_x(swing * angle)
        found[13 + side] = found[11 + side] + thigh @ down * limbs.thigh
        shin = about_x(swing * angle - bend)
        found[15 + side] = found[13 + side] + shin @ down * limbs.shin
        found[LEFT_TOE + side] = found[15 + side] + shin @ np.array((sign * 0.015, -0.6 * ANKLE, 0.075))
        found[5 + side] = hip + trunk @ twist @ (sign * limbs.shoulders, limbs.torso, 0)
        upper, lower = _arm(body, motion, side, angle, cycle)
        found[7 + side] = found[5 + side] + trunk @ upper @ down * limbs.upper_arm
        found[9 + side] = found[7 + side] + trunk @ upper @ lower @ down * limbs.forearm
    found[NECK] = hip + trunk @ (0, limbs.torso + 0.02, 0)
    found[CROWN] = found[NECK] + trunk @ (0, limbs.neck, gait.slouch)
    facing = trunk @ about_y(motion.turn) @ about_x(-motion.nod)
    found[:5] = found[CROWN] + (facing @ (limbs.head * HEAD_POINTS).T).T
    return found


def _arm(
    body: Body, motion: Motion, side: int, angle: float, cycle: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotations of an upper arm against the trunk, and of the forearm against that."""
    gait, sign = body.gait, 1 - 2 * side
    forwards, outwards, elbow = -gait.arms * angle, gait.apart, gait.elbow + 0.15 * max(0.0, -angle)
    if motion.activity == STAND:
        forwards = 0.04 * np.sin(cycle + side)
    if motion.activity == TALK:
        moving = motion.restless * np.sin(4 * cycle + 2 * side)
        forwards, outwards, elbow = motion.hands[side] + np.array((0.5, 0.2, 1.0)) * moving
    return about_z(sign * outwards) @ about_x(forwards), about_x(elbow)
