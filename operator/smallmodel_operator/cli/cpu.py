"""What this machine's processor has that changes how much memory llama.cpp takes."""

from pathlib import Path
from typing import Final

CPU_INFO: Final = Path("/proc/cpuinfo")
NEEDED: Final = frozenset({"amx_int8", "avx512_vnni"})


def has_amx(info: Path = CPU_INFO) -> bool:
    """Whether llama.cpp uses the matrix unit here; False where nobody says."""
    try:
        lines = info.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(set(line.partition(":")[2].split()) >= NEEDED for line in lines if line.startswith("flags"))
