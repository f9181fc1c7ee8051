"""The one fact that gateway and worker share: the usage event, its codec and framing, and the unit of money.

Standard library only. Optional fields may be added; nothing is ever removed or given another meaning. The worker
decodes every version that can still be on a stream or in a spool.
"""
