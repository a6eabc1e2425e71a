"""python-socketio connects, joins, sends with an ack, receives and resumes, over both transports.

    python py_client.py

The environment is that of py_lib.
"""

import queue
import sys
import traceback
from socket import SHUT_RDWR

import socketio

from py_lib import GATEWAY, PATIENCE, Person


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
