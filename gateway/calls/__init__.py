"""The one use case: admit, route, translate, call, translate back, settle."""

from gateway.calls.chat import Calls

__all__ = ["Calls"]
