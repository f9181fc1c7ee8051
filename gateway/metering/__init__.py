"""Metering: every upstream attempt is an intent and then an event on the local disk, shipped and kept until receipted.

`settlement` decides what a row says, `spool` writes it, `shipper` carries it to Redis (or leaves it to a worker that
reads the spool), `adoption` looks after the spools of gateways that died.
"""
