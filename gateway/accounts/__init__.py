"""Who may call and who pays: users and keys, in the accounts database. Read from memory on the hot path."""
