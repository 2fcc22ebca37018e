"""Live sources on the loopback interface: a camera that speaks HTTP (MJPEG), and one that speaks RTSP."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest
from fiqa_runtime.images.preprocess import Image

from tests.help.limits import HANGS

RTSP = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch("( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240 "
                   "! jpegenc ! rtpjpegpay name=pay0 )")
factory.set_shared(True)
server.get_mount_points().add_factory("/live", factory)
if not server.attach(None):
    sys.exit(3)
print("ready", flush=True)
GLib.MainLoop().run()
"""


class Camera:
    """An MJPEG camera: it sends `pictures`, then ends the connection, or holds it open and sends nothing."""

    def __init__(self, pictures: Sequence[Image], rate: float = 60.0, hangs: bool = False) -> None:
        self.parts = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]
        self.rate, self.hangs = rate, hangs
        self.falls_silent = False
        """Whether only the first connection gets pictures."""
        self.connections = 0
        self.go_on = threading.Event()
        self.url = ""


@contextmanager
def camera(pictures: Sequence[Image], rate: float = 60.0, hangs: bool = False) -> Iterator[Camera]:
    """A running camera."""
    one = Camera(pictures, rate, hangs)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one.connections += 1
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for part in one.parts if one.connections == 1 or not one.falls_silent else ():
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n"
                self.wfile.write(head.encode() + part + b"\r\n")
                time.sleep(1 / one.rate)
            if one.hangs:
                one.go_on.wait(HANGS)
            self.close_connection = True

        def log_message(self, *args: Any) -> None:
            """Keep the test output quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            """A client that has gone is not an error of the camera."""

    server = Server(("127.0.0.1", 0), Handler)
    one.url = f"http://127.0.0.1:{server.server_address[1]}/video.mjpg"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield one
    finally:
        one.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def rtsp_camera() -> Iterator[str]:
    """The address of a ball that moves, 320 x 240, sent by GStreamer's RTSP server; skips where that is missing."""
    python = next((path for path in ("/usr/bin/python3", shutil.which("python3")) if path and _has_server(path)), None)
    if python is None:
        pytest.skip("GStreamer's RTSP server is missing: apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([python, "-c", RTSP, str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        if server.stdout is None or server.stdout.readline().strip() != b"ready":
            pytest.skip("GStreamer's RTSP server does not start; install gstreamer1.0-plugins-good")
        yield f"rtsp://127.0.0.1:{port}/live"
    finally:
        server.kill()
        server.wait(HANGS)
        with suppress(AttributeError):
            server.stdout.close()  # type: ignore[union-attr]


def _has_server(python: str) -> bool:
    if sys.platform != "linux" or not Path(python).exists():
        return False
    code = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer;"
        "Gst.init(None); assert all(map(Gst.ElementFactory.find, ('videotestsrc', 'jpegenc', 'rtpjpegpay')))"
    )
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
