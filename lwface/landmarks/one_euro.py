"""The One-Euro filter: points that do not tremble while they rest, and lag little while they move.

Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012. A low-pass filter of first order whose cutoff frequency rises with the speed: ``cutoff = least + slope *
|speed|``. Speeds here are in face sizes a second, so that the two parameters mean the same for a face of any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError

Floats = NDArray[np.float64]

# Of what was tried on procedural videos (LOG.md), the least error of points with the noise of a predictor.
CUTOFF, SLOPE = 2.0, 20.0  # hertz; hertz for a speed of one face size a second
SPEED_CUTOFF = 1.0  # hertz, of the speed itself; the paper's


@dataclass
class OneEuroFilter:
    """Filters arrays of one shape, each number by itself, at the times they come.

    Attributes:
        cutoff: hertz, of what rests.
        slope: hertz for a speed of 1 unit a second.
        speed_cutoff: hertz, of the speed.
    """

    cutoff: float = CUTOFF
    slope: float = SLOPE
    speed_cutoff: float = SPEED_CUTOFF

    def __post_init__(self) -> None:
        if not (self.cutoff > 0 and self.slope >= 0 and self.speed_cutoff > 0):
            raise UserError(
                f"a filter of {self.cutoff:g} Hz and a slope of {self.slope:g}: expected above 0, and 0 or more"
            )
        self.reset()

    def reset(self) -> None:
        """Forget what was: the next value is the first."""
        self._value: Floats | None = None
        self._speed: Floats | None = None
        self._time = 0.0

    def __call__(self, time: float, values: NDArray[np.floating], unit: float = 1.0) -> Floats:
        """The filtered ``values`` of ``time`` (seconds); ``unit`` is of speeds, such as a face's size."""
        new: Floats = np.asarray(values, dtype=np.float64)
        if self._value is None or self._speed is None:
            self._value, self._speed, self._time = new, np.zeros_like(new), time
            return new
        period = time - self._time
        if not period > 0:
            raise ValueError(f"the time {time} does not follow {self._time}")
        self._speed = _low_pass((new - self._value) / period, self._speed, self.speed_cutoff, period)
        cutoff = self.cutoff + self.slope * np.abs(self._speed) / unit
        self._value, self._time = _low_pass(new, self._value, cutoff, period), time
        return self._value


def _low_pass(values: Floats, before: Floats, cutoff: Floats | float, period: float) -> Floats:
    """A step of exponential smoothing, of the time constant that belongs to ``cutoff``."""
    share = 1 / (1 + 1 / (2 * np.pi * cutoff * period))
    return share * values + (1 - share) * before


def ramp_lag(smoothing: OneEuroFilter, rate: float, speed: float, seconds: float = 20.0) -> float:
    """By how many seconds the filter lags behind what moves at a constant ``speed``, at ``rate`` values a second.

    Measured: a ramp is filtered until the lag is steady.
    """
    trial = OneEuroFilter(smoothing.cutoff, smoothing.slope, smoothing.speed_cutoff)
    times = np.arange(int(seconds * rate)) / rate
    behind = [float(speed * time - trial(time, np.array(speed * time))) for time in times]
    return behind[-1] / speed


def step_delay(smoothing: OneEuroFilter, rate: float, height: float, share: float = 0.9) -> int:
    """How many values after the first that shows a jump by ``height`` it is followed to ``share`` of it."""
    trial = OneEuroFilter(smoothing.cutoff, smoothing.slope, smoothing.speed_cutoff)
    trial(0.0, np.zeros(()))
    count = 1
    while trial(count / rate, np.full((), height)) < share * height:
        count += 1
    return count - 1
