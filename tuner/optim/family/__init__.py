"""Published update rules beside those of the paper, and one by feedback, one file each."""
