"""Figures of a comparison, one file each; ``gallery`` has them all."""
