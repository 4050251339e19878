"""What was found wrong with a customer's rows, counted by kind."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Repairs:
    """How many rows were dropped, taken out or changed before a model learned from the others.

    Attributes:
        unusable: rows dropped because their value or their time cannot be true.
        duplicates: rows that shared their time with another one and were settled into it.
        missing: steps between the first and the last row without a row; 0 where there are no steps.
        outage: zeros taken out because the meter, not the customer, was silent.
        stuck: rows taken out because the meter repeated itself.
        outliers: readings clipped to what is possible here, and single readings below zero taken out.
    """

    unusable: int = 0
    duplicates: int = 0
    missing: int = 0
    outage: int = 0
    stuck: int = 0
    outliers: int = 0

    @property
    def total(self) -> int:
        """How many rows were dropped, taken out or changed; a missing step is nobody's repair."""
        return self.unusable + self.duplicates + self.outage + self.stuck + self.outliers

    def as_dict(self) -> dict[str, int]:
        """Return the counts by kind, zeros included."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """What was done, for people: `12 missing, 40 zeros of outages taken out and 2 outliers clipped`."""
        parts = [text.format(count) for kind, text in _WORDS.items() if (count := self.as_dict()[kind])]
        if not parts:
            return "nothing to repair"
        return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


_WORDS = {
    "unusable": "{:,} unusable dropped",
    "duplicates": "{:,} duplicates settled",
    "missing": "{:,} missing",
    "outage": "{:,} zeros of outages taken out",
    "stuck": "{:,} stuck readings taken out",
    "outliers": "{:,} outliers clipped",
}
