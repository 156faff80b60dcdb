"""From samples to estimates that carry their intervals."""

from bslib.stats.by_seed import exponent, exponents, slope_by_seed, slopes_by_seed
from bslib.stats.estimate import Estimate, exact, refused
from bslib.stats.fits import Fit, power_law, slope, straight_line
from bslib.stats.means import exponential, geometric_mean, mean, paired_difference
from bslib.stats.resampling import bootstrap_t, jackknife, jackknife_of
from bslib.stats.sums import independent_sum
from bslib.stats.tables import summarize, table

__all__ = [
    "Estimate",
    "Fit",
    "bootstrap_t",
    "exact",
    "exponent",
    "exponential",
    "exponents",
    "geometric_mean",
    "independent_sum",
    "jackknife",
    "jackknife_of",
    "mean",
    "paired_difference",
    "power_law",
    "refused",
    "slope",
    "slope_by_seed",
    "slopes_by_seed",
    "straight_line",
    "summarize",
    "table",
]
