"""``tuner filter``: filters as they are written, drawn and printed."""
