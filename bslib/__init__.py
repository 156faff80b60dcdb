"""Instruments for experiments on mini-batch size.

The modules are imported by name (``from bslib import data, noise, stats``); this file
imports none of them, so that a notebook pays for, and depends on, only what it uses.
"""

__version__ = "0.1.0"
