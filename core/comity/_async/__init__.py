"""The flows: what calls wait for, retry and decide. Written here, in asyncio; the twin is generated."""
