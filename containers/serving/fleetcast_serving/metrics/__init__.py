"""What the container counts: each worker for itself, put together by the keeper, written for CloudWatch."""
