"""Trained networks as data: their steps and numbers, how torch runs them, and the packed file."""
