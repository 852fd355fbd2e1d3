# Generated from core/comity/_async/__init__.py by "python tools/unasync.py": change that file, then run it.
"""The flows: what calls wait for, retry and decide. Written here, in asyncio; the twin is generated."""
