"""What a user asks for when a model is exported, checked without loading it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lwface.base.errors import UserError
from lwface.gate.budgets import BudgetError, Track
from lwface.onnx.choices import NUMBER_TYPES, ROWS, Pixels


@dataclass(frozen=True)
class Wish:
    """What the user asks for."""

    precision: str = "float32"  # a key of NUMBER_TYPES
    normalise: str | None = None  # inside, outside; None: inside
    opset: int | None = None
    pixels: Pixels | None = None  # what an ONNX model takes
    track: Track | None = None
    calibration: Path | None = None
    calibration_images: int = 256
    pack: Path | None = None
    score_images: Path | None = None
    labels: Path | None = None

    def __post_init__(self) -> None:
        if bool(self.score_images) != bool(self.labels):
            raise UserError("--score-images and --labels go together: images, and who is on each")
        if self.precision == "float32":
            if self.calibration:
                raise UserError("--calibration is for --precision int8")
            return
        number_type = NUMBER_TYPES[self.precision]
        if self.track and number_type != self.track.number_type:
            demand = f"{self.track.name} demands {self.track.number_type}"
            raise BudgetError(f"--precision {self.precision}: {demand}, a model of {number_type} may not enter")
        if not (self.pack or self.score_images):
            raise UserError(
                f"--precision {self.precision} can cost recognition, which is measured on labelled faces: give "
                "--score-images FOLDER --labels FILE, or --pack FILE"
            )
        if self.precision == "int8" and not self.calibration:
            raise UserError("--precision int8 needs --calibration FOLDER: aligned faces as the model will see them")
        if self.precision == "int8" and self.calibration_images < ROWS:
            raise UserError(f"--calibration-images {self.calibration_images}: at least {ROWS} are needed")


def check_output(output: Path) -> None:
    """:class:`UserError` unless ``output`` names a file that can be an ONNX model."""
    if output.suffix != ".onnx" or output.is_dir():
        raise UserError(f"--output {output}: give the name of a file that ends in .onnx")
