"""
A transfer whose link changes.
"""

from twisted_utp.testing import GilbertElliott, Link, Network, Simulator
from twisted_utp.testing.reactor import SimulatedReactor

simulator = Simulator(seed=1)
network = Network(simulator)
here, there = network.add_host("10.0.0.1"), network.add_host("10.0.0.2")
up, down = Link(simulator), Link(simulator)
network.join(here, there, there=[up], back=[down])
client = SimulatedReactor(here)
# SNIPPET
