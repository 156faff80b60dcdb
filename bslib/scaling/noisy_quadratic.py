"""Exact steps to target of the noisy quadratic model.

Loss sum_i h_i theta_i^2 / 2, gradients h_i theta_i plus noise of variance c_i / B, all
dimensions independent (Zhang et al. 2019, "Which algorithmic choices matter at which batch
sizes?", section 3). The second moment m of each dimension after t steps of plain SGD is
known exactly, so that steps to target cost no training.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Floats = NDArray[np.float64]

LONGEST = 1e12


@dataclass(frozen=True)
class NoisyQuadratic:
    """A noisy quadratic: its curvatures, its noise and where it starts.

    Attributes:
        curvatures: h, (dimensions,), positive.
        noise: c, variance of one example's gradient in each dimension, (dimensions,).
        start: second moment of each coordinate at the start, (dimensions,).
    """

    curvatures: Floats
    noise: Floats
    start: Floats

    @classmethod
    def power_law(cls, dimensions: int = 1_000, exponent: float = 1.0) -> "NoisyQuadratic":
        """Return the model with h_i = c_i = i^-exponent and a unit start, as in the paper."""
        spectrum = np.arange(1, dimensions + 1, dtype=float) ** -exponent
        return cls(spectrum, spectrum, np.ones(dimensions))

    def without_noise(self) -> "NoisyQuadratic":
        """Return the same quadratic as full-batch gradient descent sees it."""
        return replace(self, noise=np.zeros_like(self.noise))

    @property
    def initial_risk(self) -> float:
        """The expected loss before the first step."""
        return float(np.sum(self.curvatures * self.start) / 2)

    def stationary_risk(self, learning_rate: float, batch_size: float) -> float:
        """Return the expected loss after endlessly many steps; infinite where it diverges."""
        if learning_rate * self.curvatures.max() >= 2:
            return float("inf")
        return float(np.sum(self.curvatures * self._stationary(learning_rate, batch_size)) / 2)

    def risk(self, steps: float | Floats, learning_rate: float, batch_size: float) -> Floats:
        """Return the expected loss after ``steps`` steps (fractions interpolate smoothly).

        m_t = q^t m_0 + (1 - q^t) m_inf with q = (1 - eta h)^2 and m_inf =
        eta c / (B h (2 - eta h)); risk = sum h m_t / 2.
        """
        times = np.asarray(steps, float)
        remaining = self._remaining(times, learning_rate)
        last = self._stationary(learning_rate, batch_size)
        moments = remaining * self.start + (1 - remaining) * last
        return np.asarray((self.curvatures * moments).sum(axis=-1) / 2)

    def steps_to(self, target: float, learning_rate: float, batch_size: float) -> float:
        """Return when the risk first is ``target`` (a fraction of a step counts); inf if never.

        The bracket comes from a grid of times, two in an octave; a risk that falls below the
        target and returns within half an octave is missed.
        """
        if self.initial_risk <= target:
            return 0.0
        if learning_rate * self.curvatures.max() >= 2:
            return float("inf")
        times = np.concatenate([[0.0], np.geomspace(1, LONGEST, 80)])
        reached = self.risk(times[:, None], learning_rate, batch_size) <= target
        if not reached.any():
            return float("inf")
        first = int(np.argmax(reached))
        found: float = optimize.brentq(
            lambda time: float(self.risk(time, learning_rate, batch_size)) - target,
            times[first - 1],
            times[first],
            xtol=1e-9,
            rtol=1e-14,
        )
        return found

    def fewest_steps(self, target: float, batch_size: float) -> tuple[float, float]:
        """Return (steps, learning rate) of the constant rate that reaches ``target`` first."""
        highest = 2 / self.curvatures.max()
        rates = highest * np.geomspace(1e-7, 0.999, 60)
        steps = [self.steps_to(target, rate, batch_size) for rate in rates]
        best = int(np.argmin(steps))
        around = rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)]
        found = optimize.minimize_scalar(
            lambda log_rate: self._log_steps(target, float(np.exp(log_rate)), batch_size),
            bounds=(float(np.log(around[0])), float(np.log(around[1]))),
            method="bounded",
            options={"xatol": 1e-7},
        )
        return float(np.exp(found.fun)), float(np.exp(found.x))

    def _log_steps(self, target: float, learning_rate: float, batch_size: float) -> float:
        # A finite height outside the reachable region keeps the search's parabolas finite.
        return float(np.log(min(self.steps_to(target, learning_rate, batch_size), LONGEST)))

    def _remaining(self, times: Floats, learning_rate: float) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            log_factor = 2 * np.log(np.abs(1 - learning_rate * self.curvatures))
            return np.where(times > 0, np.exp(times * log_factor), 1.0)

    def _stationary(self, learning_rate: float, batch_size: float) -> Floats:
        h = self.curvatures
        return learning_rate * self.noise / (batch_size * h * (2 - learning_rate * h))
