"""Which models are loaded: one process knows, the others hold leases. Knows neither HTTP nor what a model is."""
