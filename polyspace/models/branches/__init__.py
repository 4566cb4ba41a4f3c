"""What converters that see all of a clip add to their linear map; it starts at zero."""
