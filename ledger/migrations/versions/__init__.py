"""One module a schema change, in the order of their `down_revision`. Never edited once released."""
