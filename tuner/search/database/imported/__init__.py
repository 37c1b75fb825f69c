"""What comes from another database, held to what this software writes before any of it is kept."""
