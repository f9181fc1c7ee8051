"""The pure half of Tollgate: wire formats, with no I/O.

A dialect turns bytes of one API into the neutral conversation model (`wire.neutral`) and back. Nothing here
reads a clock, a socket, the environment or a random number: ids and times come in as arguments.
"""
