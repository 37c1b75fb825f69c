"""What a verdict rests on, arm by arm: budgets, redundancy, predictions, optimism."""
