"""The paths that FastAPI serves: about ten lines a route."""
