"""Documents to DynamoDB items and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcast.adapters.items import from_item, to_item

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(min_value=-(10**37), max_value=10**37)
    | st.floats(min_value=1e-100, max_value=1e15)
    | st.just(0.0),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1), _VALUES, max_size=4))
def test_a_document_comes_back_as_it_went(document: dict[str, Any]) -> None:
    assert from_item(to_item(document)) == document


def test_a_tuple_comes_back_as_a_list() -> None:
    assert from_item(to_item({"reasons": ("a", "b")})) == {"reasons": ["a", "b"]}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_the_table_cannot_hold_is_an_error(value: float) -> None:
    with pytest.raises(TypeError, match="not supported"):
        to_item({"mae": value})
