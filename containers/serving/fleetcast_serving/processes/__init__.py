"""The container's processes: one that watches, one that keeps the books, and one per core that answers."""
