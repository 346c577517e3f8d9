"""The policy: its switches and their values."""

import pytest

from transforms.policy import SWITCHES, Policy, switches_changed


@pytest.mark.parametrize(
    "wrong", [{"response_from": "x"}, {"bots": "x"}, {"rounding": "x"}, {"late_messages": "x"}]
)
def test_a_wrong_value_is_named_with_the_right_ones(wrong):
    (switch,) = wrong
    with pytest.raises(ValueError, match="must be one of") as caught:
        Policy(**wrong)
    assert str(caught.value) == f"{switch} is 'x'; it must be one of {', '.join(SWITCHES[switch])}"


def test_by_default_no_switch_is_changed():
    assert switches_changed(Policy()) == []
    for switch, (first, *others) in SWITCHES.items():
        assert getattr(Policy(), switch) == first
        for value in others:
            assert switches_changed(Policy(**{switch: value})) == [switch]


def test_values_without_their_names_are_refused():
    with pytest.raises(TypeError):
        Policy("last_message")
