"""
The uTP protocol without any I/O: bytes and times in, bytes and deadlines out.

Nothing here imports twisted, zope, socket, time, random or os, and a test holds it to that.  Time comes in as
C{now}, integer microseconds on any monotonic clock; randomness as a C{random.Random}.  One
L{Multiplexer <twisted_utp.proto.multiplexer.Multiplexer>} stands for one UDP port::

    receive_datagrams -> poll_events -> poll_transmits -> poll_timeout

is one turn of its owner's loop.
"""
