"""The policy file: Dapr's schema, read strictly."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.resilience import BreakerRules, Policies, Policy, Retry, Worst, load, worst_case
from bridge.resilience.policy import DEFAULT_TIMEOUT
from bridge.resilience.trip import Counts, trips

SHIPPED = Path(__file__).parent.parent / "functions" / "resiliency.yaml"
HEAD = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: x}\n"
SECOND = timedelta(seconds=1)


def read(tmp_path: Path, text: str, head: str = HEAD) -> Policies:
    path = tmp_path / "resiliency.yaml"
    path.write_text(head + text)
    return load(path)


def problems(tmp_path: Path, text: str, head: str = HEAD) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text, head)
    return [problem.removeprefix(f"{tmp_path}/resiliency.yaml") for problem in caught.value.problems]


def retry(tmp_path: Path, text: str) -> Retry | None:
    return read(tmp_path, f"spec: {{policies: {{retries: {{r: {text}}}}}, targets: {{apps: {{a: {{retry: r}}}}}}}}").for_app("a").retry


def breaker(tmp_path: Path, text: str) -> BreakerRules | None:
    spec = f"spec: {{policies: {{circuitBreakers: {{b: {text}}}}}, targets: {{apps: {{a: {{circuitBreaker: b}}}}}}}}"
    return read(tmp_path, spec).for_app("a").breaker


@pytest.mark.parametrize("app", ["python-functions", "powershell-functions"])
def test_the_shipped_file_holds_what_it_promises(app: str) -> None:
    policy = load(SHIPPED).for_app(app)
    assert policy == Policy(
        25 * SECOND,
        Retry("exponential", max_interval=15 * SECOND, max_retries=3),
        BreakerRules("consecutiveFailures > 5", timeout=30 * SECOND),
    )
    worst = worst_case(policy)
    assert worst == Worst(4, timedelta(seconds=103.5625))
    assert worst.attempts is not None
    assert policy.breaker is not None
    repeats = Counts(requests=worst.attempts, total_failures=worst.attempts, consecutive_failures=worst.attempts)
    assert not trips(policy.breaker.trip, repeats), "one call with all its repeats must not close an app to others"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", Retry("constant", 5 * SECOND, 60 * SECOND, None)),
        ("{policy: exponential}", Retry("exponential", max_interval=60 * SECOND, max_retries=None)),
        ("{policy: constant, duration: 1m30s, maxRetries: 2}", Retry(duration=90 * SECOND, max_retries=2)),
        ("{maxRetries: 0}", Retry(max_retries=0)),
        ("{maxRetries: -1}", Retry(max_retries=None)),
        ('{matching: {httpStatusCodes: "429,502-503"}}', Retry(statuses=frozenset({429, 502, 503}))),
        ('{matching: {gRPCStatusCodes: "1,4,8-10"}}', Retry()),
    ],
)
def test_retries_have_daprs_defaults(tmp_path: Path, text: str, value: Retry) -> None:
    assert retry(tmp_path, text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", BreakerRules("consecutiveFailures > 5", timeout=60 * SECOND)),
        ("{trip: consecutiveFailures > 2, timeout: 5s}", BreakerRules("consecutiveFailures > 2", timeout=5 * SECOND)),
        (
            "{trip: consecutiveFailures>=2, interval: 1m, maxRequests: 3}",
            BreakerRules("consecutiveFailures>=2", 60 * SECOND, 60 * SECOND, 3),
        ),
        ("{trip: requests > 5 && totalFailures * 2 > requests}", BreakerRules("requests > 5 && totalFailures * 2 > requests")),
    ],
)
def test_breakers_have_daprs_defaults(tmp_path: Path, text: str, value: BreakerRules) -> None:
    assert breaker(tmp_path, text) == value


def test_an_app_without_target_is_called_once_with_a_time_limit(tmp_path: Path) -> None:
    assert read(tmp_path, "spec: {}").for_app("a") == Policy(DEFAULT_TIMEOUT, None, None)


def test_an_app_without_target_has_the_policies_that_dapr_applies_by_name(tmp_path: Path) -> None:
    timeouts = "{DefaultTimeoutPolicy: 1s, DefaultAppTimeoutPolicy: 2s}"
    text = f"spec: {{policies: {{timeouts: {timeouts}, retries: {{DefaultRetryPolicy: {{maxRetries: 1}}}}}}}}"
    assert read(tmp_path, text).for_app("a") == Policy(2 * SECOND, Retry(max_retries=1), None)


def test_an_app_with_a_target_has_no_defaults_by_name(tmp_path: Path) -> None:
    text = "spec: {policies: {timeouts: {t: 1s}, retries: {DefaultRetryPolicy: {}}}, targets: {apps: {a: {timeout: t}}}}"
    assert read(tmp_path, text).for_app("a") == Policy(SECOND, None, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("spec: {policies: {retrys: {}}}", "spec.policies.retrys: is not known here; did you mean 'retries'?"),
        (
            "spec: {policies: {retries: {r: {maxRetrys: 1}}}}",
            "spec.policies.retries.r.maxRetrys: is not known here; did you mean 'maxRetries'?",
        ),
        ("spec: {policies: {timeouts: {t: 7d}}}", "spec.policies.timeouts.t: '7d' is not a duration of Dapr; write it like"),
        ("spec: {policies: {timeouts: {t: PT30S}}}", "spec.policies.timeouts.t: 'PT30S' is not a duration of Dapr"),
        ("spec: {policies: {timeouts: {t: 30}}}", "spec.policies.timeouts.t: 30 is not a duration of Dapr"),
        ("spec: {policies: {timeouts: {t: 30 s}}}", "spec.policies.timeouts.t: '30 s' is not a duration of Dapr"),
        ("spec: {policies: {timeouts: {t: 0s}}}", "spec.policies.timeouts.t: expected at least 1ms"),
        ("spec: {policies: {timeouts: {t: 25h}}}", "spec.policies.timeouts.t: '25h' is longer than 24h"),
        (
            "spec: {policies: {retries: {r: {policy: linear}}}}",
            "spec.policies.retries.r.policy: Input should be 'constant' or 'exponential'",
        ),
        ("spec: {policies: {retries: {r: {policy: exponential, duration: 1s}}}}", "duration is for constant policies only"),
        ("spec: {policies: {retries: {r: {maxInterval: 1s}}}}", "maxInterval is for exponential policies only"),
        ("spec: {policies: {retries: {r: {maxRetries: -2}}}}", "greater than or equal to -1 (it is -2)"),
        ('spec: {policies: {retries: {r: {maxRetries: "3"}}}}', "spec.policies.retries.r.maxRetries: Input should be a valid integer"),
        ('spec: {policies: {retries: {r: {matching: {httpStatusCodes: "404,500"}}}}}', "404 is an answer that a repeat does not change"),
        ('spec: {policies: {retries: {r: {matching: {httpStatusCodes: "429, 503"}}}}}', "without spaces"),
        ('spec: {policies: {retries: {r: {matching: {httpStatusCodes: "503-500"}}}}}', "is not a list of codes from 100 to 599"),
        ('spec: {policies: {retries: {r: {matching: {httpStatusCodes: ""}}}}}', "is not a list of codes"),
        (
            "spec: {policies: {retries: {r: {matching: {httpStatusCodes: 429}}}}}",
            "httpStatusCodes: Input should be a valid string (it is 429)",
        ),
        ('spec: {policies: {retries: {r: {matching: {gRPCStatusCodes: "17"}}}}}', "is not a list of codes from 0 to 16"),
        ("spec: {policies: {circuitBreakers: {b: {trip: failures > 5}}}}", "'failures > 5' cannot be worked out; the names are requests,"),
        ("spec: {policies: {circuitBreakers: {b: {trip: requests}}}}", "'requests' is not true or false"),
        ("spec: {policies: {circuitBreakers: {b: {trip: requests >}}}}", "'requests >' is not an expression in CEL"),
        ("spec: {policies: {circuitBreakers: {b: {maxRequests: 0}}}}", "greater than or equal to 1"),
        ("spec: {targets: {components: {bus: {}}}}", "spec.targets.components: is not read here, this file is for function apps; move it"),
        ("spec: {targets: {apps: {a: {circuitBreakerCacheSize: 5}}}}", "each function has one breaker; remove it"),
        ("spec: {targets: {apps: {A_1: {}}}}", "spec.targets.apps.A_1: String should match pattern"),
        (
            "spec: {policies: {retries: {again: {}}}, targets: {apps: {a: {retry: agian}}}}",
            "spec.targets.apps.a.retry: nothing under spec.policies.retries is named 'agian'; did you mean 'again'?",
        ),
        (
            "spec: {policies: {timeouts: {x1: 1s, y2: 2s}}, targets: {apps: {a: {timeout: never}}}}",
            "spec.targets.apps.a.timeout: nothing under spec.policies.timeouts is named 'never'; there is x1, y2",
        ),
        ("spec: {targets: {apps: {a: {circuitBreaker: b}}}}", "spec.policies.circuitBreakers is named 'b'; define it there"),
        ("spec: {}\n---\nkind: Resiliency\n", ", document 2: daprd reads only the first document"),
        ("spec: {}\nspec: {}", ": is not YAML: "),
        ("spec: []", "spec: Input should be"),
        ("", "spec: is missing; add it"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_mend(tmp_path: Path, text: str, says: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert says in found[0]
    assert found[0].startswith((", document ", ": is not YAML"))


@pytest.mark.parametrize(
    ("head", "says"), [("- 1\n", "the document: "), ("kind: [\n", "is not YAML"), ("", "is empty; write one document")]
)
def test_a_file_that_is_no_policy_at_all_is_refused(tmp_path: Path, head: str, says: str) -> None:
    assert says in problems(tmp_path, "", head)[0]


def test_a_file_that_is_not_there_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="BRIDGE_RESILIENCY"):
        load(tmp_path / "none.yaml")


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = """
spec:
  policies:
    timeouts: {t: soon}
    retries: {r: {maxInterval: 1x}}
  targets:
    apps: {a: {retry: q}}
    actors: {}
"""
    assert len(problems(tmp_path, text, HEAD.replace("v1alpha1", "v1"))) == 5
