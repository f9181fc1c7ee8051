"""The ledger: table definitions, migrations and queries of usage. Knows no stream, no spool and no provider."""
