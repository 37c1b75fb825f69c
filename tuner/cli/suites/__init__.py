"""``tuner suite``: several comparisons, one answer."""
