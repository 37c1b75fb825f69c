"""The storages that studies are read from, one file each; none is ever written to."""
