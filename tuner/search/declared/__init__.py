"""What is to be run: declared files, search spaces, samplers, comparisons."""
