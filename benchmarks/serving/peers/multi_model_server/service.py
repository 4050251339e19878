"""multi-model-server's entry point: one archive that holds every customer.

A process per customer, its own way, takes far more memory than machines have; this serves a thousand of them, and
each worker takes the next request of whatever customer.
"""

import os
from pathlib import Path
from typing import Any

from our_forecast import answer, read_fleet

_models: dict[str, Any] = {}


def handle(data: list[dict[str, Any]] | None, _context: Any) -> list[bytes] | None:
    if not _models:
        _models.update(read_fleet(Path(os.environ["FLEET"])))
    if data is None:  # the server warms a worker up
        return None
    return [answer(_models[asked["customer_id"]], asked["period"]) for asked in (row["body"] for row in data)]
