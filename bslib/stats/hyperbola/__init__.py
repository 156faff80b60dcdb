"""Fit of y = A (1 + C / x) in log space: the one law behind steps to target and step time.

Steps to target, S(B) = S_min (1 + B_crit / B), has x = B and C = B_crit; step time,
t(B) = t0 (1 + B / B_half), has x = 1 / B and C = 1 / B_half. With noise that is
proportional to y, ln y = a + ln(1 + e^c / x) + noise, where a = ln A and c = ln C.

The fit is maximum likelihood with Gaussian noise in ln y, the likelihood profiled over a
grid of c that zooms in on the optimum, so that no starting value can mislead it. Rows
censored from the right ("y is larger than this") enter through their survival
probability. Rows that the others contradict are set aside and reported
(:mod:`bslib.hyperbola.outliers`).

Intervals invert the profile F test (Bates and Watts 1988, section 6.1), which is
near-exact at a handful of points, is lopsided where the likelihood is, and has an infinite
end where the data bear one. Where the rows scatter more between values of x than within
them (test at 5 %), the law itself is the larger error: the scatter between is then what
the interval is made from, with as many degrees of freedom as there are values of x, less 2.
"""

from bslib.stats.hyperbola.fit import fit
from bslib.stats.hyperbola.law import Flags, Floats, Hyperbola

__all__ = ["Flags", "Floats", "Hyperbola", "fit"]
