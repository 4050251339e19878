"""MLServer's custom runtime: one model of MLServer per customer, as its multi-model serving wants it."""

from pathlib import Path

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from fleetcast_engine import forecast, load


class Forecaster(MLModel):
    async def load(self) -> bool:
        self._loaded = load(Path(self.settings.parameters.uri))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        period = int(payload.inputs[0].data[0])
        predicted = forecast(self._loaded, period)
        columns = {
            "timestamp": ("INT64", predicted.timestamps),
            "yhat": ("FP64", predicted.yhat),
            "yhat_lower": ("FP64", predicted.lower),
            "yhat_upper": ("FP64", predicted.upper),
        }
        outputs = [
            ResponseOutput(name=name, shape=[period], datatype=kind, data=values.tolist())
            for name, (kind, values) in columns.items()
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
