"""durable.py URL CHANNEL NUMBER...: publishes durable events with redis-py, and prints the position of each."""

import sys

import redis

url, channel, *numbers = sys.argv[1:]
with redis.Redis.from_url(url) as client:
    for number in numbers:
        epoch, offset, _ = client.fcall("tg_publish", 1, f"tg:{{{channel}}}", f'{{"n":{number}}}')
        print(number, f"{epoch.decode()}-{offset}")
