"""The trials of one search, one by one: what each tried, what it reported, how it ended."""
