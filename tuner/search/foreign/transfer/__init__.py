"""Finished trials of latent-weight training, carried over into the filter space."""
