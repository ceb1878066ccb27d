"""A real node: containerd, kubelet, kube-proxy, CoreDNS and the policy enforcer in a namespace with no way out."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import network, process
from hack.cluster.binaries import ensure, program
from hack.cluster.controlplane import ControlPlane, NotReady
from hack.cluster.paths import REPOSITORY, cache
from hack.images import oci

CGROUPS = Path("/sys/fs/cgroup")
VOLUMES = 10
NODE = "node"


@dataclass(slots=True)
class Node:
    """One cluster with one node, found again by its name."""

    name: str = "slm"
    netpol: bool = True

    @property
    def folder(self) -> Path:
        return cache() / "clusters" / self.name

    @property
    def run(self) -> Path:
        """Sockets live here: their paths may have at most 107 characters."""
        return Path(f"/run/slm-{self.name}")

    @property
    def addresses(self) -> network.Addresses:
        return network.Addresses(_index(self.name))

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
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        return self._known_plane().kubectl(*words, stdin=stdin, check=check)

    def _known_plane(self) -> ControlPlane:
        return self.plane

    def up(self) -> "Node":
        """Bring everything up that is not; safe to call again, also after an interruption."""
        for tool in ("kube", "etcd", "containerd", "coredns"):
            ensure(tool)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(exist_ok=True)
        network.up(self.name, self.addresses)
        plane = self.plane.start()
        self._containerd()
        self._kubelet()
        self._proxy()
        self._dns(plane)
        if self.netpol:
            self._enforcer()
        self._volumes(plane)
        self._wait_ready(plane)
        return self

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
        for name in process.names(self.folder):
            if name != "containerd":
                process.stop(name, self.folder)
        self._end_containers()
        process.stop("containerd", self.folder)
        _unmount(self.folder)
        _unmount(self.run)
        network.down(self.name, self.addresses)
        for hierarchy in CGROUPS.iterdir() if CGROUPS.is_dir() else ():
            _remove_cgroup(hierarchy / f"slm-{self.name}")
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.run, ignore_errors=True)
        _forget(self.name)

    def ctr(self, *words: str, check: bool = True) -> str:
        """containerd's own client, in Kubernetes' namespace."""
        command = [program("containerd", "ctr"), "-a", str(self.run / "containerd.sock"), "-n", "k8s.io", *words]
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
            for pid in _shims(self.run):
                _kill(pid)
            return
        for line in self.ctr("tasks", "list", "-q", check=False).split():
            self.ctr("tasks", "kill", "-s", "KILL", "-a", line, check=False)
        end = time.monotonic() + 5
        while self.ctr("tasks", "list", "-q", check=False).split() and time.monotonic() < end:
            for line in self.ctr("tasks", "list", "-q", check=False).split():
                self.ctr("tasks", "delete", "-f", line, check=False)
            time.sleep(0.1)
        for pid in _shims(self.run):
            _kill(pid)

    def _start(self, name: str, *command: str, env: dict[str, str] | None = None) -> None:
        if process.pid_of(name, self.folder) is None:
            process.start(name, [*self.prefix, *command], self.folder, env)

    def _containerd(self) -> None:
        a, folder = self.addresses, self.folder
        cni = folder / "cni"
        cni.mkdir(exist_ok=True)
        (cni / "10-bridge.conflist").write_text(json.dumps(_bridge(a.pods, folder)))
        # Kubernetes needs a sandbox image before any of ours can be loaded; it is imported right after the start.
        (folder / "containerd.toml").write_text(_containerd_config(folder, self.run, cni))
        path = f"{ensure('containerd')}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        program_ = program("containerd")
        self._start("containerd", program_, f"--config={folder}/containerd.toml", "--log-level=warn", env={"PATH": path})
        end = time.monotonic() + 20
        while "Server" not in self.ctr("version", check=False):
            if time.monotonic() > end or process.pid_of("containerd", folder) is None:
                raise NotReady(f"containerd did not come up:\n{process.log_tail('containerd', folder)}")
            time.sleep(0.1)
        from hack.images.build import build_image

        self.load_image(build_image("pause").archive)

    def _kubelet(self) -> None:
        folder = self.folder
        for hierarchy in CGROUPS.iterdir():
            if hierarchy.is_dir() and not hierarchy.is_symlink():
                (hierarchy / f"slm-{self.name}").mkdir(exist_ok=True)
        _inherit_cpuset(self.name)
        for part in ("kubelet", "pod-logs", "volume-plugins"):
            (folder / part).mkdir(exist_ok=True)
        config = _kubelet_config(self.name, folder, self.run, self.addresses)
        (folder / "kubelet.json").write_text(json.dumps(config, indent=1))
        self._start(
            "kubelet", program("kube", "kubelet"), f"--config={folder}/kubelet.json", f"--kubeconfig={self.kubeconfig}",
            f"--root-dir={folder}/kubelet", f"--cert-dir={folder}/kubelet/pki", f"--hostname-override={NODE}",
            f"--node-ip={self.addresses.node}", "--v=1",
        )  # fmt: skip

    def _proxy(self) -> None:
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(self.kubeconfig)},
            "clusterCIDR": self.addresses.pods,
            "hostnameOverride": NODE,
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "nftables": {"minSyncPeriod": "100ms"},
        }
        (self.folder / "kube-proxy.json").write_text(json.dumps(config, indent=1))
        self._start("kube-proxy", program("kube", "kube-proxy"), f"--config={self.folder}/kube-proxy.json")

    def _dns(self, plane: ControlPlane) -> None:
        corefile = self.folder / "Corefile"
        corefile.write_text(_COREFILE.format(address=self.addresses.node, kubeconfig=self.kubeconfig))
        self._start("coredns", program("coredns"), f"-conf={corefile}")
        plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(_dns_objects(self.addresses)))

    def _enforcer(self) -> None:
        self._start("netpol", "python3", "-m", "hack.cluster.netpol", str(self.kubeconfig), self.addresses.node,
                    self.addresses.host, env={"PYTHONPATH": str(REPOSITORY)})  # fmt: skip

    def _volumes(self, plane: ControlPlane) -> None:
        objects = []
        for number in range(VOLUMES):
            path = self.folder / "volumes" / str(number)
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)
            objects.append(_volume(number, path))
        objects.append(_STORAGE_CLASS)
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def _wait_ready(self, plane: ControlPlane) -> None:
        end = time.monotonic() + 60
        jsonpath = "-o=jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        while plane.kubectl("get", "node", NODE, jsonpath, check=False).strip() != "True":
            if time.monotonic() > end or process.pid_of("kubelet", self.folder) is None:
                raise NotReady(f"the node did not become ready:\n{process.log_tail('kubelet', self.folder)}")
            time.sleep(0.2)
        plane.kubectl("wait", "--for=create", "serviceaccount/default", "-n", "default", "--timeout=30s")


def _index(name: str) -> int:
    """A number for the name, kept in the cache folder so that two clusters never share addresses."""
    file = cache() / "clusters" / "numbers.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    if name not in numbers:
        numbers[name] = next(n for n in range(51) if n not in numbers.values())
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(numbers))
        temporary.replace(file)
    return numbers[name]


def _forget(name: str) -> None:
    file = cache() / "clusters" / "numbers.json"
    if file.exists():
        numbers = json.loads(file.read_text())
        numbers.pop(name, None)
        file.write_text(json.dumps(numbers))


def _bridge(pods: str, folder: Path) -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(folder / "ipam"),
        },
    }
    return {"cniVersion": "1.0.0", "name": "bridge", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}


def _containerd_config(folder: Path, run: Path, cni: Path) -> str:
    return f"""version = 3
