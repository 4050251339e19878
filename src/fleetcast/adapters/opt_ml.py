"""The one place that knows where SageMaker's `/opt/ml` is."""

import os
from pathlib import Path


def ml_root() -> Path:
    """Return `/opt/ml`, or what FLEETCAST_ML_ROOT says where several containers share one file system."""
    return Path(os.environ.get("FLEETCAST_ML_ROOT", "/opt/ml"))
