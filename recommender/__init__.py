"""What to show: catalogue, events behind the gate, profiles, the model, ranking and explanations."""
