"""Memory planning: lifetimes in, offsets in one arena out."""

from mm_core.memory.planner import Interval, Plan, plan

__all__ = ["Interval", "Plan", "plan"]
