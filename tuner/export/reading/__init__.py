"""From a torch network to a graph: its forward is followed, layer by layer."""
