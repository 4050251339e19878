"""Application Auto Scaling on one machine: production variants really grow and shrink with their load."""

from fleetcast_local.autoscaling.service import LocalAutoScaling

__all__ = ["LocalAutoScaling"]
