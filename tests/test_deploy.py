"""deploy/: the files are what their tools take, and say what the server needs. Nothing is built or started here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from medvlm import cli

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not found:
        pytest.skip(f"{name} is not installed: pip install -e '.[dev]'")
    return found


def checked(*command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], dict]:
    everything = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {(one["kind"], one["metadata"]["name"]): one for one in everything}


def pod(manifests, name: str) -> dict:
    return manifests["Deployment", name]["spec"]["template"]["spec"]


def parsed(arguments: list[str]):
    """What `medvlm serve` makes of a container's arguments; unknown ones end the test."""
    return cli.build_parser().parse_args(["serve", *arguments])


def test_the_dockerfile_is_without_a_complaint_and_runs_as_nobody_special():
    reply = checked(tool("hadolint"), str(DEPLOY / "Dockerfile"))
    assert reply.returncode == 0, reply.stdout
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER 10001$", text, re.MULTILINE) and "HEALTHCHECK" in text
    assert text.index("whl/cpu") < text.index("COPY")  # torch for CPUs, before anything could bring another build


def test_the_dockerfile_installs_what_there_is():
    text, project = (DEPLOY / "Dockerfile").read_text(), (ROOT / "pyproject.toml").read_text()
    for extra in re.search(r"'\.\[([\w,]+)\]'", text)[1].split(","):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
    torch = re.search(r"^TORCH \?= torch==(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert f"torch=={torch} " in text
    for kept in re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE):
        assert (ROOT / kept).exists(), kept


def test_compose_is_what_its_schema_says(compose):
    reply = checked(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml"))
    assert reply.returncode == 0, reply.stdout


def test_composes_replicas_start_with_a_login_behind_the_proxy_alone(compose):
    services = compose["services"]
    assert services["replica-1"] == services["replica-2"] and "ports" not in services["replica-1"]
    args = parsed(services["replica-1"]["command"])
    assert args.passwords == "/run/secrets/passwords" and args.log == "json"
    assert args.proxies == [services["proxy"]["networks"]["inside"]["ipv4_address"]]
    assert services["replica-1"]["environment"]["MEDVLM_STORE"] == "redis://store:6379/0"
    (reserved,) = compose["networks"]["inside"]["ipam"]["config"]
    assert ip_address(args.proxies[0]) not in ip_network(
        reserved["ip_range"]
    )  # else another may start first and have it
    assert compose["networks"]["inside"]["internal"] and compose["networks"]["shared"]["internal"]
    assert services["store"]["networks"] == ["shared"] and "shared" not in services["proxy"]["networks"]
    assert set(services["proxy"]["environment"]["MEDVLM_REPLICAS"].split()) == {"replica-1:7860", "replica-2:7860"}


def test_the_store_keeps_nothing_on_disk_and_drops_nothing_of_others(compose, manifests):
    for command in (compose["services"]["store"]["command"], pod(manifests, "medvlm-store")["containers"][0]["args"]):
        options = dict(zip(command[1::2], command[2::2], strict=True))
        assert options["--save"] == "" and options["--appendonly"] == "no"
        assert options["--maxmemory-policy"] == "noeviction" and options["--maxmemory"]


def test_kubernetes_takes_every_manifest(manifests):
    reply = checked(tool("kubernetes-validate"), "--strict", "--no-warn", str(DEPLOY / "kubernetes.yaml"))
    assert reply.returncode == 0, reply.stdout
    assert reply.stdout.count(" passed ") == len(manifests) == 8


def test_pods_have_a_login_probes_and_no_rights(manifests):
    spec = pod(manifests, "medvlm")
    (container,) = spec["containers"]
    args = parsed(container["args"])
    assert args.passwords and args.allow_host[0] == "page.example.org" and args.proxies and args.log == "json"
    for name, path in (("startup", "health"), ("liveness", "health"), ("readiness", "ready")):
        asked = container[f"{name}Probe"]["httpGet"]
        assert asked["path"] == f"/v1/{path}" and asked["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
    for name in ("medvlm", "medvlm-store"):
        spec = pod(manifests, name)
        assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"]
        own = spec["containers"][0]["securityContext"]
        assert own["readOnlyRootFilesystem"] and own["capabilities"] == {"drop": ["ALL"]}


def gib(text: str) -> float:
    """8g, 12Gi → GiB."""
    return float(re.fullmatch(r"(\d+)(g|Gi)", text)[1])


def test_there_is_memory_for_all_that_may_be_open(compose, manifests):
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[serving]'")
    from serving.access.limits import Allowance
    from serving.api.studies import Budget

    model, work = 2, 2  # GiB; reading a study alone may take one
    needed = (Allowance().held_of_all + Budget().bytes) / 2**30 + model + work
    replica = compose["services"]["replica-1"]
    (tmp,) = (re.search(r"^/tmp:size=(\w+)", mount)[1] for mount in replica["tmpfs"])  # which is memory, too
    assert gib(replica["mem_limit"]) >= needed + gib(tmp)
    (container,) = pod(manifests, "medvlm")["containers"]
    assert gib(container["resources"]["limits"]["memory"]) >= needed


def test_what_refers_to_something_in_kubernetes_finds_it(manifests):
    labels = {
        name: one["spec"]["template"]["metadata"]["labels"]
        for (kind, name), one in manifests.items()
        if kind == "Deployment"
    }
    for (kind, name), one in manifests.items():
        if kind == "Service":
            assert one["spec"]["selector"] == labels[name]
            ports = {port["name"] for port in pod(manifests, name)["containers"][0]["ports"]}
            assert one["spec"]["ports"][0]["targetPort"] in ports
        if kind == "NetworkPolicy":
            assert one["spec"]["podSelector"]["matchLabels"] == labels[name]
            assert one["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert manifests["NetworkPolicy", "medvlm-store"]["spec"]["egress"] == []
    backend = manifests["Ingress", "medvlm"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert ("Service", backend["name"]) in manifests
    sticky = manifests["Service", "medvlm"]["metadata"]["annotations"]
    assert sticky["traefik.ingress.kubernetes.io/service.sticky.cookie"] == "true"
    (store,) = [e["value"] for e in pod(manifests, "medvlm")["containers"][0]["env"] if e["name"] == "MEDVLM_STORE"]
    assert store == "redis://:$(STORE_PASSWORD)@medvlm-store:6379/0"
    for name in ("medvlm", "medvlm-store"):  # before what it stands in, or Kubernetes leaves it as it is
        first = pod(manifests, name)["containers"][0]["env"][0]
        assert (first["name"], first["valueFrom"]["secretKeyRef"]) == (
            "STORE_PASSWORD",
            {"name": "medvlm", "key": "store"},
        )


def test_the_store_is_named_by_an_option_or_the_environment(monkeypatch):
    assert parsed([]).store is None and parsed([]).log == "text"
    monkeypatch.setenv("MEDVLM_STORE", "redis://a")
    assert parsed([]).store == "redis://a" and parsed(["--store", "redis://b"]).store == "redis://b"
