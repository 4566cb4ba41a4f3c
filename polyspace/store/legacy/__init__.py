"""The format before the store: shards of features, pickled or as folders of arrays."""
