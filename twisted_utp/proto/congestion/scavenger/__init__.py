"""
Congestion control for background transfers: keeps a small queue while alone, and leaves the link when others use it.

L{controller <twisted_utp.proto.congestion.scavenger.controller>} holds the phases together; docs/scavenger.rst
explains them.
"""
