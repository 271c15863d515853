"""The contract and the code generated from it."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_generated_code_is_fresh() -> None:
    """The committed Python code is what the protos generate today."""
    pytest.importorskip("grpc_tools")
    done = subprocess.run([sys.executable, ROOT / "tools" / "generate_protos.py", "--check"], check=False)
    assert done.returncode == 0


def test_the_contract_passes_buf_lint() -> None:
    """Every message and field has a comment and the names follow buf's STANDARD rules."""
    buf = shutil.which("buf") or Path(sys.executable).parent / "buf"
    assert importlib.util.find_spec("buf") or Path(buf).exists()
    done = subprocess.run([buf, "lint"], cwd=ROOT / "protos", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
