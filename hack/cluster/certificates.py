"""Certificates of a test cluster, by the openssl every machine has. They live as long as the cluster's folder."""

import ipaddress
import subprocess
from pathlib import Path

DAYS = "3650"


def make(folder: Path, address: str, service_cidr: str, extra: tuple[str, ...] = ()) -> None:
    """Write ca, server, admin (client) certificates and the service account key pair, unless they are there."""
    if (folder / ".complete").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", DAYS,
         "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt", "-subj", "/CN=slm-test-ca",
         "-addext", "basicConstraints=critical,CA:TRUE",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    first = str(next(ipaddress.ip_network(service_cidr).hosts()))
    names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ]
    addresses = dict.fromkeys([address, first, "127.0.0.1", *extra])
    alternatives = ",".join([*(f"DNS:{n}" for n in names), *(f"IP:{a}" for a in addresses)])
    _sign(folder, "server", "/CN=kube-apiserver", f"subjectAltName={alternatives}")
    _sign(folder, "admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth")
    _run("genrsa", "-out", f"{folder}/sa.key", "2048")
    _run("rsa", "-in", f"{folder}/sa.key", "-pubout", "-out", f"{folder}/sa.pub")
    for key in folder.glob("*.key"):
        key.chmod(0o600)
    (folder / ".complete").touch()


def _sign(folder: Path, name: str, subject: str, extension: str) -> None:
    _run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr", "-subj", subject)  # fmt: skip
    (folder / f"{name}.ext").write_text(extension + "\n")
    _run("x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key",
         "-CAcreateserial", "-days", DAYS, "-out", f"{folder}/{name}.crt",
         "-extfile", f"{folder}/{name}.ext")  # fmt: skip


def _run(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
