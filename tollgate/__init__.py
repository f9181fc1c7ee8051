"""The `tollgate` command: starts the services as processes and hands sub-commands to them."""
