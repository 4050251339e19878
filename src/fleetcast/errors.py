"""Every failure says who must act: the caller, the owner of the data or model, or nobody but a retry.

A class name here is also the name that the state machine's `Retry` and `Catch` mention.
"""


class FleetcastError(Exception):
    """Base of every error that Fleetcast raises on purpose; its text is fit to be shown to a person."""


class RequestError(FleetcastError):
    """The caller must change the request.

    Attributes:
        field: the offending field, or None when the whole request is at fault.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownCustomer(RequestError):
    """No model has ever been released for this customer."""


class NotAcceptable(RequestError):
    """The caller accepts no form that the answer has."""


class SettingError(FleetcastError):
    """A parameter of the stack is missing or out of bounds; the operator must correct it."""


class DataError(FleetcastError):
    """The data or the model is at fault; its owner must act."""


class PlatformError(FleetcastError):
    """A service below us is not ready or failed; trying again later is the right answer."""


class RunInProgress(FleetcastError):
    """Another run holds the lock."""


class EndpointMixed(FleetcastError):
    """The endpoint serves, but in a state that only a person can settle."""
