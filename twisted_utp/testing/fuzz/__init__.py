"""
What does the core do when everything happens that can happen?

Whole sessions in virtual time: ends with any settings, over networks that lose, delay, repeat and reroute, with
applications that do as they like; peers whose packets are mutated, or that speak as they please; strangers who flood
and forge.  After each, whatever was promised must hold: streams exact or an error, memory bounded, no connection and no
timer left, and nobody harmed by strangers::

    python -m twisted_utp.testing.fuzz --seed 1 --datagrams 10_000_000

The same seed gives the same session, in every version of Python.
"""

from twisted_utp.testing.fuzz.failure import Failure, reduced, run_session
from twisted_utp.testing.fuzz.session import MODES, Mode, Session
from twisted_utp.testing.fuzz.world import Wrong

__all__ = ["MODES", "Failure", "Mode", "Session", "Wrong", "reduced", "run_session"]
