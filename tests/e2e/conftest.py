"""Deployed products for the tests of this folder."""

from collections.abc import Iterator

import pytest
from tests.e2e.product import Product, deployed_product


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One deployed product, for tests that leave it working."""
    yield from deployed_product(tmp_path_factory.mktemp("product"))


@pytest.fixture(scope="module")
def broken_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A deployed product of its own, for tests that break things."""
    yield from deployed_product(tmp_path_factory.mktemp("broken"))
