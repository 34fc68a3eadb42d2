"""From a result to figures."""
