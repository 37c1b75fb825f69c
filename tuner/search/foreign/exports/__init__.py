"""What exports of tables and runs have in common: cells, rows, columns, ranges."""
