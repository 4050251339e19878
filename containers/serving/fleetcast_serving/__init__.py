"""The serving container: SageMaker's contract over compact models, one process per core.

`http` speaks the contract, `registry` says which models are loaded, `repository` turns files into models, `forecasts`
turns a request's body into an answer's; none of them knows another. `processes` runs them and `metrics` counts.
`__main__` puts them together.
"""
