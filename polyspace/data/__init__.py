"""From video files to a feature store: data sets, decoding, preprocessing, extraction."""
