"""From the body of a request to the body of its answer. Knows neither HTTP's framing nor who keeps the models."""

from fleetcast_serving.forecasts.inquiry import Answer, Inquiry, inquiry

__all__ = ["Answer", "Inquiry", "inquiry"]
