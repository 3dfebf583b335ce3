"""Python `websockets` against a node that pings every second: WS, PLAIN and ADMIN are its URLs."""

import asyncio
import base64
import json
import logging
import os
import sys
import traceback
import urllib.request

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

WS, PLAIN, ADMIN = os.environ["WS"], os.environ["PLAIN"], os.environ["ADMIN"]
BYTES = bytes([0, 255, 193, 1, 128])
PATIENCE = 15


def publish(body):
    request = urllib.request.Request(
        f"{ADMIN}/api/v1/publish", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status == 200


async def receive(socket):
    return await asyncio.wait_for(socket.recv(), PATIENCE)


async def ask(socket, **frame):
    await socket.send(json.dumps(frame))
    return json.loads(await receive(socket))


def native(**options):
    return connect(WS, subprotocols=["tidegate.v1.json"], proxy=None, ping_interval=None, **options)


async def check_native_json():
    async with native() as socket:
        assert socket.subprotocol == "tidegate.v1.json"
        connected = await ask(socket, type="connect", id=1, client="python")
        assert connected["type"] == "connected" and connected["client"] == "python", connected
        subscribed = await ask(socket, type="subscribe", id=2, channel="py:native")
        assert subscribed == {"type": "subscribed", "id": 2, "channel": "py:native"}, subscribed
        await asyncio.to_thread(publish, {"channel": "py:native", "data": "grüße"})
        event = json.loads(await receive(socket))
        assert event == {"type": "event", "channel": "py:native", "data": "grüße"}, event
    assert socket.close_code == 1000, socket.close_code


async def check_plain_text_and_binary():
    async with connect(PLAIN + "py:plain", proxy=None) as one, connect(PLAIN + "py:plain", proxy=None) as two:
        for payload in ["text", BYTES, "ünï", b"\x00"]:
            await one.send(payload)
            for socket in (one, two):
                got = await receive(socket)
                # What is text is decided by the bytes: UTF-8 comes as a text frame.
                want = "\x00" if payload == b"\x00" else payload
                assert got == want, (payload, got)
        await asyncio.to_thread(publish, {"channel": "py:plain", "data_base64": base64.b64encode(BYTES).decode()})
        for socket in (one, two):
            assert await receive(socket) == BYTES
    assert (one.close_code, two.close_code) == (1000, 1000)


async def check_pings_are_answered():
    lines = []
    logger = logging.getLogger("pings")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    async with native(logger=logger) as socket:
        await ask(socket, type="connect", id=1)
        async with asyncio.timeout(PATIENCE):
            while sum("< PING" in line for line in lines) < 3:
                await asyncio.sleep(0.05)
        assert sum("> PONG" in line for line in lines) >= 2, lines
        assert await ask(socket, type="ping", id=2) == {"type": "pong", "id": 2}
    assert socket.close_code == 1000


async def check_their_own_pings_are_answered():
    async with connect(PLAIN + "py:ping", proxy=None) as socket:
        for _ in range(3):
            await asyncio.wait_for(await socket.ping(), PATIENCE)


async def check_a_request_before_connect_is_refused():
    async with native() as socket:
        refused = await ask(socket, type="publish", id=1, channel="a", data=1)
        assert (refused["type"], refused["code"]) == ("error", "not_connected"), refused
        assert (await ask(socket, type="connect", id=2))["type"] == "connected"


async def check_another_protocol_is_closed_with_a_reason():
    async with native() as socket:
        await socket.send("hello?")
        try:
            while True:
                await receive(socket)
        except ConnectionClosed as closed:
            assert closed.rcvd and closed.rcvd.code == 4000 and closed.rcvd.reason, closed


async def check_a_bad_channel_is_an_error():
    async with native() as socket:
        await ask(socket, type="connect", id=1)
        error = await ask(socket, type="subscribe", id=2, channel="two words")
        assert (error["type"], error["id"], error["code"]) == ("error", 2, "bad_channel"), error
        assert await ask(socket, type="ping", id=3) == {"type": "pong", "id": 3}


async def check_a_refusal_before_the_upgrade_is_http():
    try:
        async with connect(PLAIN + "two%20words", proxy=None):
            raise AssertionError("it was accepted")
    except InvalidStatus as refused:
        assert refused.response.status_code == 400, refused


async def main():
    failed = 0
    for name, check in [pair for pair in globals().items() if pair[0].startswith("check_")]:
        try:
            await check()
            print("ok     ", name)
        except BaseException:
            failed += 1
            print("FAILED ", name)
            traceback.print_exc(file=sys.stdout)
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
