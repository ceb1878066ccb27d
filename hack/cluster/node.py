"""A real node: containerd, kubelet, kube-proxy, CoreDNS and a network plugin in a namespace with no way out."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster import network, node_config, packages, process, registry, traces
from hack.cluster.binaries import ensure, program
from hack.cluster.controlplane import ControlPlane, NotReady
from hack.cluster.paths import cache
from hack.cluster.plugins import Plugin, plugin
from hack.images import oci

VOLUMES = 40
TOOLS = ("kube", "etcd", "containerd", "coredns")


@dataclass(slots=True)
class Node:
    """One cluster with one node, found again by its name."""

    name: str = "slm"
    netpol: bool = True
    cni: str = field(default_factory=lambda: os.environ.get("CLUSTER_NETWORK") or "bridge")

    @property
    def folder(self) -> Path:
        return cache() / "clusters" / self.name

    @property
    def run(self) -> Path:
        """Sockets live here: their paths may have at most 107 characters."""
        return Path(f"/run/slm-{self.name}")

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.run / "containerd.sock"

    @property
    def addresses(self) -> network.Addresses:
        return network.Addresses(registry.number(self.name))

    @property
    def prefix(self) -> tuple[str, ...]:
        return network.prefix(self.name)

    @property
    def plane(self) -> ControlPlane:
        a = self.addresses
        return ControlPlane(
            name=self.name,
            folder=self.folder,
            address=a.node,
            prefix=self.prefix,
            service_cidr=a.services,
            port=6443,
            etcd_port=2379,
            components=("kube-controller-manager", "kube-scheduler"),
        )

    @property
    def plugin(self) -> Plugin:
        return plugin(self.cni, self)

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        return self._known_plane().kubectl(*words, stdin=stdin, check=check)

    def _known_plane(self) -> ControlPlane:
        return self.plane

    def up(self) -> "Node":
        """Bring everything up that is not; safe to call again, also after an interruption.

        A cluster made from other programs or another configuration is made anew.
        """
        packages.ensure(self.plugin.packages)
        for tool in (*TOOLS, *self.plugin.tools):
            ensure(tool)
        with registry.alone(self.name):
            return self._up()

    def _up(self) -> "Node":
        known = self.folder / "recipe"
        if known.exists() and known.read_text() != self._recipe():
            print(f"cluster {self.name!r} was made from another recipe and is made anew", file=sys.stderr)
            self._down()
        self.folder.mkdir(parents=True, exist_ok=True)
        known.write_text(self._recipe())
        self.run.mkdir(exist_ok=True)
        network.up(self.name, self.addresses)
        plane = self.plane.start()
        self._containerd()
        self._kubelet()
        self._proxy()
        self._dns(plane)
        if self.netpol:
            self.plugin.start()
        self._volumes(plane)
        self._wait_ready(plane)
        return self

    def _recipe(self) -> str:
        """What the cluster is made from: its programs by their hash, and their settings."""
        folder, run, addresses = self.folder, self.run, self.addresses
        parts = (
            [ensure(tool).name for tool in (*TOOLS, *self.plugin.tools)],
            self.plane._apiserver(),
            self.plugin.configuration(),
            node_config.containerd_config(folder, run, folder / "cni", self.plugin.folders()),
            node_config.kubelet_config(self.name, folder, run, addresses),
            node_config.proxy_config(self.kubeconfig, addresses),
            node_config.COREFILE,
        )
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def running(self) -> bool:
        return process.pid_of("kubelet", self.folder) is not None and self.plane_ready()

    def plane_ready(self) -> bool:
        if not (self.folder / "state.json").exists():
            return False
        plane = self.plane
        plane._remember()
        return plane.ready()

    def down(self) -> None:
        """End everything by its recorded pid, unmount, remove. What was half-made goes too."""
        with registry.alone(self.name):
            self._down()

    def _down(self) -> None:
        for name in process.names(self.folder):
            if name != "containerd":
                process.stop(name, self.folder, grace=0)  # nothing is kept, and ends in order wait for each watch
        self._end_containers()
        process.stop("containerd", self.folder)
        traces.unmount(self.folder)
        traces.unmount(self.run)
        network.down(self.name, self.addresses)
        for hierarchy in traces.CGROUPS.iterdir() if traces.CGROUPS.is_dir() else ():
            traces.remove_cgroup(hierarchy / f"slm-{self.name}")
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.run, ignore_errors=True)
        registry.forget(self.name)

    def ctr(self, *words: str, check: bool = True) -> str:
        """containerd's own client, in Kubernetes' namespace."""
        command = [program("containerd", "ctr"), "-a", str(self.socket), "-n", "k8s.io", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"ctr {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def load_image(self, archive: Path) -> None:
        """Import an OCI archive; a second time costs nothing."""
        mark = self.folder / "loaded" / f"{archive.name}-{archive.stat().st_size}-{int(archive.stat().st_mtime)}"
        if mark.exists():
            return
        self.ctr("images", "import", "--local", str(archive))
        # Pods name images by digest; containerd finds one only under a name it was given.
        name, digest = oci.named(archive)
        self.ctr("images", "tag", "--force", name, f"{name.rsplit(':', 1)[0]}@{digest}")
        mark.parent.mkdir(exist_ok=True)
        mark.touch()

    def _end_containers(self) -> None:
        if process.pid_of("containerd", self.folder) is None:
            for pid in traces.shims(self.run):
                traces.kill(pid)
            return
        for line in self.ctr("tasks", "list", "-q", check=False).split():
            self.ctr("tasks", "kill", "-s", "KILL", "-a", line, check=False)
        end = time.monotonic() + 5
        while self.ctr("tasks", "list", "-q", check=False).split() and time.monotonic() < end:
            for line in self.ctr("tasks", "list", "-q", check=False).split():
                self.ctr("tasks", "delete", "-f", line, check=False)
            time.sleep(0.1)
        for pid in traces.shims(self.run):
            traces.kill(pid)

    def start(self, name: str, *command: str, env: dict[str, str] | None = None) -> None:
        """Start a component inside the namespace, unless it runs."""
        if process.pid_of(name, self.folder) is None:
            process.start(name, [*self.prefix, *command], self.folder, env)

    def _written(self, name: str, text: str) -> bool:
        """Write a file of the cluster's folder unless it says the same already; was it written?"""
        path = self.folder / name
        if path.exists() and path.read_text() == text:
            return False
        path.write_text(text)
        return True

    def _containerd(self) -> None:
        folder = self.folder
        cni = folder / "cni"
        cni.mkdir(exist_ok=True)
        (cni / "10-network.conflist").write_text(json.dumps(self.plugin.configuration()))
        # Kubernetes needs a sandbox image before any of ours can be loaded; it is imported right after the start.
        config = node_config.containerd_config(folder, self.run, cni, self.plugin.folders())
        (folder / "containerd.toml").write_text(config)
        path = f"{ensure('containerd')}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        program_ = program("containerd")
        self.start("containerd", program_, f"--config={folder}/containerd.toml", "--log-level=warn", env={"PATH": path})
        end = time.monotonic() + 20
        while "Server" not in self.ctr("version", check=False):
            if time.monotonic() > end or process.pid_of("containerd", folder) is None:
                raise NotReady(f"containerd did not come up:\n{process.log_tail('containerd', folder)}")
            time.sleep(0.1)
        from hack.images.build import build_image

        self.load_image(build_image("pause").archive)

    def _kubelet(self) -> None:
        folder = self.folder
        for hierarchy in traces.CGROUPS.iterdir():
            if hierarchy.is_dir() and not hierarchy.is_symlink():
                (hierarchy / f"slm-{self.name}").mkdir(exist_ok=True)
        traces.inherit_cpuset(self.name)
        traces.take_share(self.name)
        for part in ("kubelet", "pod-logs", "volume-plugins"):
            (folder / part).mkdir(exist_ok=True)
        config = node_config.kubelet_config(self.name, folder, self.run, self.addresses)
        (folder / "kubelet.json").write_text(json.dumps(config, indent=1))
        self.start(
            "kubelet", program("kube", "kubelet"), f"--config={folder}/kubelet.json", f"--kubeconfig={self.kubeconfig}",
            f"--root-dir={folder}/kubelet", f"--cert-dir={folder}/kubelet/pki",
            f"--hostname-override={node_config.NODE}",
            f"--node-ip={self.addresses.node}", "--v=1",
        )  # fmt: skip

    def _proxy(self) -> None:
        config = node_config.proxy_config(self.kubeconfig, self.addresses)
        # kube-proxy ends itself when its file is written, even with the same text.
        if self._written("kube-proxy.json", json.dumps(config, indent=1)):
            process.stop("kube-proxy", self.folder)
        self.start("kube-proxy", program("kube", "kube-proxy"), f"--config={self.folder}/kube-proxy.json")

    def _dns(self, plane: ControlPlane) -> None:
        corefile = self.folder / "Corefile"
        corefile.write_text(node_config.COREFILE.format(address=self.addresses.node, kubeconfig=self.kubeconfig))
        self.start("coredns", program("coredns"), f"-conf={corefile}")
        plane.kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "-",
            stdin=json.dumps(node_config.dns_objects(self.addresses)),
        )

    def _volumes(self, plane: ControlPlane) -> None:
        objects = []
        for number in range(VOLUMES):
            path = self.folder / "volumes" / str(number)
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)
            objects.append(node_config.volume(number, path))
        objects.append(node_config.STORAGE_CLASS)
        plane.kubectl(
            "apply",
            "--server-side",
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )

    def _wait_ready(self, plane: ControlPlane) -> None:
        end = time.monotonic() + 60
        jsonpath = "-o=jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        while plane.kubectl("get", "node", node_config.NODE, jsonpath, check=False).strip() != "True":
            if time.monotonic() > end or process.pid_of("kubelet", self.folder) is None:
                raise NotReady(f"the node did not become ready:\n{process.log_tail('kubelet', self.folder)}")
            time.sleep(0.2)
        # As where Kubernetes hands the networks of pods out: `slm boundary networks` reads it. It can be set once.
        pods = json.dumps({"spec": {"podCIDR": self.addresses.pods, "podCIDRs": [self.addresses.pods]}})
        plane.kubectl("patch", "node", node_config.NODE, "--type=merge", "-p", pods)
        plane.kubectl("wait", "--for=create", "serviceaccount/default", "-n", "default", "--timeout=30s")
