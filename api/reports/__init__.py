"""Reports: made in processes of their own, and remembered for as long as they hold."""
