"""Which batch size should I use? One answer from three measurements of a problem of one's own."""

from bslib.advise.advice import Accumulation, Advice, Asked
from bslib.advise.advising import advise
from bslib.advise.bars import Bars
from bslib.advise.card import show
from bslib.advise.problem import Problem
from bslib.advise.rate import Rate

__all__ = ["Accumulation", "Advice", "Asked", "Bars", "Problem", "Rate", "advise", "show"]
