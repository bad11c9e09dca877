"""What decides the embedded data set; nothing heavy is imported here."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from lwface.base.errors import UserError


@dataclass(frozen=True)
class Ranges:
    """How far what a picture shows may differ: factors beside the difficulty, 1 for what is usual."""

    pose: float = 1.0  # of the head's angles
    expression: float = 1.0
    light: float = 1.0  # directions and colours
    covering: float = 1.0  # how often there are masks, hands, headgear and glasses
    camera: float = 1.0  # exposure, colour, blur, noise, resolution, JPEG
    shape: float = 1.0  # of the heads of different people
    coarse: float = 0.0  # share of pictures of a face of 24 to 60 pixels, enlarged
    background: float = 0.0  # share of pictures before a cluttered background
    video: float = 0.0  # share of pictures as an old video on the web shows them
    form: float = 0.0  # of heads, beyond the named fields
    skin: float = 0.0  # of what skin has beyond its paint
    looks: float = 0.0  # of brows, eyes, lips, hair, beards and ages
    restyle: float = 0.0  # share of pictures with other hair and beard
    lights: float = 0.0  # share of pictures in light of other kinds; over 1 its colours are stronger
    lens: float = 0.0  # share of pictures through a poor lens
    sensor: float = 0.0  # share of pictures from a poor sensor, read line by line
    makeup: float = 0.0  # share of pictures in which somebody is made up
    teeth: float = 0.0  # how far people's teeth differ


USUAL = Ranges()
SHARES = {"coarse", "background", "video", "restyle", "lens", "sensor", "makeup"}  # the others say how far


@dataclass(frozen=True)
class Options(Ranges):
    """What to make. Everything here and in the ranges, and nothing else, decides the result."""

    seed: int = 0
    train_people: int = 400
    images_per_person: int = 9
    heldout_people: int = 60
    heldout_images: int = 8
    videos_per_person: int = 3
    video_people: int = 30
    video_frames: int = 8
    video_fps: float = 5.0
    pack_pairs: int = 600
    pack_people: int = 30
    frames: bool = False
    teacher: bool = False
    difficulty: float = 0.4

    def check(self) -> None:
        """:class:`UserError` for what cannot be made."""
        least = {"train_people": 2, "images_per_person": 1, "heldout_people": 2, "heldout_images": 2, "pack_people": 2,
                 "videos_per_person": 0, "video_frames": 1, "video_people": 0, "pack_pairs": 2, "seed": 0}  # fmt: skip
        for name, value in least.items():
            if getattr(self, name) < value:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected {value} or more")
        if self.video_people > self.heldout_people:
            raise UserError(
                f"--video-people {self.video_people}: expected at most --heldout-people {self.heldout_people}"
            )
        if not 0 < self.difficulty <= 3:
            raise UserError(f"--difficulty {self.difficulty}: expected more than 0 and at most 3")
        for name, value in asdict(self.ranges).items():
            most, what = (1, "a share from 0 to 1") if name in SHARES else (4, "0 to 4")
            if not 0 <= value <= most:
                raise UserError(f"--{name} {value}: expected {what}")
        if not 0 < self.video_fps < math.inf:
            raise UserError(f"--video-fps {self.video_fps}: expected more than 0, and no infinity")

    @property
    def ranges(self) -> Ranges:
        """How far pictures may differ."""
        return Ranges(**{field.name: getattr(self, field.name) for field in fields(Ranges)})

    @property
    def video_count(self) -> int:
        """Videos in all."""
        return self.video_people * self.videos_per_person
