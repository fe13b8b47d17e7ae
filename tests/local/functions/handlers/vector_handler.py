"""The custom handler of recorded vectors: it answers each function as the vectors say, and writes down what it was asked."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ANSWERS = json.loads(Path(sys.argv[1]).read_text())
ASKED = Path(sys.argv[2])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self._chunked())
        asked = {"path": self.path, "method": "POST", "data": body["Data"], "metadata": body["Metadata"]}
        with ASKED.open("a") as log:
            log.write(json.dumps(asked) + "\n")
        self._answer(ANSWERS[self.path[1:]])

    def _chunked(self):
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, answer):
        if "exit" in answer:
            os._exit(answer["exit"])
        if "destroy" in answer:
            self.close_connection = True
            self.connection.close()
            return
        time.sleep(answer.get("delay", 0) / 1000)
        content = answer["raw"] if "raw" in answer else json.dumps(answer.get("body", {}))
        self.send_response(answer.get("status", 200))
        headers = {"content-type": "application/json", **(answer.get("headers") or {})}
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content.encode())))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])), Handler).serve_forever()
