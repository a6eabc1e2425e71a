"""Other backends reach clients through Redis with unmodified python-socketio.

    python emitters.py REDIS_URL SECOND_NODE_URL

The environment is that of py_lib; PORCHLIGHT_URL is the first of two nodes with one Redis.
"""

import pickle
import sys

import redis
import socketio

from py_lib import PATIENCE, Person

REDIS, SECOND = sys.argv[1:]


class Emits:
    """Emits of a manager, and a later one that tells when they have been heard."""

    def __init__(self, manager, devices):
        self.manager = manager
        self.devices = devices
        self.marks = 0

    def heard(self, *args, **kwargs):
        """The arguments of the event as each device hears it, None where it does not."""
        self.manager.emit("order", *args, **kwargs)
        return self.until_mark()

    def until_mark(self):
        self.marks += 1
        self.manager.emit("mark", self.marks)
        return [self.before_mark(device) for device in self.devices]

    def before_mark(self, device):
        heard = None
        while True:
            name, args = device.heard.get(timeout=PATIENCE)
            if name == "mark" and args == (self.marks,):
                return heard
            if name == "order":
                assert heard is None, "heard twice"
                heard = args


def main():
    phone = Person("ann")
    laptop = phone.another_device()
    ben = Person("ben")
    phone.connect(["websocket"])
    laptop.connect(["websocket"], SECOND)
    ben.connect(["polling"])
    devices = [phone, laptop, ben]
    try:
        for device in devices:
            device.next("connected")
        room = f"user:{phone.id}"

        emits = Emits(socketio.RedisManager(REDIS, write_only=True), devices)
        assert emits.heard({"paid": 7.5, "é": [1]}, room=room) == [({"paid": 7.5, "é": [1]},)] * 2 + [None]
        assert emits.heard((1, "b"), room=room) == [(1, "b")] * 2 + [None]
        assert emits.heard(None, room=room) == [()] * 2 + [None]
        assert emits.heard(["a", "list"], to=[room, f"user:{ben.id}"]) == [(["a", "list"],)] * 3
        assert emits.heard("all") == [("all",)] * 3
        assert emits.heard("one", room=laptop.socket.sid) == [None, ("one",), None]
        assert emits.heard("x", skip_sid=[phone.socket.sid]) == [None, ("x",), ("x",)]
        assert emits.heard("x", room=room, skip_sid=phone.socket.sid) == [None, ("x",), None]
        assert emits.heard("x", namespace="/admin") == [None] * 3
        data = {"file": bytes([0, 1, 255]), "more": [b"x" * 70_000]}
        assert emits.heard(data) == [(data,)] * 3
        print("ok emits of a write-only manager")

        emits.manager.enter_room(laptop.socket.sid, "/", "news")
        emits.manager.enter_room(ben.socket.sid, "/", "news")
        # An emit right behind a join may be faster.
        while emits.heard("x", room="news") != [None, ("x",), ("x",)]:
            pass
        emits.manager.leave_room(ben.socket.sid, "/", "news")
        assert emits.heard("x", room="news") == [None, ("x",), None]
        print("ok rooms of the backend's own")

        # A server, whose manager also closes rooms and connections.
        manager = socketio.RedisManager(REDIS)
        server = socketio.Server(client_manager=manager, async_mode="threading")
        manager.set_server(server)
        manager.initialize()
        server.close_room("news")
        assert emits.heard("x", room="news") == [None] * 3
        manager.disconnect(laptop.socket.sid, "/")
        laptop.socket.wait()
        assert not laptop.socket.connected
        print("ok rooms and connections closed by a server")

        emits.devices = [phone, ben]
        link = redis.Redis.from_url(REDIS)
        for garbage in [b"", b"x", b"{}", pickle.dumps({"method": "emit", "event": "order"})]:
            link.publish("socketio", garbage)
        assert emits.heard("still there") == [("still there",)] * 2
        print("ok garbage changes nothing")
    finally:
        for device in devices:
            device.socket.shutdown()


if __name__ == "__main__":
    main()
    print("# emitters from Python: all good")
