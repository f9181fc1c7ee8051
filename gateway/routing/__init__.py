"""From a model's name to the upstream that answers it. Pure: no network, no clock, no environment."""
