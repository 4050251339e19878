"""From files to models that answer. Knows neither HTTP nor who keeps the models."""

from fleetcast_serving.repository.bundle import Models, read_models
from fleetcast_serving.repository.models import ServedModel, decode, read_document

__all__ = ["Models", "ServedModel", "decode", "read_document", "read_models"]
