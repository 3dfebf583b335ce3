"""websocat (for ws://) and curl (for http://) as a driver: reads commands from stdin, one a line with tabs between the
words, and prints one line of JSON for each. The commands are in driver.rs. WEBSOCAT is the program; FLAGS are for it."""

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time

TEXT, BINARY = "T:", "B:"  # what websocat puts before a message, or finds there
CLOSED = re.compile(r'The close message is (?:None|Some\(CloseData \{ status_code: (\d+), reason: "(.*)" \}\))')
REFUSED = re.compile(r"unexpected status code \((\d+)")


def piped(command):
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


class Websocat:
    def __init__(self, url, protocol, token):
        command = [os.environ["WEBSOCAT"], "-vv", "--text-prefix", TEXT, "--binary-prefix", BINARY, "--base64"]
        command += ["--close-status-code", "1000", *os.environ.get("FLAGS", "").split()]
        if protocol:
            command += ["--protocol", protocol]
        if token:
            command.append(f"-H=Authorization: Bearer {token}")
        self.heard, self.opened, self.pings, self.end = queue.Queue(), queue.Queue(), 0, None
        self.process = piped([*command, url])
        self.stderr = threading.Thread(target=self.read_stderr, daemon=True)
        self.stderr.start()
        threading.Thread(target=self.read_stdout, daemon=True).start()

    def read_stderr(self):
        refused = None
        for line in self.process.stderr:
            if "Connected to ws" in line:
                self.opened.put({"open": None})
            elif "WebSocket ping" in line:
                self.pings += 1
            elif found := CLOSED.search(line):
                self.end = {"closed": int(found[1] or 1005), "reason": found[2] or ""}
                self.close()  # it goes on as long as there may be input
            elif found := REFUSED.search(line):
                refused = {"refused": int(found[1])}
        self.opened.put(refused or {"failed": "it ended"})

    def read_stdout(self):
        for line in self.process.stdout:
            kind = "text" if line.startswith(TEXT) else "binary"
            self.heard.put({kind: line[len(TEXT):].rstrip("\n")})
        self.stderr.join()
        self.heard.put(self.end or {"failed": "it ended without a close"})

    def write(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


class Curl:
    def __init__(self, url, protocol, token):
        command = ["curl", "-sSNi", url]
        if token:
            command += ["-H", f"Authorization: Bearer {token}"]
        self.heard, self.opened, self.pings = queue.Queue(), queue.Queue(), 0
        self.process = piped(command)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        lines = self.process.stdout
        status, kind = lines.readline().split(" ")[1:2], None
        for line in iter(lines.readline, "\n"):
            if not line:
                break
            name, _, value = line.partition(": ")
            kind = value.strip() if name.lower() == "content-type" else kind
        self.opened.put({"open": kind} if status == ["200"] else {"refused": int((status or [0])[0])})
        event = {}
        for line in lines:
            field, _, value = line.rstrip("\n").partition(": ")
            if not line.strip():
                if "data" in event:
                    self.heard.put({"event": event.get("event", "message"), "data": event["data"]})
                event = {}
            elif field == "":
                self.pings += 1
            else:
                event[field] = value
        self.heard.put({"ended": self.process.wait()})

    def close(self):
        self.process.terminate()


def dial(url, protocol, token):
    connection = (Websocat if url.startswith("ws") else Curl)(url, protocol, token)
    return connection, connection.opened.get()


def obey(connections, verb, name, *words):
    connection = connections.get(name)
    if verb in ("dial", "again"):
        connection, answer = dial(*words)
        while verb == "again" and "open" not in answer:
            time.sleep(0.1)
            connection, answer = dial(*words)
        connections[name] = connection
        return answer
    if verb == "say":
        connection.write(TEXT + words[0])
    elif verb == "send":
        connection.write(BINARY + words[0])
    elif verb == "hear":
        try:
            return connection.heard.get(timeout=int(words[0]) / 1000)
        except queue.Empty:
            return {"nothing": True}
    elif verb == "pings":
        return {"pings": connection.pings}
    elif verb == "close":
        connection.close()
    else:
        return {"unknown": verb}
    return {"said": True}


connections = {}
for line in sys.stdin:
    print(json.dumps(obey(connections, *line.rstrip("\n").split("\t")), ensure_ascii=False), flush=True)
for connection in connections.values():
    connection.process.kill()
