"""The chart carries byte-for-byte copies of crds/: Helm can only read files inside the chart's own folder."""

import shutil

from hack.install.steps import ROOT

SOURCE = ROOT / "crds"
TARGET = ROOT / "charts" / "smallmodel-operator" / "files" / "crds"


def sync() -> list[str]:
    """Copies every CRD into the chart, removes those that are gone, returns the names."""
    TARGET.mkdir(parents=True, exist_ok=True)
    wanted = {path.name: path for path in sorted(SOURCE.glob("*.yaml"))}
    for old in TARGET.glob("*.yaml"):
        if old.name not in wanted:
            old.unlink()
    for name, path in wanted.items():
        shutil.copyfile(path, TARGET / name)
    return sorted(wanted)


if __name__ == "__main__":
    print("\n".join(sync()))
