"""The maximum of Prophet's posterior, interpreted or compiled."""
