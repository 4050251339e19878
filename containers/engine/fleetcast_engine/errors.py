"""Every way the engine says no. The text of each is fit to be shown to a person."""


class EngineError(Exception):
    """Base of every error that the engine raises on purpose."""


class SeriesError(EngineError):
    """The customer's data is at fault."""


class NoValidRows(SeriesError):
    """Not one row holds a usable value at a usable time."""


class NotASeries(SeriesError):
    """What was handed over cannot be read as rows: of what type, of what length, at what place."""


class NoGrid(SeriesError):
    """The rows are irregular: there are no steps to put them on."""


class TooShort(SeriesError):
    """There are rows, but too few of them to fit a model and to test it."""


class FitFailed(SeriesError):
    """The optimiser could not fit a model to these values."""


class BadSettings(EngineError):
    """What was said about how to choose a model is out of bounds; the text names what is allowed."""


class UnknownFamily(BadSettings):
    """The settings name a family of candidates that is not there or cannot be loaded."""


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
    """The model was asked for something that it cannot forecast.

    Attributes:
        argument: which one of `forecast` is at fault; None where it is not one alone.
    """

    def __init__(self, message: str, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


class MissingRegressor(ForecastError):
    """The model needs values of a regressor at the timestamps asked for, and was not given them."""


class NotExportable(EngineError):
    """The model cannot be expressed in the format that was asked for."""
