"""A customer's rows: sorted, on their own spacing, cleaned of what the meter made up."""
