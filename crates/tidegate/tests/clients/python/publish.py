"""publish.py URL CHANNEL: publishes with redis-py."""

import sys

import redis

url, channel = sys.argv[1:]
with redis.Redis.from_url(url) as client:
    client.publish(channel, "grüße, 世界")
    client.publish(channel, '{"n": 1.0, "list": [1, 2]}')
    client.publish(channel, bytes([0xFF, 0xC1, 0x80]))
