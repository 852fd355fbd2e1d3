"""The flow tests. Written here, in asyncio; the twin is generated."""
