"""Building the container images: with Docker, with Buildah, or as process images for the local cloud."""
