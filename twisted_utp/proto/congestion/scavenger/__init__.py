"""
The gentlest neighbour: a small queue while nobody else is there, and out of the way when somebody is.

L{controller <twisted_utp.proto.congestion.scavenger.controller>} holds the phases together; docs/scavenger.rst
explains them.
"""
