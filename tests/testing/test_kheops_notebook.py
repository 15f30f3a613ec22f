"""The stand-in for Kheops in a notebook that is run and saved: it works there, and no token is in what is saved."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from slicer_notebook import testing
from tests.pacs.peers.data import Data

pytestmark = pytest.mark.skipif(testing.orthanc_program() is None, reason="Orthanc is not installed (Debian: orthanc)")

#: Seconds for a cell.
PATIENCE = 120

CELLS = (
    "%xmode Verbose",  # errors show the variables of their lines
    "import json, warnings\nfrom pathlib import Path\nimport slicer_notebook as sn",
    "warnings.simplefilter('ignore', RuntimeWarning)\northanc = sn.testing.orthanc(FILES)\northanc",
    "server = sn.testing.kheops(orthanc)\nserver",
    "kheops = sn.Kheops(server.link, index=Path('index.sqlite3'))\nkheops",
    "found = kheops.studies()\nfound",
    "found.frame()",
    "study = found.records()[0]\nkheops.exchange(study)",
    "transfer = kheops.retrieve(study, way='path')\nreport = await transfer\ntransfer",
    "report",
    "kheops.viewer_link(study)",
    "server.asked",
    "server.revoke(server.token)\nkheops.studies().records()",
    "Path('secrets.json').write_text(json.dumps(server.secrets))\nserver.stop()\northanc.stop()\nreport.complete",
)


def test_in_a_notebook_that_is_saved(pacs_data: Data, tmp_path: Path) -> None:
    files = [str(path) for path in pacs_data.study("bare").instances.values()]
    cells = [nbformat.v4.new_code_cell(text.replace("FILES", repr(files))) for text in CELLS]
    refused = cells[-2]
    refused.metadata["tags"] = ["raises-exception"]
    book = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(
        book, timeout=PATIENCE, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    nbformat.write(book, tmp_path / "saved.ipynb")
    saved = (tmp_path / "saved.ipynb").read_text(encoding="utf-8")
    secrets = json.loads((tmp_path / "secrets.json").read_text(encoding="utf-8"))
    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in saved]
    # What was shown is what was asked for.
    outputs = ["".join(each.get("text", "") or str(each.get("data", "")) for each in cell.outputs) for cell in cells]
    assert "Kheops stand-in http://127.0.0.1:" in outputs[3]
    assert "Bare^Ben" in outputs[5]
    assert "access_token=***" in outputs[10]
    assert refused.outputs[0]["ename"] == "PacsRefusedError"
    assert "True" in outputs[-1]
