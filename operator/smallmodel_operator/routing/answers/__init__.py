"""What a model has answered, read to judge it."""
