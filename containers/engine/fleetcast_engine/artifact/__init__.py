"""A model as one small file, and back."""
