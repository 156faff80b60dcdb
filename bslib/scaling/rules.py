"""Rules that carry a learning rate, and Adam's settings, from one batch size to another.

k = batch_size / from_batch_size throughout. No rule is right everywhere: the linear one is
the small-batch limit of the saturating one, the square-root one is for Adam.
"""

import math
from dataclasses import dataclass, replace

from bslib.refusal import Refusal


def linear(learning_rate: float, from_batch_size: float, batch_size: float) -> float:
    """Return k eta (Krizhevsky 2014; Goyal et al. 2017): equal examples, equal drift.

    It keeps the noise scale eta N / B of SGD (Smith and Le 2018).
    """
    return learning_rate * _ratio(from_batch_size, batch_size)


def square_root(learning_rate: float, from_batch_size: float, batch_size: float) -> float:
    """Return sqrt(k) eta (Krizhevsky 2014): equal variance of a step's noise."""
    return learning_rate * math.sqrt(_ratio(from_batch_size, batch_size))


def saturating(highest_learning_rate: float, noise_scale: float, batch_size: float) -> float:
    """Return eta_max / (1 + B_noise / B) (McCandlish et al. 2018, equation 2.6).

    The rate that lowers the loss most in one step of SGD on a quadratic: linear in B far
    below the noise scale, constant far above it.
    """
    if not (noise_scale >= 0 and batch_size > 0):
        raise Refusal(
            f"a noise scale of at least 0 and a batch size above 0 are needed, not "
            f"{noise_scale:g} and {batch_size:g}"
        )
    return highest_learning_rate / (1 + noise_scale / batch_size)


def saturating_from(
    learning_rate: float, from_batch_size: float, batch_size: float, noise_scale: float
) -> float:
    """Return the saturating rule's rate at ``batch_size``, given the one at another size."""
    share = saturating(1.0, noise_scale, from_batch_size)
    return learning_rate / share * saturating(1.0, noise_scale, batch_size)


def saturating_exponent(noise_scale: float, batch_size: float) -> float:
    """Return d ln eta / d ln B of the saturating rule: B_noise / (B + B_noise)."""
    return noise_scale / (batch_size + noise_scale)


@dataclass(frozen=True)
class AdamSettings:
    """What of Adam depends on the batch size: the rate, both averages' decay, and epsilon."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


def adam_square_root(
    settings: AdamSettings, from_batch_size: float, batch_size: float
) -> AdamSettings:
    """Scale all of Adam's settings by the square-root rule (Malladi et al. 2022, definition 4.3).

    eta sqrt(k), 1 - beta -> k (1 - beta) for both betas, epsilon / sqrt(k): the discrete
    path of one stochastic differential equation at another batch size.

    Raises:
        Refusal: k is so large that a beta would fall below 0, where the rule has no meaning.
    """
    k = _ratio(from_batch_size, batch_size)
    betas = [1 - k * (1 - beta) for beta in (settings.beta1, settings.beta2)]
    if min(betas) < 0:
        most = 1 / (1 - min(settings.beta1, settings.beta2))
        raise Refusal(
            f"the square-root rule cannot scale the batch {k:g}-fold: a beta would be negative; "
            f"these betas allow at most {most:g}-fold"
        )
    return AdamSettings(
        settings.learning_rate * math.sqrt(k), betas[0], betas[1], settings.epsilon / math.sqrt(k)
    )


def adam_half_life(
    settings: AdamSettings, from_batch_size: float, batch_size: float
) -> AdamSettings:
    """Keep the half-life of Adam's second moment, in examples (Marek et al. 2025).

    beta2 -> beta2^k; the other settings stay. It agrees with the square-root rule's beta2 to
    first order in k (1 - beta2), and holds for any k.
    """
    k = _ratio(from_batch_size, batch_size)
    return replace(settings, beta2=settings.beta2**k)


def half_life_examples(beta: float, batch_size: float) -> float:
    """Return after how many examples an average with decay ``beta`` has forgotten half."""
    return batch_size * math.log(0.5) / math.log(beta)


def _ratio(from_batch_size: float, batch_size: float) -> float:
    if not (from_batch_size > 0 and batch_size > 0):
        raise Refusal(f"batch sizes must be above 0, not {from_batch_size:g} and {batch_size:g}")
    return batch_size / from_batch_size
