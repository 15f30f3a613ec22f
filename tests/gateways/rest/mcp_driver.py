"""Runs in mcp-slicer's own environment: starts its server as MCP clients do, by stdio, and uses each of its tools.

``python mcp_driver.py PORT``; a line of JSON for each call: {"tool", "arguments", "text", "images": [[type, bytes]]}.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys

from mcp import ClientSession, StdioServerParameters  # type: ignore[import-not-found]
from mcp.client.stdio import stdio_client  # type: ignore[import-not-found]

CALLS = [
    ("list_nodes", {}),
    ("list_nodes", {"filter_type": "ids", "class_name": "vtkMRMLVolumeNode"}),
    ("list_nodes", {"filter_type": "properties", "name": "MRHead"}),
    ("list_nodes", {"filter_type": "properties", "name": "nobody"}),
    ("execute_python_code", {"code": "__execResult = 1 + 1"}),
    ("execute_python_code", {"code": "slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'by mcp')"}),
    ("execute_python_code", {"code": "1 / 0"}),
    ("capture_screenshot", {}),
    ("capture_screenshot", {"view_type": "3d", "camera_axis": "A"}),
    ("capture_screenshot", {"view_type": "slice", "view_name": "red"}),
]
#: mcp-slicer as it is; on another port than its own, its constant is set first.
SERVER = """
import sys
from mcp_slicer import mcp_server
if sys.argv[1] != "2016":
    mcp_server.SLICER_WEB_SERVER_URL = f"http://localhost:{sys.argv[1]}/slicer"
mcp_server.mcp.run()
"""


async def main(port: str) -> None:
    parameters = StdioServerParameters(command=sys.executable, args=["-c", SERVER, port])
    async with stdio_client(parameters) as (incoming, outgoing), ClientSession(incoming, outgoing) as session:
        await session.initialize()
        for tool, arguments in CALLS:
            result = await session.call_tool(tool, arguments)
            texts = [part.text for part in result.content if part.type == "text"]
            images = [
                [getattr(part, "mime_type", None) or part.mimeType, len(base64.b64decode(part.data))]
                for part in result.content
                if part.type == "image"
            ]
            said = {"tool": tool, "arguments": arguments, "text": "\n".join(texts), "images": images}
            sys.stdout.write(json.dumps(said) + "\n")


asyncio.run(main(sys.argv[1]))
