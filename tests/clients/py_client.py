"""python-socketio connects, joins, sends with an ack, receives and resumes, over both transports.

    python py_client.py

Environment: PORCHLIGHT_URL, and PORCHLIGHT_BIN, the gateway's binary, which makes the tokens.
"""

import os
import queue
import secrets
import subprocess
import sys
import traceback
from socket import SHUT_RDWR

import requests
import socketio

GATEWAY = os.environ["PORCHLIGHT_URL"]
PATIENCE = 15
RUN = secrets.token_hex(3)


class Person:
    """A user with a token and one socket."""

    def __init__(self, name):
        self.id = f"{name}-{RUN}"
        command = [os.environ["PORCHLIGHT_BIN"], "token", "--user", self.id, "--name", name]
        self.token = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.strip()
        self.heard = queue.Queue()
        self.socket = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.2)
        self.socket.on("*", lambda event, *args: self.heard.put((event, args)))

    def post(self, path, body):
        answer = requests.post(
            GATEWAY + path,
            json=body,
            headers={"authorization": f"Bearer {self.token}"},
            timeout=PATIENCE,
        )
        answer.raise_for_status()
        return answer.json()

    def connect(self, transports):
        self.socket.connect(
            GATEWAY, auth={"token": self.token}, transports=transports, wait_timeout=PATIENCE
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


def talk(label, transports):
    ada, ben = Person(f"ada-{label}"), Person(f"ben-{label}")
    conversation = ada.post("/api/conversations", {"otherUserId": ben.id})["conversation"]["id"]
    try:
        # What is emitted in the client's own connect handler arrives.
        joined = queue.Queue()
        ben.socket.on(
            "connect",
            lambda: ben.socket.emit(
                "conversation:join",
                {"conversationId": conversation, "after": 0},
                callback=joined.put,
            ),
        )
        ada.connect(transports)
        ben.connect(transports)
        assert ada.next("connected")["userId"] == ada.id
        assert joined.get(timeout=PATIENCE)["messages"] == []
        ada.done("conversation:join", conversation)

        sent = ada.done("message:send", {"conversationId": conversation, "content": "héllo 🏮"})
        heard = ben.next("message:new")
        assert (heard["id"], heard["seq"], heard["content"]) == (sent["message"]["id"], 1, "héllo 🏮")
        ben.done("message:read", {"messageId": heard["id"]})
        assert ada.next("message:read")["userId"] == ben.id

        refused = ada.ask("message:send", {"conversationId": conversation})
        assert (refused["ok"], refused["error"]["code"]) == (False, "invalid"), refused

        if "websocket" in transports:
            ben.socket.eio.ws.sock.shutdown(SHUT_RDWR)
            assert [m["seq"] for m in joined.get(timeout=PATIENCE)["messages"]] == [1]
            ada.done("message:send", {"conversationId": conversation, "content": "back?"})
            assert ben.next("message:new")["content"] == "back?"
    finally:
        ada.socket.shutdown()
        ben.socket.shutdown()


def refuses_strangers():
    stranger = socketio.Client(reconnection=False)
    reasons = queue.Queue()
    stranger.on("connect_error", reasons.put)
    try:
        stranger.connect(GATEWAY, auth={"token": "x.y.z"}, wait_timeout=PATIENCE)
    except socketio.exceptions.ConnectionError:
        reason = reasons.get(timeout=PATIENCE)
        assert reason["message"].startswith("unauthorized"), reason
    else:
        raise AssertionError("a stranger connected")
    finally:
        stranger.shutdown()


CHECKS = {
    "python-socketio is refused without a valid token": refuses_strangers,
    "python-socketio over websocket": lambda: talk("ws", ["websocket"]),
    "python-socketio over polling": lambda: talk("poll", ["polling"]),
    "python-socketio upgrades from polling": lambda: talk("up", ["polling", "websocket"]),
}

for name, check in CHECKS.items():
    try:
        check()
    except BaseException:
        traceback.print_exc()
        sys.exit(f"not ok {name}")
    print(f"ok {name}", flush=True)
