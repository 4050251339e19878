"""Which builder builds, and what is done about each target."""

from pathlib import Path

from containers.image_build.ecr import Ecr
from containers.image_build.engines import Engine
from containers.image_build.errors import BuildError
from containers.image_build.process_image import freeze, manifest
from containers.image_build.settings import BuildSettings, Repository, Target


def build_all(settings: BuildSettings, sources: Path) -> None:
    """Build every target whose tag is not in its repository yet.

    Raises:
        BuildError: it cannot be done; the text says why.
    """
    builder = settings.builder or _find_builder(settings, sources)
    if builder == "process" and settings.image_store is None:
        raise BuildError("process images need FLEETCAST_IMAGE_STORE, the local cloud's folder for them")
    for target in settings.targets:
        _build(target, builder, settings, sources)


def _find_builder(settings: BuildSettings, sources: Path) -> str:
    for program in ("docker", "buildah"):
        if Engine(program, sources).is_available():
            return program
    if settings.image_store is not None:
        return "process"
    raise BuildError(
        "no builder: no Docker engine answers, Buildah is not there, and FLEETCAST_IMAGE_STORE is not set"
    )


def _build(target: Target, builder: str, settings: BuildSettings, sources: Path) -> None:
    repository = settings.repositories[target.name]
    image = f"{repository.uri}:{settings.tag}"
    ecr = Ecr(repository.region)
    if settings.image_store is not None:
        # Before the look-up: ECR may remember an image whose folder somebody has cleared away.
        folder = freeze(target, sources, settings.image_store)
    present = ecr.digest(repository, settings.tag)
    if present is not None:
        _say(f"{target.name}: {image} is already there as {present}")
        return
    if builder != "process":
        Engine(builder, sources).build(target.name, image, settings.base_image)
    if settings.image_store is not None:
        digest = ecr.put(repository, settings.tag, manifest(target, folder))
        _say(f"{target.name}: stored process image {folder} as {image}, {digest}")
        return
    _push(Engine(builder, sources), ecr, repository, image)
    pushed = ecr.digest(repository, settings.tag)
    if pushed is None:
        raise BuildError(f"{builder} reported a push, but {image} is not in ECR")
    _say(f"{target.name}: pushed {image}, {pushed}")


def _push(engine: Engine, ecr: Ecr, repository: Repository, image: str) -> None:
    engine.log_in(repository.registry, *ecr.credentials())
    engine.push(image)


def _say(text: str) -> None:
    print(f"build: {text}", flush=True)
