"""SageMaker's container contract over bare ASGI. Knows neither how models are read nor which process keeps them."""
