"""Which model a customer gets."""
