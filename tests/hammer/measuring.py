"""Measures a scripted function in virtual time."""

from __future__ import annotations

from datetime import timedelta

from bridge.hammer.faults import Faults, FaultScript
from bridge.hammer.loadtest import LoadPlan, LoadTest
from bridge.hammer.measurement import LoadStep, Measurement
from bridge.ports import FunctionCall
from tests.hammer.virtualtime import FaultyFunctions, run

PATIENCE = timedelta(seconds=5)
CALL = FunctionCall("app", "POST", "/api/one", b"{}", {}, PATIENCE)
PLAN = LoadPlan(seconds=33, most=5000)


def measured_with(faults: Faults, seed: int, plan: LoadPlan = PLAN, seen: list[LoadStep] | None = None) -> Measurement:
    """The measurement of a function with these faults."""
    functions = FaultyFunctions(FaultScript(faults, seed))
    told: list[LoadStep] = [] if seen is None else seen

    async def work() -> Measurement:
        return await LoadTest(functions, CALL, plan, told.append).run()

    return run(work())
