"""Who may run what: the queue, what fills it, what people change about it, who works."""
