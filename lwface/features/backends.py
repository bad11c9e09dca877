"""The backends of the embedding engine by name, and which of them is the fastest here.

All give the same numbers (:mod:`lwface.features.runners` refuses those that do not), so ``auto`` may choose by speed
alone. It measures, because no rule holds: what is fastest depends on the network, the size of a batch and the machine.
Setting a backend up costs seconds, compiling a network up to a minute; one is tried only if the run is long enough to
pay for it.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn

from lwface.base.errors import UserError, unknown_name
from lwface.features.choices import AUTO, BACKENDS, COMPILED, EAGER, ONNXRUNTIME, OPENVINO
from lwface.features.runners import Original, Runner, Unsuited, Workload

# What setting r100 up takes on two cores; tried in this order.
SETUP_SECONDS = {OPENVINO: 4.0, ONNXRUNTIME: 4.0, COMPILED: 50.0}
# What choosing may cost, in parts of the time that the run would take with the best known so far. Eager is seldom the
# best, by far; a second alternative seldom beats the first by much.
SHARE_OF_EAGER, SHARE_OF_OTHERS = 0.25, 0.05
FEW_BATCHES = 10  # of a shorter run, timing a single batch would already be a noticeable part
TRIAL_BATCHES = 2  # that trying a backend takes beside setting it up: to see that it is right, and to time it
SAMPLE_SECONDS = 0.1  # shorter samples are mostly the noise of the machine
ROUNDS = 5
HOPELESS = 1.5  # after a few rounds, backends this many times slower than the best are no longer measured
ROUNDS_FOR_ALL = 3

Clock = Callable[[], float]


def prepare(
    network: nn.Module,
    backend: str,
    *,
    device: torch.device,
    batch_size: int,
    precision: str = "float32",
    image_size: tuple[int, int] = (112, 112),
    images: int | None = None,
    clock: Clock = time.perf_counter,
) -> Runner:
    """What runs ``network``, which must be on ``device``, for batches of ``batch_size``.

    Args:
        backend: one of ``BACKENDS``. ``auto`` chooses and says in one line on stderr what and why.
        image_size: (height, width).
        images: how many images the network will see, mirrored ones counted; None: so many that everything is tried.
        clock: seconds, for ``auto``.

    Raises:
        UserError: there is no such backend, it is not installed, it cannot run the network here, or it gives other
            numbers than eager. ``auto`` passes such backends over, with one line each unless they are not meant for
            this device, precision or kind of model.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    original = Original(network, Workload(device, batch_size, precision, image_size))
    if backend == AUTO:
        return choose(original, images, clock)
    return original.runner(backend)


def choose(original: Original, images: int | None = None, clock: Clock = time.perf_counter) -> Runner:
    """The fastest runner for this many ``images`` (None: very many), the time of setting it up considered."""
    runners = {EAGER: original.runner(EAGER)}
    batches = math.inf if images is None else math.ceil(images / original.workload.batch_size)
    if batches < FEW_BATCHES:
        _say(f"backend: {runners[EAGER].label}; {images} images are too few to try others")
        return runners[EAGER]
    start = clock()
    seconds = {EAGER: _seconds_a_batch(original, runners[EAGER], 1, clock)}
    not_tried = []
    for name, setup in SETUP_SECONDS.items():
        if name == runners[EAGER].backend:  # an ONNX model has no eager
            continue
        if clock() - start + setup + TRIAL_BATCHES * min(seconds.values()) > _budget(batches, seconds):
            not_tried.append(name)
            continue
        try:
            runners[name] = original.runner(name)
        except Unsuited:
            continue
        except UserError as error:
            _say(f"passed over: {error}")
            continue
        seconds[name] = _seconds_a_batch(original, runners[name], 1, clock)
    if len(runners) > 1:
        seconds = _measure(original, runners, seconds, SHARE_OF_OTHERS * batches * min(seconds.values()), clock)
    best = min(seconds, key=seconds.__getitem__)
    _say(_verdict(original, runners, seconds, best, not_tried))
    return runners[best]


def _budget(batches: float, seconds: Mapping[str, float]) -> float:
    """Seconds that choosing may have taken when the next backend has been tried."""
    best = min(seconds, key=seconds.__getitem__)
    return (SHARE_OF_EAGER if best == EAGER else SHARE_OF_OTHERS) * batches * seconds[best]


def _measure(
    original: Original, runners: Mapping[str, Runner], first: Mapping[str, float], budget: float, clock: Clock
) -> dict[str, float]:
    """Seconds a batch of each runner: the least of several samples, for all that disturbs only adds to it.

    The runners take turns, so that what disturbs for a while disturbs all of them.

    Args:
        first: a first guess, to make samples long enough.
        budget: seconds after which no new round begins; there is at least one.
    """
    least = dict.fromkeys(runners, math.inf)
    start = clock()
    for number in range(ROUNDS):
        if number and clock() - start > budget:
            break
        for name, runner in runners.items():
            if number >= ROUNDS_FOR_ALL and least[name] > HOPELESS * min(least.values()):
                continue
            repeats = math.ceil(SAMPLE_SECONDS / max(first[name], SAMPLE_SECONDS / 1000))
            least[name] = min(least[name], _seconds_a_batch(original, runner, repeats, clock))
    return least


def _seconds_a_batch(original: Original, runner: Runner, repeats: int, clock: Clock) -> float:
    start = clock()
    for _ in range(repeats):
        original.features(runner)
    return (clock() - start) / repeats


def _verdict(
    original: Original,
    runners: Mapping[str, Runner],
    seconds: Mapping[str, float],
    best: str,
    not_tried: list[str],
) -> str:
    others = sorted((name for name in runners if name != best), key=seconds.__getitem__)
    ratios = ", ".join(f"{runners[name].backend} {seconds[best] / seconds[name]:.2f}" for name in others)
    rate = original.workload.batch_size / seconds[best]
    line = f"backend: {runners[best].label}, {rate:.3g} images/s"
    line += f"; speed of others beside it: {ratios}" if ratios else ""
    return line + (f"; too few images to try {', '.join(not_tried)}" if not_tried else "")


def _say(line: str) -> None:
    print(line, file=sys.stderr)
