"""Figures of many arms at once."""
