"""GET /customers/{customer_id}/model: which model answers for a customer."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from fleetcast.adapters.http import api_handler, customer_in_path
from fleetcast.adapters.pointer_table import PointerTable
from fleetcast.settings import DescribeCustomerSettings

logger, tracer = Logger(), Tracer()
settings = cache(lambda: DescribeCustomerSettings.from_environ(os.environ))


@tracer.capture_lambda_handler
@logger.inject_lambda_context
@api_handler
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    customer_id = customer_in_path(event)
    return {
        "customer_id": customer_id,
        **PointerTable(settings().pointer_table).get(customer_id).to_document(),
    }
