"""
Does the congestion control keep what it promises?

Named scenarios in virtual time with fixed seeds, each with what libutp was measured to do in the same one and with the
goal that we set ourselves.  C{python -m twisted_utp.testing.scenarios} prints the table.
"""

from twisted_utp.testing.scenarios.scenario import Outcome, Scenario, all_scenarios

__all__ = ["Outcome", "Scenario", "all_scenarios"]
