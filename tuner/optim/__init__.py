"""Update rules for binary weights, as torch optimizers."""
