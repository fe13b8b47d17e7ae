"""Timer functions run by their schedules where `--timers` asks for it, and by hand everywhere."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from bridge.local.functions import timers

from .conftest import Host, StartHost

APP = """
import json, logging
import azure.functions as func

app = func.FunctionApp()

@app.timer_trigger(arg_name="timer", schedule="%OFTEN%")
def often(timer: func.TimerRequest) -> None:
    logging.info("often ran, past due %s", timer.past_due)

@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
def first(timer: func.TimerRequest) -> None:
    logging.info("first ran, past due %s, next %s", timer.past_due, timer.schedule_status["Next"])

@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
def yearly(timer: func.TimerRequest) -> None:
    logging.info("yearly ran, past due %s", timer.past_due)
"""


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    app = tmp_path / "apps" / "clock"
    app.mkdir(parents=True)
    (app / "function_app.py").write_text(APP)
    (app / "local.settings.json").write_text(json.dumps({"Values": {"OFTEN": "* * * * * *", "TZ": "Asia/Tokyo"}}))
    return tmp_path / "apps"


def ended(host: Host) -> None:
    assert host.stop() == 0
    assert "Traceback" not in host.log


def test_timers_run_by_their_schedules_and_at_the_start(start_host: StartHost, apps: Path) -> None:
    host = start_host("--apps", str(apps), "--timers", TZ="Asia/Tokyo")

    host.wait_for_log("first ran, past due False, next 2")
    assert "-01-01T00:00:00+09:00" in host.log
    host.wait_for_log("often ran, past due False")
    assert "yearly ran" not in host.log
    ended(host)


def test_a_time_that_was_missed_is_made_up_for(start_host: StartHost, apps: Path, data_dir: Path) -> None:
    long_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(days=800)
    following = datetime(long_ago.year + 1, 1, 1, tzinfo=UTC)
    folder = data_dir / "function-timers" / "clock"
    folder.mkdir(parents=True)
    status = {"Last": long_ago.isoformat(), "Next": following.isoformat(), "LastUpdated": long_ago.isoformat()}
    (folder / "yearly.json").write_text(json.dumps(status))
    host = start_host("--apps", str(apps), "--timers", TZ="UTC")

    host.wait_for_log("yearly ran, past due True")
    ended(host)
    assert json.loads((folder / "yearly.json").read_text())["Last"] > following.isoformat()


async def test_without_timers_they_run_by_hand_only(start_host: StartHost, apps: Path, http: aiohttp.ClientSession, data_dir: Path) -> None:
    host = start_host("--apps", str(apps))
    entry = json.loads((data_dir / "functions.json").read_text())["clock-functions"]
    await asyncio.sleep(1.5)
    assert "often ran" not in host.log
    assert "runs only by hand here (POST /admin/functions/often): timers run by their schedules with --timers only" in host.log

    url, headers = f"{entry['url']}/admin/functions/yearly", {"x-functions-key": entry["masterKey"]}
    async with http.post(url, headers=headers, json={}) as answer:
        assert answer.status == 202
    async with http.post(url, headers={"x-functions-key": entry["key"]}, json={}) as answer:
        assert answer.status == 403

    host.wait_for_log("yearly ran, past due False")
    ended(host)


def test_a_time_zone_that_does_not_exist_is_named_and_schedules_are_in_utc(start_host: StartHost, apps: Path) -> None:
    host = start_host("--apps", str(apps), "--timers", TZ="", WEBSITE_TIME_ZONE="Nowhere/Here")

    host.wait_for_log("WEBSITE_TIME_ZONE is 'Nowhere/Here', which is not a known time zone")
    host.wait_for_log("-01-01T00:00:00+00:00")


def test_the_time_zone_is_utc_unless_a_setting_names_another() -> None:
    assert timers.zone({}) is UTC
    assert str(timers.zone({"TZ": "Europe/Berlin"})) == "Europe/Berlin"
    assert str(timers.zone({"TZ": "Europe/Berlin", "WEBSITE_TIME_ZONE": "Asia/Tokyo"})) == "Asia/Tokyo"
    with pytest.raises(ValueError, match="write its name in the IANA list"):
        timers.zone({"TZ": "../etc/passwd"})
