"""The accounts database's schema, step by step."""
