"""CodeBuild on one machine: a build really runs its project's buildspec."""

from fleetcast_local.codebuild.service import LocalCodeBuild

__all__ = ["LocalCodeBuild"]
