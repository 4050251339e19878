"""The one way a build fails that is worth a sentence instead of a traceback."""


class BuildError(Exception):
    """A build that cannot go on; the text says what to correct."""
