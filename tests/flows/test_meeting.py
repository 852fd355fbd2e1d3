"""How sessions meet, on every kind of store and in both colours."""

from __future__ import annotations

from comity.testing.kit._async.flows_meeting import AsyncMeetingFlows
from comity.testing.kit._sync.flows_meeting import MeetingFlows
from tests.flows.stores import OnEveryStore


class TestMeeting(OnEveryStore, MeetingFlows):
    pass


class TestAsyncMeeting(OnEveryStore, AsyncMeetingFlows):
    pass