root = "{folder}/containerd"
state = "{run}/state"
[grpc]
  address = "{run}/containerd.sock"
[ttrpc]
  address = "{run}/containerd.sock.ttrpc"
[debug]
  address = "{run}/debug.sock"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "slm.test/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
  conf_dir = "{cni}"
[plugins.'io.containerd.internal.v1.opt']
  path = "{run}/opt"
"""


def _kubelet_config(name: str, folder: Path, run: Path, addresses: network.Addresses) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": addresses.node,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(folder / "pki" / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/slm-{name}",
        "clusterDNS": [addresses.dns],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{run}/containerd.sock",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "featureGates": {"KubeletInUserNamespace": True},
        "healthzBindAddress": "127.0.0.1",
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(folder / "pod-logs"),
        "registerNode": True,
        "resolvConf": "",
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
        "syncFrequency": "10s",
        "volumePluginDir": str(folder / "volume-plugins"),
    }


_COREFILE = """.:53 {{
    bind {address}
    errors
    cache 5
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 5
    }}
}}
"""


def _dns_objects(addresses: network.Addresses) -> dict[str, object]:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": addresses.dns, "ports": ports},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [addresses.node], "conditions": {"ready": True}}],
        "ports": ports,
    }
    return {"apiVersion": "v1", "kind": "List", "items": [service, endpoints]}


_STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "slm-local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
}


def _volume(number: int, path: Path) -> dict[str, object]:
    affinity = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"slm-local-{number}"},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
            "storageClassName": "slm-local",
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [affinity]}},
        },
    }


def _inherit_cpuset(name: str) -> None:
    """Under cgroup v1 a new cpuset is empty and accepts no process until it is filled."""
    for part in ("cpuset.cpus", "cpuset.mems"):
        own = CGROUPS / "cpuset" / f"slm-{name}" / part
        if own.exists() and not own.read_text().strip():
            own.write_text((CGROUPS / "cpuset" / part).read_text())


def _unmount(folder: Path) -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((m for m in mounts if m.startswith(f"{folder}/")), key=len, reverse=True):
        subprocess.run(["umount", "-l", point], capture_output=True)


def _remove_cgroup(folder: Path) -> None:
    if not folder.is_dir():
        return
    for inner in sorted((p for p in folder.rglob("*") if p.is_dir()), key=lambda p: len(p.parts), reverse=True):
        try:
            inner.rmdir()
        except OSError:
            pass
    try:
        folder.rmdir()
    except OSError:
        pass


def _shims(run: Path) -> list[int]:
    """Shims of this cluster, known by their socket folder on the command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words and b"containerd-shim" in words[0] and any(w.startswith(f"{run}/".encode()) for w in words):
                found.append(int(entry.name))
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass
