"""Smooth functions of time: how everything in a generated scene moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Wave:
    """A smooth function of time: offset + slope * t + sum_k amplitude_k * sin(2 pi (t / period_k + phase_k))."""

    offset: float = 0.0
    slope: float = 0.0
    amplitudes: tuple[float, ...] = ()
    periods: tuple[float, ...] = ()
    phases: tuple[float, ...] = ()

    def __call__(self, time: float | np.ndarray) -> np.ndarray:
        """Values at `time`, in frames, of the same shape."""
        time = np.asarray(time, float)
        value = self.offset + self.slope * time
        for amplitude, period, phase in zip(self.amplitudes, self.periods, self.phases, strict=True):
            value = value + amplitude * np.sin(2 * np.pi * (time / period + phase))
        return value

    def __add__(self, other: Wave) -> Wave:
        """The sum of two waves."""
        return Wave(
            self.offset + other.offset,
            self.slope + other.slope,
            self.amplitudes + other.amplitudes,
            self.periods + other.periods,
            self.phases + other.phases,
        )

    @staticmethod
    def draw(
        random: np.random.RandomState, amplitude: float, period: float, offset: float = 0.0, slope: float = 0.0
    ) -> Wave:
        """A random wave with three periods around `period`; for slope 0 it stays within offset +- amplitude."""
        shares = np.array([0.6, 0.25, 0.15])
        periods = period * np.array([1.0, 0.61, 0.37]) * random.uniform(0.85, 1.15, 3)
        phases = random.uniform(0, 1, 3)
        return Wave(offset, slope, tuple(amplitude * shares), tuple(periods), tuple(phases))


class Waves:
    """Several waves, evaluated together in a fraction of the time: each value is that of its wave, bit for bit."""

    def __init__(self, *waves: Wave):
        terms = max(len(wave.amplitudes) for wave in waves)

        def column(values: list[tuple[float, ...]], fill: float) -> np.ndarray:
            return np.array([row + (fill,) * (terms - len(row)) for row in values]).reshape(len(waves), terms).T

        self._start = np.array([[wave.offset, wave.slope] for wave in waves]).T
        self._amplitudes = column([wave.amplitudes for wave in waves], 0.0)
        self._periods = column([wave.periods for wave in waves], 1.0)
        self._phases = column([wave.phases for wave in waves], 0.0)

    def __call__(self, time: float | np.ndarray) -> np.ndarray:
        """Values (..., number of waves) at `time` (...,), in frames."""
        time = np.asarray(time, float)[..., None]
        offset, slope = self._start
        value = offset + slope * time
        for amplitude, period, phase in zip(self._amplitudes, self._periods, self._phases, strict=True):
            value = value + amplitude * np.sin(2 * np.pi * (time / period + phase))
        return value
