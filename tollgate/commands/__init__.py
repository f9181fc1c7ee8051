"""One module a command: `arguments(parser)` says what it takes, `main(options)` does it and returns the exit code."""
