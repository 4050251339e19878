"""The serving container: SageMaker's multi-model contract over compact models.

Three parts that do not know each other, put together in `__main__`: `contract` speaks HTTP, `registry`
holds the loaded models, `repository` reads a model from its folder.
"""
