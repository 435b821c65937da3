"""Training, evaluation, inference, and what they keep on disk."""
