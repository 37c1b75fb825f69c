"""How far it is: progress, counts, totals, and the rows that pages show."""
