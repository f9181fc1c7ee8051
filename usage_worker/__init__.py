"""Moves usage events from a Redis stream or straight from the spool into the ledger, each exactly once.

settings, __main__: wiring · loop: the one loop · stream, spool: sources · decode: bytes to rows, pure · store, bulk,
rollups: the one transaction · retention, verify, rebuild, export, dead_letters, commands: what an operator runs.
"""
