"""The bounds of what is stored: what is written lies within them, and what lies beyond them is not read."""

# Larger numbers overflow once they are multiplied, and a customer's values end at 1e15.
MAX_NUMBER = 1e30
# Smaller ones overflow once something is divided by them.
MIN_DIVISOR = 1e-30
# Two thousand years in seconds: no time and no span of one is longer.
MAX_SECONDS = 2**36
MAX_TEXT = 1000

MAX_SEASONALITIES = 10
MAX_ORDER = 100
# In days.
MIN_PERIOD = 1e-3
MAX_CHANGEPOINTS = 2000

# Of candidates: those of a user are called "package.module:attribute".
MAX_NAME = 300
