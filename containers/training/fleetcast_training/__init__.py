"""The training container: one model per customer of the `series` channel, on all cores."""
