"""Redis: keys, read, fenced write, error kinds, routing (design 2.4). The state there is a view of the award log.

``shard`` holds the values that cross the border and what a store promises; only ``redis_store``, ``routing`` and
``failures`` know the client.
"""
