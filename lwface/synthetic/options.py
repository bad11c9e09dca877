"""What decides the embedded data set; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from lwface.base.errors import UserError


@dataclass(frozen=True)
class Options:
    """What to make. Everything here, and nothing else, decides the result."""

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
        if not self.video_fps > 0:
            raise UserError(f"--video-fps {self.video_fps}: expected more than 0")

    @property
    def video_count(self) -> int:
        """Videos in all."""
        return self.video_people * self.videos_per_person
