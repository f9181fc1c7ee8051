"""Limits and budgets: whether a call may be made now. Shared by all replicas through Redis, or in memory."""
