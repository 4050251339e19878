"""A customer's rows: sorted, on their own spacing, cleaned."""
