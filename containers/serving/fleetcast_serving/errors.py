"""What the contract answers with something else than 200, apart from mistakes in the request."""

from fleetcast.errors import DataError, FleetcastError, PlatformError, RequestError


class NotLoaded(FleetcastError):
    """The platform asks for a model that it has not loaded, or has unloaded."""


class AlreadyLoaded(FleetcastError):
    """The platform loads a model twice."""


class OutOfMemory(PlatformError):
    """The model does not fit beside the others; the platform is expected to unload some and try again."""


class Busy(PlatformError):
    """As much is being answered as the container is allowed to hold; a little later there is room again."""


class KeeperGone(PlatformError):
    """The process that knows which models are loaded does not answer."""


class LoadFailed(DataError):
    """What was to be loaded is not a usable model."""


class NoSuchPath(FleetcastError):
    """The contract has no such path."""


class MethodNotAllowed(FleetcastError):
    """The path exists, the method on it does not.

    Attributes:
        allowed: the methods that do.
    """

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{method} is not allowed here; use {allowed}")
        self.allowed = allowed


class UnsupportedContentType(RequestError):
    """The body is announced as something that is not read here."""


class BodyTooLarge(RequestError):
    """The body is larger than any request can be."""


class CustomerNotFound(FleetcastError):
    """The container has no model of the customer that the request names.

    Attributes:
        field: the request's field that names the customer.
    """

    field = "customer_id"
