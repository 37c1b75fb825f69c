"""What is trained: layers with a trial axis, networks and data sets."""
