"""The table of states: no way out of an end, no step back, and every word of Velero's has a meaning."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.lifecycle import (
    IN_CLUSTER,
    LONGEST_NAME,
    NAME_PATTERN,
    OPEN,
    RESTORABLE,
    TERMINAL,
    TO_SUBMIT,
    State,
    may_become,
    object_name,
    state_of_phase,
)

STATES = st.sampled_from(State)
# apis/velero/v1/backup_types.go:291-358 and restore_types.go:293-339 of 1.18
BACKUP_PHASES = {
    "New": State.SUBMITTED,
    "Queued": State.SUBMITTED,
    "ReadyToStart": State.SUBMITTED,
    "FailedValidation": State.REJECTED,
    "InProgress": State.RUNNING,
    "WaitingForPluginOperations": State.RUNNING,
    "WaitingForPluginOperationsPartiallyFailed": State.RUNNING,
    "Finalizing": State.RUNNING,
    "FinalizingPartiallyFailed": State.RUNNING,
    "Completed": State.COMPLETED,
    "PartiallyFailed": State.PARTIALLY_FAILED,
    "Failed": State.FAILED,
    "Deleting": State.RUNNING,
}
# How far along a state is; a step never leads to a lower one, but for "unknown", which is beside them.
RANK = {State.REQUESTED: 0, State.SUBMITTING: 1, State.SUBMITTED: 2, State.RUNNING: 3} | dict.fromkeys(TERMINAL, 4)


@given(STATES, STATES)
def test_nothing_leaves_an_end(current: State, following: State) -> None:
    if current in TERMINAL:
        assert not may_become(current, following)


@given(STATES, STATES)
def test_no_step_leads_back(current: State, following: State) -> None:
    if State.UNKNOWN not in (current, following) and may_become(current, following):
        assert RANK[following] >= RANK[current]


@given(STATES)
def test_an_open_state_may_be_written_again(state: State) -> None:
    assert may_become(state, state) == (state in OPEN)


@given(st.lists(STATES, max_size=12))
def test_any_walk_ends_in_at_most_one_end(steps: list[State]) -> None:
    """Whatever is tried in whatever order, the first end is the last state."""
    state, ended = State.REQUESTED, False
    for step in steps:
        if may_become(state, step):
            assert not ended
            state, ended = step, step in TERMINAL


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_state_has_a_way_to_an_end(state: State) -> None:
    seen = {state}
    while more := {after for before in seen for after in State if may_become(before, after)} - seen:
        seen |= more
    assert seen & TERMINAL
    assert State.COMPLETED in seen


def test_unknown_is_left_as_soon_as_the_cluster_answers() -> None:
    """Whether the object is there or not, and whatever it says."""
    answers = {State.SUBMITTING, State.SUBMITTED, State.RUNNING, State.COMPLETED, State.FAILED, State.PARTIALLY_FAILED}
    assert all(may_become(State.UNKNOWN, answer) for answer in answers)
    assert not may_become(State.UNKNOWN, State.REQUESTED)


def test_what_is_in_the_cluster_is_not_canceled_by_us() -> None:
    assert not any(may_become(state, State.CANCELED) for state in IN_CLUSTER)


def test_the_groups_cover_all_and_do_not_overlap() -> None:
    assert set(State) == TERMINAL | OPEN
    assert not TERMINAL & OPEN
    assert TO_SUBMIT | IN_CLUSTER == OPEN
    assert not TO_SUBMIT & IN_CLUSTER
    assert RESTORABLE <= TERMINAL


@pytest.mark.parametrize(("phase", "state"), BACKUP_PHASES.items())
def test_every_phase_of_velero_is_known(phase: str, state: State) -> None:
    assert state_of_phase(phase) is state


def test_an_object_without_a_phase_is_new() -> None:
    assert state_of_phase("") is State.SUBMITTED


@given(st.text(min_size=1).filter(lambda text: text not in BACKUP_PHASES))
def test_an_unknown_phase_is_neither_done_nor_lost(phase: str) -> None:
    assert state_of_phase(phase) is State.RUNNING


@given(st.from_regex(NAME_PATTERN, fullmatch=True))
def test_object_names_are_names_of_objects(name: str) -> None:
    made = object_name(name)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", made)
    assert made.startswith(f"{name}-")
    assert len(made) <= LONGEST_NAME + 9


@given(st.text(max_size=300))
def test_they_fit_whatever_was_typed(name: str) -> None:
    assert len(object_name(name)) <= 63


def test_they_differ() -> None:
    assert len({object_name("nightly") for _ in range(500)}) == 500
