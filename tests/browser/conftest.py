"""A JupyterLab server on a copy of the notebooks, and a page of a real Chromium."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent.parent
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Path of an installed Chromium; without one the test is skipped, or fails where one is promised."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("WORKBENCH_REQUIRE_BROWSER"):
        pytest.fail("no Chromium found, and WORKBENCH_REQUIRE_BROWSER is set")
    pytest.skip("no Chromium installed: the browser tests need one (apt-get install chromium)")


@pytest.fixture
def jupyterlab(tmp_path):
    """The address of a JupyterLab that serves a copy of the lessons.

    Without the committed outputs: their words would look like those of a lesson that has just run.
    """
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for lesson in (ROOT / "notebooks").glob("*.ipynb"):
        nb = nbformat.read(lesson, 4)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.update(outputs=[], execution_count=None)
        nbformat.write(nb, folder / lesson.name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "WORKBENCH_FIGURES": str(tmp_path / "figures"),
    }
    quiet = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)  # no question about news in front of the lesson
    (quiet / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    log = (tmp_path / "server.log").open("w")
    command = [
        *(sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", f"--port={port}"),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.open_browser=False"),
    ]
    server = subprocess.Popen(command, cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=2).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"JupyterLab did not start:\n{Path(log.name).read_text()[-2000:]}")
                time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(20)
        log.close()


@pytest.fixture
def page():
    """A page of a headless Chromium, large enough for a lesson."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser.new_page(viewport={"width": 1500, "height": 1300})
        browser.close()
