"""Mounts our own services on MiniStack's port: SageMaker, Application Auto Scaling and CodeBuild's builds."""

from fleetcast_local.layout import Layout


class Services:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def mount(self) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass
