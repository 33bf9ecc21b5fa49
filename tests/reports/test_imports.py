"""A report needs neither torch nor any attack."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "name", ["terminal", "markdown", "csv", "latex", "jsonl", "parquet", "plots"]
)
def test_a_format_is_found_without_torch(name: str) -> None:
    program = (
        "import sys\n"
        "import hashbench\n"
        "from hashbench import plugins\n"
        f"plugins.get('format', '{name}')\n"
        "assert 'matplotlib' not in sys.modules\n"
        "assert 'pyarrow' not in sys.modules\n"
        "hashbench.load_results\n"
        "import hashbench.reports.plots.files\n"
        "assert 'torch' not in sys.modules\n"
        "assert not [module for module in sys.modules if module.startswith('hashbench.attacks')]\n"
    )
    subprocess.run([sys.executable, "-P", "-c", program], check=True)
