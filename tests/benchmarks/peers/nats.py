"""NATS JetStream: a work queue, a durable consumer that is pulled from, and a bucket of results. `worker` or `client`.

The server syncs each write (`sync_interval: always`), so a publish is answered once the request is on disk; the worker acknowledges a
request after its result is, too. The caller watches the bucket.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import nats
import uvloop
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NothingCame
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, KeyValueConfig, RetentionPolicy
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from tests.benchmarks.load import Request, serve
from tests.benchmarks.payload import PAYLOAD
from tests.benchmarks.peers.function import Function

URL = os.environ["BENCH_NATS"]
STREAM, SUBJECT, CONSUMER, BUCKET = "WORK", "work.echo", "echo", "results"
AT_ONCE = 64  #: requests that the worker has under way
PATIENCE = 30.0  #: seconds one pull stays open


async def entities(jetstream: JetStreamContext) -> KeyValue:
    """The stream, its consumer and the bucket; whoever comes first makes them."""
    try:
        return await jetstream.key_value(BUCKET)
    except NotFoundError:
        await jetstream.add_stream(name=STREAM, subjects=[SUBJECT], retention=RetentionPolicy.WORK_QUEUE)
        await jetstream.add_consumer(STREAM, ConsumerConfig(durable_name=CONSUMER, max_ack_pending=4 * AT_ONCE))
        return await jetstream.create_key_value(KeyValueConfig(bucket=BUCKET))


async def work() -> None:
    """Run requests until told to stop."""
    async with await nats.connect(URL) as connection, Function.opened() as function:
        jetstream = connection.jetstream()
        results = await entities(jetstream)
        pulled = await jetstream.pull_subscribe_bind(CONSUMER, STREAM)

        async def one_after_the_other() -> None:
            while True:
                # One message a pull: a fetch of many waits until that many are here, so that a few would wait for its end.
                with suppress(NothingCame):
                    (message,) = await pulled.fetch(1, timeout=PATIENCE)
                    await done(message, results, function)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(one_after_the_other())


async def done(message: Msg, results: KeyValue, function: Function) -> None:
    """Keep what the function gives under the request's id, then let the request go."""
    request = json.loads(message.data)
    output = await function(request["value"])
    await results.put(request["id"], json.dumps(output).encode())
    await message.ack()


@asynccontextmanager
async def client() -> AsyncIterator[Request]:
    """One watch for the results of all open requests."""
    waiting: dict[str, asyncio.Future[bytes]] = {}
    names = (f"{os.getpid()}-{number}" for number in itertools.count())
    async with await nats.connect(URL) as connection:
        jetstream = connection.jetstream()
        results = await entities(jetstream)
        watch = await results.watchall()

        async def read() -> None:
            async for entry in watch:
                if entry is not None and (future := waiting.pop(entry.key, None)) and not future.done():
                    future.set_result(entry.value)

        async def request() -> None:
            name = next(names)
            result = waiting[name] = asyncio.get_running_loop().create_future()
            body = json.dumps({"id": name, "value": PAYLOAD}).encode()
            await jetstream.publish(SUBJECT, body, headers={"Nats-Msg-Id": name})
            if json.loads(await result) != PAYLOAD:
                raise ValueError("the echo differs")

        reading = asyncio.create_task(read())
        yield request
        reading.cancel()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work())
    serve(client())
