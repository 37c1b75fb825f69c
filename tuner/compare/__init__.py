"""From finished trials to a verdict with its uncertainty."""
