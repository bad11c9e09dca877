"""The short training by which a network is judged, with the project's own training loop."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Generator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from lwface.base.progress import progress
from lwface.recognition.train import prepare
from lwface.search.held_out import HeldOut
from lwface.search.space import family_settings, tensor_digest
from lwface.settings.places import Places
from lwface.settings.resolve import resolve
from lwface.training.not_finite import NotFinite

WARMUP_SHARE = 10  # one step in so many


class Proxy(NamedTuple):
    """How networks are tried: the same images in the same order for each, from weights of the same seed."""

    dataset: str
    loss: str
    recipe: dict[str, Any]  # settings of the training, on top of the configuration
    report_steps: tuple[int, ...]  # after which the network is judged; the last is the end
    far: Fraction
    device: str
    places: Places


class Report(NamedTuple):
    """What a network in training reaches."""

    step: int
    tar: float


def recipe(*, steps: int, images_per_step: int, seed: int, lr: float | None) -> dict[str, Any]:
    """The settings of a proxy training: a whole cosine schedule with warm-up, however short."""
    settings: dict[str, Any] = {
        "max_steps": steps,
        "per_batch_size": images_per_step,
        "accumulate": 1,
        "lr_policy": "cosine",
        "warmup_steps": max(1, steps // WARMUP_SHARE),
        "total_steps": steps,
        "seed": seed,
        "pretrained": "",
        "val_targets": [],  # HeldOut judges
        "count_flops": False,  # they were counted before
    }
    return settings if lr is None else {**settings, "lr": lr}


def report_steps(steps: int, reports: int) -> tuple[int, ...]:
    """The steps after which a network is judged, evenly over the training.

    >>> report_steps(60, 3)
    (20, 40, 60)
    """
    return tuple(sorted({max(1, steps * number // reports) for number in range(1, reports + 1)}))


class Try:
    """One network's training.

    Attributes:
        settings: all settings of the network that is trained, defaults and the configuration's included.
        digest: of its tensors' names and shapes.
        diverged: the loss was no longer a number, and the last score is 0.

    Args:
        settings: the network's.
        track: its name; preparing holds the network against the budget once more.
        label: of the progress shown.
    """

    def __init__(
        self, proxy: Proxy, settings: Mapping[str, Any], held_out: HeldOut, *, track: str, folder: Path, label: str
    ) -> None:
        overrides = {**settings, **proxy.recipe, "nonfinite_limit": 0}  # a network that diverges is of no use
        run = resolve(settings["net_name"], proxy.dataset, proxy.loss, places=proxy.places, **overrides)
        self.proxy, self.held_out, self.label = proxy, held_out, label
        with contextlib.redirect_stdout(io.StringIO()):  # what a run says of itself is said once, by the search
            self._loop = prepare(run, device=proxy.device, track=track, folder=folder)
        self.settings = family_settings(run.as_dict())
        self.digest = tensor_digest(self._loop.task.modules["network"])
        self.diverged = False

    def scores(self) -> Generator[Report, None, None]:
        """Train, and score after each of the steps asked for; close it to end early."""
        loop, due = self._loop, self.proxy.report_steps
        network = loop.task.modules["network"]
        try:
            with (
                contextlib.closing(loop.updates()) as updates,
                progress(total=loop.last_step, label=self.label, unit="step") as bar,
            ):
                for _ in updates:
                    bar.update()
                    if loop.step in due:
                        size = loop.run.per_batch_size
                        tar = self.held_out.tar(network, self.proxy.far, device=loop.device, batch_size=size)
                        yield Report(loop.step, tar)
        except NotFinite:
            self.diverged = True
            yield Report(due[-1], 0.0)
