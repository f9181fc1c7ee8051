"""What operators see: metrics and log lines. Never a prompt, an answer, a secret, or a user as a label."""
