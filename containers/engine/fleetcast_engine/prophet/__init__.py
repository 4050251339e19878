"""Prophet's model: its options, its maximum, its evaluation, its own file format."""
