"""The proxy and the management API. `gateway.app.create_app(settings)` is the way in."""

__version__ = "0.1.0"
