"""Where a hammer may strike."""

from __future__ import annotations

import pytest

from bridge.hammer.guard import HammerTarget, checked


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("http://127.0.0.1:7071/api/work", "http://127.0.0.1:7071", "/api/work"),
        ("http://LOCALHOST:7071/api/work", "http://localhost:7071", "/api/work"),
        ("http://[::1]:80/", "http://[::1]:80", "/"),
        ("https://127.9.9.9", "https://127.9.9.9", "/"),
    ],
)
def test_this_machine_may_be_called(url: str, origin: str, path: str) -> None:
    assert checked(url, ()) == HammerTarget(origin, path)


@pytest.mark.parametrize(
    "host", ["staging.example.com", "10.0.0.7", "127.0.0.1.example.com", "localhost.example.com", "2130706433", "[fe80::1]"]
)
def test_another_machine_may_not_unless_it_is_named(host: str) -> None:
    with pytest.raises(ValueError, match="add --allow-host"):
        checked(f"https://{host}/api/work", ["example.com", "other.example.com"])
    assert checked(f"https://{host}/api/work", [host.strip("[]").upper()]).path == "/api/work"


@pytest.mark.parametrize(
    "url", ["http://u:p@127.0.0.1/x", "http://127.0.0.1/x?code=secret", "http://127.0.0.1/x#y", "https://staging.example.com@127.0.0.1/"]
)
def test_what_may_carry_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="may carry a secret") as refused:
        checked(url, ())
    assert "secret;" in str(refused.value)
    assert "code" not in str(refused.value)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "127.0.0.1:80", "http://", "http://127.0.0.1:port/x", "http://[::1/x"])
def test_what_is_no_url_of_a_function_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not (the|a) URL"):
        checked(url, ())
