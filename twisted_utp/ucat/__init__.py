"""
C{ucat}: C{cat} across a network.

C{cat} across a network, over uTP: standard input goes to a peer, and what the peer sends goes to standard output::

    ucat -l 9000 > copy           # on one machine
    ucat 192.0.2.7 9000 < file    # on another

The program is L{twisted_utp.ucat.command}; C{python -m twisted_utp.ucat} runs it as well.
"""
