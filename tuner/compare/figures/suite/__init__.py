"""The figures of a suite: one file each, and their registry."""
