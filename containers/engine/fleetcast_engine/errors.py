"""Every way the engine says no. The text of each is fit to be shown to a person."""


class EngineError(Exception):
    """Base of every error that the engine raises on purpose."""


class SeriesError(EngineError):
    """The customer's data is at fault."""


class NoValidRows(SeriesError):
    """Not one row holds a usable value."""


class TooShort(SeriesError):
    """There are rows, but too few of them to fit a model and to test it."""


class FitFailed(SeriesError):
    """The optimiser could not fit a model to these values."""


class ArtifactError(EngineError):
    """The stored model is at fault; nothing in it was used."""


class NotAModel(ArtifactError):
    """The artifact cannot be read as a model at all: missing, cut off, oversized, or with other files."""


class NewerFormat(ArtifactError):
    """The artifact was written by a newer release in a format that this one does not know."""


class WrongChecksum(ArtifactError):
    """The artifact's contents are not what was written."""


class BadParameters(ArtifactError):
    """The artifact is whole but describes an impossible model, such as one with NaN in it."""


class ForecastError(EngineError):
    """The model was asked for something that it cannot forecast."""


class NotExportable(EngineError):
    """The model cannot be expressed in the format that was asked for."""
