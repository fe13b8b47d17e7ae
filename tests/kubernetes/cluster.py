"""The programs of a control plane, on the loopback of a network of their own, hence with the ports they always have."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tools.dapr import binaries as dapr
from tools.helm import binaries as helm
from tools.kubernetes import binaries

Json = dict[str, Any]
APART = "BRIDGE_TESTS_APART"  #: the variable that is set in the network of these tests
SYSTEM = "dapr-system"
INJECTOR = f"dapr-sidecar-injector.{SYSTEM}.svc"
SENTRY = f"spiffe://cluster.local/ns/{SYSTEM}/dapr-sentry"
_TOKEN = "token-of-the-administrator"
_PATIENCE = 60  #: seconds until something that was started must answer


class RefusedByServer(Exception):
    """The API server did not take a request; the text says why."""


@dataclass
class Api:
    """Requests to the API server, as the administrator."""

    address: str = "https://127.0.0.1:6443"
    _resources: dict[str, dict[str, Json]] = field(default_factory=dict)

    def request(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Json:
        """One request. Raises RefusedByServer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {_TOKEN}", "content-type": kind}
        asked = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)  # noqa: S310 - a server of this test
        try:
            with urllib.request.urlopen(asked, timeout=30, context=_unchecked()) as answer:  # noqa: S310 - a server of this test
                read: Json = json.load(answer)
                return read
        except urllib.error.HTTPError as fault:
            raise RefusedByServer(json.loads(fault.read()).get("message", str(fault))) from None

    def apply(self, document: Json, namespace: str = "default", *, dry: bool = False) -> Json:
        """Apply a document on the server, with strict validation; `dry` changes nothing. Raises RefusedByServer."""
        query = "fieldManager=tests&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return self.request("PATCH", f"{self.path(document, namespace)}?{query}", document, "application/apply-patch+yaml")

    def get(self, kind: str, name: str, namespace: str = "default", version: str = "v1") -> Json:
        """One resource. Raises RefusedByServer."""
        return self.request("GET", self.path({"apiVersion": version, "kind": kind, "metadata": {"name": name}}, namespace))

    def path(self, document: Json, namespace: str) -> str:
        """Where a resource is."""
        version, named = document["apiVersion"], document["metadata"]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        resource = self._kinds(group)[document["kind"]]
        within = f"/namespaces/{named.get('namespace', namespace)}" if resource["namespaced"] else ""
        return f"{group}{within}/{resource['name']}/{named['name']}"

    def _kinds(self, group: str) -> dict[str, Json]:
        if group not in self._resources:
            found = self.request("GET", group)["resources"]
            self._resources[group] = {each["kind"]: each for each in found if "/" not in each["name"]}
        return self._resources[group]


@cache
def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@dataclass
class Cluster:
    """A running API server; `folder` has its files and the logs of all programs."""

    folder: Path
    api: Api
    kubeconfig: Path

    def helm(self, *arguments: str | Path) -> str:
        """One command of Helm against this cluster, and what it printed."""
        command = [helm.HELM.find(), *arguments, "--kubeconfig", self.kubeconfig]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "HOME": str(self.folder)}
        )
        if done.returncode:
            raise RefusedByServer(done.stderr)
        return done.stdout


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """etcd and the API server, until the end of the block."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "accounts.key").write_bytes(private)
    (folder / "accounts.pub").write_bytes(public)
    (folder / "tokens.csv").write_text(f"{_TOKEN},administrator,1,system:masters\n")
    etcd = ["--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"]
    server = {
        "etcd-servers": "http://127.0.0.1:2379",
        "bind-address": "127.0.0.1",
        "advertise-address": "10.0.0.1",  # nobody asks there; it must be none of loopback
        "endpoint-reconciler-type": "none",
        "cert-dir": str(folder / "pki"),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": str(folder / "accounts.pub"),
        "service-account-signing-key-file": str(folder / "accounts.key"),
        "service-cluster-ip-range": "10.0.0.0/24",
        "token-auth-file": str(folder / "tokens.csv"),
        "authorization-mode": "RBAC",
        # It would wait for the tokens that a controller makes.
        "disable-admission-plugins": "ServiceAccount",
    }
    api = Api()
    with started(folder, binaries.find("etcd"), *etcd), started(folder, binaries.find("kube-apiserver"), *_flags(server)) as log:
        _wait(lambda: api.request("GET", "/api/v1/namespaces/default"), log)
        yield Cluster(folder, api, _kubeconfig(folder, api))


@contextmanager
def sentry(cluster: Cluster) -> Iterator[None]:
    """Dapr's authority, which keeps its certificates in the cluster, until the end of the block."""
    (cluster.folder / "credentials").mkdir(exist_ok=True)
    flags = {"mode": "kubernetes", "kubeconfig": cluster.kubeconfig, "issuer-credentials": cluster.folder / "credentials"}
    flags |= {"trust-domain": "cluster.local", "port": 50001, "healthz-port": 8081, "metrics-port": 9091}
    with started(cluster.folder, dapr.find("sentry"), *_flags(flags), environ=_OF_DAPR) as log:
        _wait(lambda: _healthy(8081), log)
        yield


