"""Studies in a SQL database: specs, spaces, the queue and the workers."""
