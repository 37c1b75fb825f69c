"""Who runs it: workers, their crew, and those who start and keep them."""
