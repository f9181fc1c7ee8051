"""What is wrong with a setting, in one line that says what to do."""

from __future__ import annotations


class SettingsError(Exception):
    """The message is one line, names the setting and the file, and never holds a secret value."""