@contextmanager
def injector(cluster: Cluster) -> Iterator[None]:
    """Dapr's injector, with the environment that its chart gives it, until the end of the block."""
    api, chart = cluster.api, cluster.api.get("Deployment", "dapr-sidecar-injector", SYSTEM, "apps/v1")["spec"]["template"]
    (container,) = chart["spec"]["containers"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "dapr-sidecar-injector-0", "annotations": chart["metadata"]["annotations"]},
    }
    api.apply(pod | {"spec": {"serviceAccountName": "dapr-injector", "containers": [{"name": "one", "image": "none"}]}}, SYSTEM)
    wanted = {"audiences": [SENTRY], "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"]}}
    account = api.path({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dapr-injector"}}, SYSTEM)
    token = api.request("POST", f"{account}/token", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": wanted})
    files = {"token": token["status"]["token"], "ca.crt": api.get("ConfigMap", "dapr-trust-bundle", SYSTEM)["data"]["ca.crt"]}
    for name, text in files.items():
        (cluster.folder / name).write_text(text)
    environ = {each["name"]: each["value"] for each in container["env"] if "value" in each} | _OF_DAPR
    environ |= {"DAPR_TRUST_ANCHORS_FILE": str(cluster.folder / "ca.crt"), "DAPR_SENTRY_TOKEN_FILE": str(cluster.folder / "token")}
    environ["DAPR_SENTRY_ADDRESS"] = "127.0.0.1:50001"
    flags = {"kubeconfig": cluster.kubeconfig, "port": 4000, "healthz-port": 8082, "metrics-port": 9092, "scheduler-enabled": "false"}
    with started(cluster.folder, dapr.find("injector"), *_flags(flags), environ=environ) as log:
        _wait(lambda: _healthy(8082), log)
        with _webhook_here(api):
            yield


@contextmanager
def _webhook_here(api: Api) -> Iterator[None]:
    """Without a network of Services the API server finds the injector by an address; what the chart says else stays.

    Afterwards the address is the chart's again, because Helm could not upgrade it otherwise.
    """
    webhook = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    path = api.path(webhook | {"metadata": {"name": "dapr-sidecar-injector"}}, SYSTEM)
    place, address = "/webhooks/0/clientConfig", f"https://{INJECTOR}:4000/mutate"
    service = api.request("GET", path)["webhooks"][0]["clientConfig"]["service"]

    def change(removed: str, added: str, value: object) -> None:
        changes = [{"op": "remove", "path": f"{place}/{removed}"}, {"op": "add", "path": f"{place}/{added}", "value": value}]
        api.request("PATCH", path, changes, "application/json-patch+json")

    change("service", "url", address)
    try:
        yield
    finally:
        change("url", "service", service)


#: Both refuse root, which a container of theirs never is.
_OF_DAPR = {"NAMESPACE": SYSTEM, "DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK": "true"}


@contextmanager
def started(folder: Path, program: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Path]:
    """A program, until the end of the block; gives the file of its log."""
    log = folder / f"{program.name}.log"
    with (
        log.open("ab") as file,
        subprocess.Popen([program, *arguments], stdout=file, stderr=file, env={**os.environ, **(environ or {})}) as it,
    ):
        try:
            yield log
        finally:
            it.terminate()
            try:
                it.wait(10)
            except subprocess.TimeoutExpired:
                it.kill()


def _healthy(port: int) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()


def _wait(ask: Callable[[], object], log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            ask()
        except (OSError, RefusedByServer):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"{log.stem} does not answer:\n{log.read_text()[-3000:]}")


def _flags(flags: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


def _kubeconfig(folder: Path, api: Api) -> Path:
    """The file by which Helm and Dapr's programs find the API server, and are its administrator."""
    authority = base64.b64encode((folder / "pki" / "apiserver.crt").read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": api.address, "certificate-authority-data": authority}}],
        "users": [{"name": "administrator", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "administrator"}}],
        "current-context": "one",
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(document))
    file.chmod(0o600)
    return file
