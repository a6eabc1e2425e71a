"""What the Python client scripts share: people with tokens and sockets that remember what they heard.

Environment: PORCHLIGHT_URL, and PORCHLIGHT_BIN, the gateway's binary, which makes the tokens.
"""

import os
import queue
import secrets
import subprocess

import requests
import socketio

GATEWAY = os.environ["PORCHLIGHT_URL"]
PATIENCE = 15
RUN = secrets.token_hex(3)

# The gateway's own environment: it refuses PORCHLIGHT_ names that it does not know.
SCRIPTS_OWN = ("PORCHLIGHT_URL", "PORCHLIGHT_BIN")
ENV = {name: value for name, value in os.environ.items() if name not in SCRIPTS_OWN}


class Person:
    """A user with a token and one socket."""

    def __init__(self, name, token=None):
        self.name = name
        self.id = f"{name}-{RUN}"
        command = [os.environ["PORCHLIGHT_BIN"], "token", "--user", self.id, "--name", name]
        self.token = token or subprocess.run(
            command, check=True, capture_output=True, text=True, env=ENV
        ).stdout.strip()
        self.heard = queue.Queue()
        self.socket = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.2)
        self.socket.on("*", lambda event, *args: self.heard.put((event, args)))

    def another_device(self):
        """The same user with another socket."""
        return Person(self.name, self.token)

    def post(self, path, body):
        answer = requests.post(
            GATEWAY + path,
            json=body,
            headers={"authorization": f"Bearer {self.token}"},
            timeout=PATIENCE,
        )
        answer.raise_for_status()
        return answer.json()

    def connect(self, transports, url=GATEWAY):
        self.socket.connect(
            url, auth={"token": self.token}, transports=transports, wait_timeout=PATIENCE
        )

    def ask(self, event, data):
        return self.socket.call(event, data, timeout=PATIENCE)

    def done(self, event, data):
        answer = self.ask(event, data)
        assert answer["ok"] is True, f"{event}: {answer}"
        return answer

    def next(self, event):
        """The next event of that name; others before it are passed over."""
        while True:
            name, args = self.heard.get(timeout=PATIENCE)
            if name == event:
                return args[0]
