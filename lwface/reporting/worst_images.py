"""The training images that a network finds hardest, as a section of its run's report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lwface.reporting.glossary import terms
from lwface.reporting.markup import embed, plural

LOOK_AT = (
    "Among them are faces that are truly hard, and labels that are wrong: a face that looks like somebody else’s, with "
    "confidence, deserves a look. <code>datasets/clean.py</code> proposes which labels to leave out."
)


class WorstImage(NamedTuple):
    """A training image.

    Attributes:
        key: of its record.
        label: whose it is said to be.
        told: whose it looks like to the network, margin left out.
        share: of its probability that goes to ``told``, from 0 to 1.
        loss: as in training, without mirroring and dropout.
        jpeg: the image.
    """

    key: int
    label: int
    told: int
    share: float
    loss: float
    jpeg: bytes


class WorstImages(NamedTuple):
    """The worst of some images, worst first.

    Attributes:
        images: those to be shown.
        of: how many were looked at.
        mean: their mean loss.
        step: of the checkpoint whose weights were used.
    """

    images: Sequence[WorstImage]
    of: int
    mean: float
    step: int


def worst_section(found: WorstImages | None) -> str:
    """The section; "" where nothing was looked for."""
    if found is None:
        return ""
    shown = "".join(_item(image) for image in found.images)
    words = (
        f"<p>Of {plural(found.of, 'training image')}, evenly spread over the set, the {len(found.images)} with the "
        f"highest loss after step {found.step:,}; the mean is {found.mean:.3g}. {LOOK_AT}</p>"
    )
    return f'<h2 id="worst">Worst images</h2>{terms("loss")}{words}<ul class="pairs" id="worst-images">{shown}</ul>'


def _item(image: WorstImage) -> str:
    alternative = f"image of key {image.key}"
    picture = f'<img src="{embed(image.jpeg, "jpeg")}" alt="{alternative}" width="112" height="112">'
    if image.told == image.label:
        told = f"put right, {image.share:.0%} sure"
    else:
        told = f"looks like person {image.told}, {image.share:.0%} sure"
    return (
        f'<li class="pair">{picture}<b>loss {image.loss:.2f}</b><span>person {image.label}, key {image.key}</span>'
        f"<span>{told}</span></li>"
    )
