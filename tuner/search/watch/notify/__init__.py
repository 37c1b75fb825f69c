"""Telling people what became of comparisons, by webhook and by e-mail."""
