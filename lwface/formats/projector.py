"""What TensorBoard's embedding projector reads, written without TensorFlow: a folder for ``tensorboard --logdir``.

========================= ==========================================================================================
``tensors.tsv``           a row a point, numbers with tabs between
``metadata.tsv``          a heading, then a row a point, texts with tabs between; a single column has no heading
``sprite.png``            thumbnails of one size, row by row in a square that is filled up with black
``projector_config.pbtxt`` names the three, in protocol buffers' text format
========================= ==========================================================================================

The projector loads a sprite as one texture: browsers take 8192 pixels a side, so thumbnails shrink where they are many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import replacing, write_text

CONFIG, TENSORS, METADATA, SPRITE = "projector_config.pbtxt", "tensors.tsv", "metadata.tsv", "sprite.png"
LARGEST_SPRITE, SMALLEST_THUMBNAIL = 8192, 8
_CONFIG = """embeddings {{
  tensor_name: "{name}"
  tensor_path: "{tensors}"
  metadata_path: "{metadata}"
  sprite {{
    image_path: "{sprite}"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""


def write_projector(
    folder: Path,
    rows: NDArray[np.floating],
    columns: Mapping[str, Sequence[str]],
    thumbnails: Sequence[NDArray[np.uint8]],
    *,
    name: str = "embeddings",
) -> None:
    """Write the folder; the configuration comes last, so that a projector never finds half of it.

    Args:
        folder: made when missing.
        rows: (N, D) finite.
        columns: of the metadata, N texts each.
        thumbnails: N images (S, S, 3) uint8 RGB, all of one size.
        name: what the projector calls it.

    Raises:
        UserError: there are more than a sprite can show.
        ValueError: they are not as many, or a text has a tab or a new line.
    """
    lengths = {len(rows), len(thumbnails), *(len(texts) for texts in columns.values())}
    if len(lengths) != 1 or not len(rows):
        raise ValueError(f"rows, columns and thumbnails of {sorted(lengths)} entries")
    for texts in [list(columns), *columns.values()]:
        if any(set(text) & set("\t\r\n") for text in texts):
            raise ValueError("a text with a tab or a new line")
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / TENSORS, "w", encoding="ascii", newline="\n") as file:
        for row in rows:
            file.write("\t".join(f"{value:.7g}" for value in row) + "\n")
    head = ["\t".join(columns)] if len(columns) > 1 else []
    lines = [*head, *("\t".join(texts) for texts in zip(*columns.values(), strict=True))]
    write_text(folder / METADATA, "\n".join(lines) + "\n")
    sprite, side = make_sprite(thumbnails)
    done, data = cv2.imencode(".png", cv2.cvtColor(sprite, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"a sprite of {sprite.shape} cannot be written")
    with replacing(folder / SPRITE) as file:
        file.write(data.tobytes())
    files = {"tensors": TENSORS, "metadata": METADATA, "sprite": SPRITE}
    write_text(folder / CONFIG, _CONFIG.format(name=name, side=side, **files))


def make_sprite(thumbnails: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], int]:
    """The square of all thumbnails, and the side of one in it, in pixels."""
    side, number = len(thumbnails[0]), math.ceil(math.sqrt(len(thumbnails)))
    fits = min(side, LARGEST_SPRITE // number)
    if fits < SMALLEST_THUMBNAIL:
        most = (LARGEST_SPRITE // SMALLEST_THUMBNAIL) ** 2
        raise UserError(f"{len(thumbnails)} points: a sprite holds {most}; take videos or sequences, not frames")
    sprite = np.zeros((number * fits, number * fits, 3), np.uint8)
    for place, image in enumerate(thumbnails):
        y, x = (fits * at for at in divmod(place, number))
        small = image if fits == side else cv2.resize(image, (fits, fits), interpolation=cv2.INTER_AREA)
        sprite[y : y + fits, x : x + fits] = small
    return sprite, fits
