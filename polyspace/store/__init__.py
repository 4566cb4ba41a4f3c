"""Feature stores: float16 arrays in zarr format 3, and the ledger of what was written."""
