"""What several tests of the containers ask for."""

from pathlib import Path

import pytest
from tests.containers.processing_support import ProcessingRoot


@pytest.fixture
def root(tmp_path: Path) -> ProcessingRoot:
    return ProcessingRoot(tmp_path / "ml")
